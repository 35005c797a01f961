"""Functions that read what strangers wrote, carried out in another process where a server has one.

Such a function is registered under a kind. On the command line and in a job, which end
with the file that harms them, a call is a call. In a server (`read_elsewhere`) the kind and the
arguments go to a process that the system limits, and the values come back. Hence arguments and
results are plain values: what JSON has, mappings with keys of any plain kind included.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

Given = ParamSpec("Given")
Result = TypeVar("Result")
Identity = tuple[int, int, int, int, int]
Ask = Callable[[str, str, Sequence[Any]], Any]
"""Takes a kind, the module that registers it, and packed arguments; returns the packed result."""

_functions: dict[str, Callable[..., Any]] = {}
_elsewhere: Ask | None = None


def isolated(kind: str) -> Callable[[Callable[Given, Result]], Callable[Given, Result]]:
    """Register a function for a kind, and have it carried out elsewhere in a server.

    Its arguments are given by place.
    """

    def register(function: Callable[Given, Result]) -> Callable[Given, Result]:
        _functions[kind] = function

        @functools.wraps(function)
        def call(*arguments: Given.args, **named: Given.kwargs) -> Result:
            if _elsewhere is None:
                return function(*arguments, **named)
            packed = [pack(argument) for argument in arguments]
            return unpack(_elsewhere(kind, function.__module__, packed))

        return call

    return register


def read_elsewhere(ask: Ask | None) -> None:
    """Have all functions carried out by `ask`; by this process again where None."""
    global _elsewhere
    _elsewhere = ask


def carry_out(kind: str, module: str, arguments: Sequence[Any]) -> Any:
    """Carry out here what an `Ask` was given, and return the packed result."""
    import_module(module)
    return pack(_functions[kind](*map(unpack, arguments)))


def identify(path: Path | str) -> Identity | None:
    """Return what tells a file from another at its path, for a cache; None where there is none."""
    try:
        state = Path(path).stat()
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino, state.st_size, state.st_mtime_ns, state.st_ctime_ns


def pack(value: Any) -> Any:
    """Return a value as JSON has it: mappings with other keys than texts become lists of pairs."""
    if isinstance(value, dict):
        if all(type(key) is str for key in value) and "pairs" not in value:
            return {key: pack(item) for key, item in value.items()}
        return {"pairs": [[pack(key), pack(item)] for key, item in value.items()]}
    if isinstance(value, list | tuple):
        return [pack(item) for item in value]
    return os.fspath(value) if isinstance(value, Path) else value


def unpack(value: Any) -> Any:
    """Return what `pack` was given, with lists for tuples and texts for paths."""
    if isinstance(value, dict):
        pairs = value.get("pairs")
        items = value.items() if pairs is None else pairs
        return {key if pairs is None else unpack(key): unpack(item) for key, item in items}
    return [unpack(item) for item in value] if isinstance(value, list) else value
