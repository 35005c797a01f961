"""Read a YAML file into plain Python values, bounded in size, depth and expansion.

A config may come from a stranger: aliases that multiply, nesting without end and tags that would
build objects are refused before anything is built from them. What comes back holds only dict,
list, str, int, float, bool and None, so that it can be stored in a payload as it is.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any, NoReturn

import yaml

from analysis.errors import ConfigError
from analysis.files.isolated import identify, isolated
from analysis.language import _

# PyYAML looks tagged values such as `!!bool x` and `!!timestamp x` up without checking them.
_UNREADABLE = (
    yaml.YAMLError, ValueError, TypeError, LookupError, AttributeError, ArithmeticError
)  # fmt: skip

MAX_BYTES = 1_000_000
MAX_DEPTH = 50
MAX_WRITTEN = 10_000
"""Values that stand in the file; a training config has a hundred."""

MAX_VALUES = 100_000
"""Values with every alias written out; a long text counts as one for every 100 characters."""

MAX_DIGITS = 100
"""Of an integer. PyYAML's base-60 integers take a time that grows with the square."""


@dataclass(frozen=True)
class ConfigFile:
    """What one YAML file says."""

    path: Path
    values: dict[str, Any]
    """The parsed mapping; dates are text."""
    written: Mapping[str, str]
    """Top-level scalars exactly as they stand in the file (`1.10`, where `values` has 1.1)."""


def load_config_file(path: Path) -> ConfigFile:
    """Parse the YAML file `path`, which must hold one mapping.

    Raises:
        ConfigError: If the file cannot be read, is larger than `MAX_BYTES`, is not YAML (the
            message names the line), nests or expands without measure, or is not a mapping.
    """
    values, written = _read(str(path), identify(path))
    return ConfigFile(path, values, written)


@isolated("config")
def _read(path_text: str, _identity: object) -> tuple[dict[str, Any], dict[str, str]]:
    path = Path(path_text)
    text = _read_text(path)
    try:
        loader = _BoundedLoader(text)
        node = loader.get_single_node()
        if node is not None:
            _measure(node, {}, set())
        values = None if node is None else loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (
            _(", line {line}, column {column}").format(line=mark.line + 1, column=mark.column + 1)
            if mark
            else ""
        )
        reason = " ".join(f"{error.problem or error.context}".split())
        if mark and error.context_mark and error.context_mark.line != mark.line:
            reason += _(" (in what begins on line {line})").format(line=error.context_mark.line + 1)
        raise ConfigError(
            _("{path}{where}: {reason}; correct the YAML there").format(
                path=path, where=where, reason=reason
            )
        ) from error
    except _UNREADABLE as error:
        reason = " ".join(str(error).split())
        raise ConfigError(
            _("{path} is not valid YAML: {reason}").format(path=path, reason=reason)
        ) from error
    if not isinstance(node, yaml.MappingNode) or not isinstance(values, dict):
        found = (
            _("is empty")
            if values is None
            else _("holds a {name}").format(name=type(values).__name__)
        )
        raise ConfigError(
            _("{path} {found}; expected a mapping of keys such as data and model").format(
                path=path, found=found
            )
        )
    written = {
        key.value: value.value
        for key, value in node.value
        if isinstance(key, yaml.ScalarNode) and isinstance(value, yaml.ScalarNode)
    }
    return _plain(values), written


class _BoundedLoader(yaml.SafeLoader):
    """PyYAML's safe loader, which by itself recurses as deep as the file asks."""

    _depth = 0
    _written = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        self._written += 1
        if self._depth > MAX_DEPTH:
            self._refuse(_("nested more than {max_depth} levels deep").format(max_depth=MAX_DEPTH))
        if self._written > MAX_WRITTEN:
            self._refuse(_("more than {max_written} values").format(max_written=MAX_WRITTEN))
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_yaml_int(self, node: yaml.ScalarNode) -> int:
        if len(node.value) > MAX_DIGITS:
            problem = _("an integer of more than {max_digits} digits").format(max_digits=MAX_DIGITS)
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
        return super().construct_yaml_int(node)

    def _refuse(self, problem: str) -> NoReturn:
        mark = self.peek_event().start_mark
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


# The safe loader looks its constructors up by tag, not by name.
_BoundedLoader.add_constructor("tag:yaml.org,2002:int", _BoundedLoader.construct_yaml_int)


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():
            what = _("is not a file") if path.exists() else _("does not exist")
            raise ConfigError(
                _("{path} {what}; expected a training config in YAML").format(path=path, what=what)
            )
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as error:
        raise ConfigError(
            _("{path} cannot be read: {error}").format(path=path, error=error)
        ) from error
    if len(raw) > MAX_BYTES:
        raise ConfigError(
            _("{path} is larger than {max_bytes} bytes; expected a training config").format(
                path=path, max_bytes=MAX_BYTES
            )
        )
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            _("{path}, line {line}: not UTF-8 text; save it as UTF-8").format(path=path, line=line)
        ) from error


def _measure(
    node: yaml.Node, known: dict[int, tuple[int, int]], opened: set[int]
) -> tuple[int, int]:
    """Return (values, levels) of `node` with every alias written out.

    Anchors stand before their aliases, so that walking in document order meets an alias either
    measured (known) or still being measured (it contains itself).
    """
    if id(node) in known:
        return known[id(node)]
    children: list[yaml.Node] = []
    if isinstance(node, yaml.MappingNode):
        children = [part for pair in node.value for part in pair]
    elif isinstance(node, yaml.SequenceNode):
        children = node.value
    opened.add(id(node))
    values, levels = 1, 1
    if isinstance(node, yaml.ScalarNode):
        values += len(node.value) // 100
        if any("\ud800" <= letter <= "\udfff" for letter in node.value):
            problem = _("half a surrogate pair, which no file name or page can hold")
            raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    for child in children:
        if id(child) in opened:
            raise yaml.MarkedYAMLError(
                problem=_("an alias refers to what contains it"), problem_mark=child.start_mark
            )
        child_values, child_levels = _measure(child, known, opened)
        values, levels = values + child_values, max(levels, child_levels + 1)
    opened.discard(id(node))
    if values > MAX_VALUES or levels > MAX_DEPTH:
        problem = _("aliases expand to more than {max_values} values or {max_depth} levels").format(
            max_values=MAX_VALUES, max_depth=MAX_DEPTH
        )
        raise yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
    known[id(node)] = (values, levels)
    return values, levels


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set):
        return [_plain(item) for item in value]
    if isinstance(value, date):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode("ascii")
    return value
