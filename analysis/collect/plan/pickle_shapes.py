"""The shapes of the tensors in a pickle of `torch.save`, by the keys that lead to them. No torch.

The opcodes are followed with shapes in place of tensors; nothing is called, and what is neither a
dict, a list nor a tensor counts for nothing.
"""

from __future__ import annotations

import pickletools
from collections.abc import Iterator
from typing import Any

MAX_LEVELS = 8
MAX_VISITS = 500_000
"""Values that are looked at, those of a dict that stands in several places each time."""

_TENSOR = "torch._utils._rebuild_tensor"
_WRAPPED = ("torch._utils._rebuild_parameter", "torch._tensor._rebuild_from_type_v2")
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}
_STORAGE = object()


class _Global(str):
    """Full name of a class or function."""


class _Shape(tuple[int, ...]):
    """Of a tensor."""


def walk_shapes(content: bytes) -> dict[str, tuple[int, ...]]:
    """Return the shape of every tensor by the keys to it, joined by dots.

    Raises:
        ValueError: If it is no pickle, or a broken one.
    """
    try:
        return dict(_flatten(_follow(content)))
    except (IndexError, KeyError, TypeError) as error:
        raise ValueError(f"a broken pickle: {error}") from error


def _follow(content: bytes) -> Any:
    stack: list[Any] = []
    below: list[list[Any]] = []
    memo: dict[int, Any] = {}
    for opcode, argument, _place in pickletools.genops(content):
        name = opcode.name
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]  # pyright: ignore[reportArgumentType]
        elif name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])  # pyright: ignore[reportArgumentType]
        elif name == "MARK":
            below.append(stack)
            stack = []
        elif name in ("EMPTY_DICT", "EMPTY_LIST", "EMPTY_SET"):
            stack.append({})
        elif name == "EMPTY_TUPLE":
            stack.append(())
        elif name in _TUPLES:
            parts = stack[-_TUPLES[name] :]
            stack[-_TUPLES[name] :] = [tuple(parts)]
        elif name == "TUPLE":
            parts, stack = stack, below.pop()
            stack.append(tuple(parts))
        elif name in ("SETITEM", "APPEND"):
            parts = [stack.pop() for _ in range(1 + (name == "SETITEM"))][::-1]
            _fill(stack[-1], parts, pairs=name == "SETITEM")
        elif name in ("SETITEMS", "APPENDS"):
            parts, stack = stack, below.pop()
            _fill(stack[-1], parts, pairs=name == "SETITEMS")
        elif name == "GLOBAL":
            stack.append(_Global(str(argument).replace(" ", ".")))
        elif name == "REDUCE":
            arguments = stack.pop()
            stack[-1] = _call(stack[-1], arguments)
        elif name == "BUILD":
            stack.pop()
        elif name == "BINPERSID":
            stack[-1] = _STORAGE
        elif name == "STOP":
            break
        elif name != "PROTO":
            stack.append(argument)
    return stack[-1]


def _fill(target: Any, parts: list[Any], *, pairs: bool) -> None:
    if not isinstance(target, dict):
        return
    if not pairs:
        target.update(enumerate(parts, start=len(target)))
        return
    for key, value in zip(parts[::2], parts[1::2], strict=True):
        target[str(key) if isinstance(key, str | int) else len(target)] = value


def _call(function: Any, arguments: tuple[Any, ...]) -> Any:
    if not isinstance(function, _Global):
        return None
    if function.startswith(_TENSOR):
        shape = arguments[2]
        return _Shape(shape) if all(type(size) is int for size in shape) else None
    if function == _WRAPPED[1]:
        return _call(arguments[0], arguments[2])
    if function.startswith(_WRAPPED[0]):
        return arguments[0]
    return {} if function == "collections.OrderedDict" else None


def _flatten(loaded: Any) -> Iterator[tuple[str, tuple[int, ...]]]:
    waiting: list[tuple[str, Any, int]] = [("", loaded, 0)]
    visits = 0
    while waiting:
        start, value, level = waiting.pop()
        if isinstance(value, _Shape):
            yield start, tuple(value)
            continue
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            visits += 1
            if visits > MAX_VISITS:
                raise ValueError(f"more than {MAX_VISITS} values")
            if isinstance(item, dict | tuple) and level < MAX_LEVELS:
                waiting.append((f"{start}.{key}" if start else str(key), item, level + 1))
