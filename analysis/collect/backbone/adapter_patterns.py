"""Which modules the settings of an adapter name, as peft would match them, in bounded time.

A regular expression from a file can take longer than the world lasts; peft would run it in our
process. So it runs in a process of its own with a time limit, and peft is handed full names.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from analysis.errors import AdapterError

SECONDS = 10.0
"""For all regular expressions of an adapter together; a start of Python included."""

MAX_PATTERN = 2000
"""Characters."""

MAX_ENTRIES = 20_000
"""Names or patterns in one setting."""

ALL_LINEAR = "all-linear"
_LITERAL = re.compile(r"(?:[\w-]|\\?\.)*")
_CHILD = """
import json, re, sys
patterns, names = json.load(sys.stdin)
found = []
for pattern in patterns:
    matches = ((name, re.match(pattern, name)) for name in names)
    found.append({name: m.groupdict().get("idx") for name, m in matches if m})
json.dump(found, sys.stdout)
"""


def match_patterns(patterns: Sequence[str], names: Sequence[str]) -> list[dict[str, str | None]]:
    """Match every regular expression at the start of every name.

    Returns:
        For each pattern the names that match, with the group `idx` of the match.

    Raises:
        AdapterError: If a pattern is no regular expression, too long, or takes too long.
    """
    if not patterns:
        return []
    if any(len(pattern) > MAX_PATTERN for pattern in patterns) or len(patterns) > MAX_ENTRIES:
        raise AdapterError(f"a pattern of its settings has more than {MAX_PATTERN} characters")
    shown = ", ".join(patterns)[:200]
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-c", _CHILD],
            input=json.dumps([list(patterns), list(names)]),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as failure:
        raise AdapterError(
            f"its patterns ({shown}) take more than {SECONDS:g} s to match the names of the "
            "modules. List the modules by name instead"
        ) from failure
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1][:200]
        raise AdapterError(f"its patterns ({shown}) cannot be matched ({reason})")
    return json.loads(done.stdout)


def find_targeted(names: Iterable[str], settings: Mapping[str, Any]) -> set[str] | None:
    """Return the names of modules that `target_modules` and the settings beside it choose.

    Args:
        names: Full names of modules.
        settings: A `LoraConfig` as a dict.

    Returns:
        None where the settings do not say it by name or pattern ("all-linear", or nothing).

    Raises:
        AdapterError: As of `match_patterns`, or if a setting is of a wrong type.
    """
    names = list(names)
    targets = settings.get("target_modules")
    if not targets or (isinstance(targets, str) and targets.lower() == ALL_LINEAR):
        return None
    if isinstance(targets, str):
        chosen = _fullmatch(targets, names)
    else:
        listed = _to_names("target_modules", targets)
        by_suffix = {name for name in names if name not in listed and _is_listed(name, listed)}
        chosen = {name for name in names if name in listed} | _in_layers(by_suffix, settings)
    excluded = settings.get("exclude_modules")
    if isinstance(excluded, str) and excluded:
        chosen -= _fullmatch(excluded, sorted(chosen))
    elif excluded:
        unwanted = _to_names("exclude_modules", excluded)
        chosen = {name for name in chosen if not _is_listed(name, unwanted)}
    return chosen


def choose_values(
    names: Sequence[str], pattern_values: Any, default: Any, setting: str
) -> dict[str, Any]:
    """Return the rank or alpha of every module: that of the first pattern that matches its end.

    Raises:
        AdapterError: As of `match_patterns`, or if the setting is no mapping.
    """
    if not pattern_values:
        return dict.fromkeys(names, default)
    if not isinstance(pattern_values, Mapping):
        raise AdapterError(f"its {setting} is {pattern_values!r:.100}, expected a mapping")
    if len(pattern_values) > MAX_ENTRIES:
        raise AdapterError(f"its {setting} has more than {MAX_ENTRIES} entries")
    regular = [str(key) for key in pattern_values if not _LITERAL.fullmatch(str(key))]
    matches = match_patterns([rf"(.*\.)?({pattern})$" for pattern in regular], names)
    matched = dict(zip(regular, matches, strict=True))
    literal = {
        re.sub(r"\\\.", ".", str(key)): place
        for place, key in enumerate(pattern_values)
        if str(key) not in matched
    }
    values = list(pattern_values.values())
    places = {str(key): place for place, key in enumerate(pattern_values)}
    chosen = {}
    for name in names:
        hits = [literal[end] for end in _ends(name) if end in literal]
        hits += [places[pattern] for pattern, there in matched.items() if name in there]
        chosen[name] = values[min(hits)] if hits else default
    return chosen


def _fullmatch(pattern: str, names: Sequence[str]) -> set[str]:
    if _LITERAL.fullmatch(pattern):
        return {name for name in names if name == pattern.replace("\\.", ".")}
    (found,) = match_patterns([rf"(?:{pattern})\Z"], names)
    return set(found)


def _in_layers(names: set[str], settings: Mapping[str, Any]) -> set[str]:
    """Keep the modules of `layers_to_transform`; all of them where it names none."""
    layers = settings.get("layers_to_transform")
    if layers is None or layers == []:
        return names
    wanted = {layers} if isinstance(layers, int) else set(_to_list("layers_to_transform", layers))
    given = settings.get("layers_pattern") or []
    given = [given] if isinstance(given, str) else _to_list("layers_pattern", given)
    patterns = [rf"(?:^|.*?\.){pattern}\.(?P<idx>\d+)\." for pattern in given]
    found = match_patterns(patterns or [r".*?\.[^.]*\.(?P<idx>\d+)\."], sorted(names))
    kept = set()
    for name in names:
        index = next((there[name] for there in found if name in there), None)
        if index is not None and int(index) in wanted:
            kept.add(name)
    return kept


def _to_names(setting: str, value: Any) -> set[str]:
    return {str(name) for name in _to_list(setting, value)}


def _to_list(setting: str, value: Any) -> list[Any]:
    if not isinstance(value, list | tuple | set) or len(value) > MAX_ENTRIES:
        raise AdapterError(f"its {setting} is {value!r:.100}, expected a text or a list")
    return list(value)


def _is_listed(name: str, listed: set[str]) -> bool:
    return any(end in listed for end in _ends(name))


def _ends(name: str) -> list[str]:
    """Return a name and what is left of it after each dot."""
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts))]
