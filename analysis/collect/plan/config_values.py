"""Look up dotted keys in a config and turn their values into checked Python ones.

Each `to_` function takes a value as YAML gave it and returns it in its final type, or raises
ValueError whose text is what was expected; `ConfigKeys.read` adds file, key and value to it.
"""

from __future__ import annotations

import math
import re
import reprlib
from collections.abc import Callable
from typing import Any, NoReturn, TypeVar

from analysis.collect.plan.config_file import ConfigFile
from analysis.errors import ConfigError
from analysis.files.paths import expand_text
from analysis.language import N_, _

MIN_IMAGE_SIDE = 16
MAX_IMAGE_SIDE = 16_384

T = TypeVar("T")
_REQUIRED: Any = object()
_USE_SAVED = N_("use the config that training saved, or write the value")


class ConfigKeys:
    """Dotted look-ups in a config; null and empty text count as absent."""

    def __init__(self, file: ConfigFile) -> None:
        self.file = file

    def find(self, key: str) -> Any:
        """Return the value at a dotted key, None where it is absent.

        Raises:
            ConfigError: If something on the way to the key is not a mapping.
        """
        value: Any = self.file.values
        parents: list[str] = []
        for name in key.split("."):
            if not isinstance(value, dict):
                self.refuse(".".join(parents), value, "a mapping")
            value = value.get(name)
            if value is None or value == "":
                return None
            parents.append(name)
        return value

    def read(self, key: str, convert: Callable[[Any], T], default: T = _REQUIRED) -> T:
        """Return the value at a dotted key as `convert` makes it, or the default.

        Raises:
            ConfigError: If `convert` refuses the value, or the key is absent without a default.
        """
        value = self.find(key)
        if value is None:
            if default is _REQUIRED:
                raise ConfigError(
                    _("{path}: the key {key} is missing; add it").format(
                        path=self.file.path, key=key
                    )
                )
            return default
        items = value if isinstance(value, list) else [value]
        if convert is not to_path_text and any("${" in str(item) for item in items):
            self.refuse(
                key,
                value,
                _("its value; ${{...}} is not filled in here, {use_saved}").format(
                    use_saved=_(_USE_SAVED)
                ),
            )
        try:
            return convert(value)
        except ValueError as error:
            self.refuse(key, value, str(error))

    def refuse(self, key: str, value: Any, expected: str) -> NoReturn:
        """Raise the error for a value of the wrong kind."""
        shown = reprlib.repr(value)
        raise ConfigError(
            _("{path}: {key} is {shown}; expected {expected}").format(
                path=self.file.path, key=key, shown=shown, expected=expected
            )
        )


def to_path_text(value: Any) -> str:
    """Take the text of a path, `~` and environment variables filled in."""
    if not isinstance(value, str) or not value.strip() or "\0" in value:
        raise ValueError("a path")
    try:
        return expand_text(value)
    except ValueError as error:
        raise ValueError(f"a path ({error}; {_USE_SAVED})") from error


def to_text(value: Any) -> str:
    """Take a text that is not empty, such as the name of a column."""
    if not isinstance(value, str) or not value.strip():
        raise ValueError("a text")
    return value.strip()


def to_folder_name(value: Any) -> str:
    """Take the name of one folder; a number becomes its text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError("text or a number")
    text = str(value).strip()
    if text in (".", "..") or re.search(r"[/\\\x00-\x1f]", text) or len(text.encode()) > 200:
        raise ValueError("the name of one folder, without separators, of at most 200 bytes")
    return text


def to_flag(value: Any) -> bool:
    """Take true or false."""
    if not isinstance(value, bool):
        raise ValueError("true or false")
    return value


def to_integer(value: Any) -> int:
    """Take a whole number."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("a whole number")
    return value


def to_count(value: Any) -> int:
    """Take a whole number, 0 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError("a whole number, 0 or more")
    return value


def to_positive(value: Any) -> int:
    """Take a whole number, 1 or more."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError("a whole number, 1 or more")
    return value


def to_number(value: Any) -> float:
    """Take a finite number."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError("a number (written like 0.1 or 1.0e-3)")
    return float(value)


def to_share(value: Any) -> float:
    """Take a number in [0, 1)."""
    if not 0 <= to_number(value) < 1:
        raise ValueError("a number from 0 up to but not including 1")
    return float(value)


def to_triple(value: Any) -> tuple[float, float, float]:
    """Take three numbers."""
    if not isinstance(value, list) or len(value) != 3:
        raise ValueError("three numbers, for R, G and B")
    red, green, blue = (to_number(item) for item in value)
    return red, green, blue


def to_positive_triple(value: Any) -> tuple[float, float, float]:
    """Take three numbers above 0."""
    triple = to_triple(value)
    if min(triple) <= 0:
        raise ValueError("three numbers above 0, for R, G and B")
    return triple


def to_texts(value: Any) -> tuple[str, ...]:
    """Take a list of texts."""
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ValueError("a list of texts")
    return tuple(value)


def to_integers(value: Any) -> tuple[int, ...]:
    """Take a list of whole numbers."""
    if not isinstance(value, list):
        raise ValueError("a list of whole numbers")
    return tuple(to_integer(item) for item in value)


def to_image_size(value: Any) -> tuple[int, int]:
    """Take `[width, height]` or one side of a square, in pixels."""
    sides = value if isinstance(value, list) else [value, value]
    fits = len(sides) == 2 and all(
        isinstance(side, int) and MIN_IMAGE_SIDE <= side <= MAX_IMAGE_SIDE for side in sides
    )
    if not fits:
        raise ValueError(
            f"[width, height] or one number, in pixels from {MIN_IMAGE_SIDE} to {MAX_IMAGE_SIDE}"
        )
    return sides[0], sides[1]


def to_one_of(*names: str) -> Callable[[Any], str]:
    """Return a converter that takes one of the given texts."""

    def convert(value: Any) -> str:
        if value not in names:
            raise ValueError("one of " + ", ".join(names))
        return value

    return convert


def to_device(value: Any) -> str:
    """Take the name of a compute device."""
    if not isinstance(value, str) or not re.fullmatch(r"auto|cpu|cuda(:\d+)?", value):
        raise ValueError("auto, cpu, cuda or cuda:N")
    return value
