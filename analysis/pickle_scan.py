"""Judge the pickle in a torch file by its opcodes, before torch follows them.

`torch.load(weights_only=True)` runs no code of the file, yet a few bytes can still make it hang,
fill the memory or overflow the C stack: a tuple nested a million times as a key of a dict, a
`bytearray` of any size, a `set` of the same list over and over, the codec punycode. So the pickle
is walked once with sizes in place of values, and refused for what a file of tensors and plain
types never does.
"""

from __future__ import annotations

import pickletools
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pickle import UnpicklingError
from typing import Any, BinaryIO

import torch

MAX_STEPS = 400_000
"""Opcodes that are followed, two for a text: 1.5 s here and in torch's unpickler together."""

MAX_DEPTH = 100
"""Levels of tuples in tuples."""

MAX_WORK = 5_000_000
"""Values handed to constructors, altogether."""

MAX_LONG_INTEGERS = 100
"""Integers beyond 64 bits: many can be chosen to share one hash, which stalls a dict."""

_ORDERED_DICT = "collections.OrderedDict"
_CALLED = frozenset(
    {
        _ORDERED_DICT,
        "__builtin__.set",
        "builtins.set",
        "torch.Size",
        "torch.device",
        "torch._utils._rebuild_parameter",
        "torch._utils._rebuild_tensor",
        "torch._utils._rebuild_tensor_v2",
        "torch._utils._rebuild_tensor_v3",
    }
)
_NAMED = frozenset(
    {f"torch.{name}" for name, value in vars(torch).items() if isinstance(value, torch.dtype)}
    | {f"torch.{name}" for name in vars(torch) if name.endswith("Storage")}
    | {"torch.storage.TypedStorage", "torch.storage.UntypedStorage"}
)

_CONTAINERS = frozenset({"EMPTY_LIST", "EMPTY_DICT", "EMPTY_SET", "LIST", "DICT"})
_TUPLES = frozenset({"EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3"})
_ADDITIONS = frozenset({"APPEND", "APPENDS", "SETITEM", "SETITEMS"})
_OTHER_CALLS = frozenset({"NEWOBJ", "NEWOBJ_EX", "OBJ", "INST", "STACK_GLOBAL"})


@dataclass(slots=True, eq=False)
class _Value:
    """What stands for a value of the pickle."""

    kind: str = ""
    """"" for texts and numbers; "tuple", "container", "object", or the name of a global."""
    size: int = 1
    """Values in it, those of its parts counted when they were put in."""
    depth: int = 0
    flat: bool = False
    """Whether it is a tuple of nothing but texts and numbers."""


def scan_pickle(file: BinaryIO, allowed: Collection[str] = ()) -> None:
    """Walk the one pickle that begins at the file's position; stop behind it.

    Args:
        file: Binary, positioned.
        allowed: Names that the pickle may call with texts and numbers, besides those that tensors
            and plain types need (a shorter list than torch's own, which has names that hang).

    Raises:
        UnpicklingError: If it asks for a name that is not allowed, or for work out of measure.
        ValueError, IndexError, KeyError: If it is no pickle, or a broken one.
    """
    stack: list[_Value] = []
    marks: list[int] = []
    memo: dict[int, _Value] = {}
    fresh: _Value | None = None
    work = long_integers = 0
    operations: Iterator[tuple[pickletools.OpcodeInfo, Any, int | None]] = pickletools.genops(file)
    for step, (opcode, argument, _) in enumerate(operations):
        name = opcode.name
        if step >= MAX_STEPS:
            raise UnpicklingError(f"it takes more than {MAX_STEPS} steps to read")
        if name in ("BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
            continue
        if name == "MARK":
            marks.append(len(stack))
            continue
        taken = _take(stack, marks, opcode)
        if name in _TUPLES:
            fresh = _join(taken)
            stack.append(fresh)
            continue
        if name in ("BINGET", "LONG_BINGET"):
            stack.append(memo[argument])
        elif name == "GLOBAL":
            stack.append(_Value(_check_name(argument, allowed)))
        elif name in _ADDITIONS:
            stack.append(_add(name, taken))
        elif name == "REDUCE":
            work += taken[1].size
            if work > MAX_WORK:
                raise UnpicklingError(f"it hands more than {MAX_WORK} values to constructors")
            stack.append(_call(taken[0], taken[1], fresh, allowed))
        elif name == "BUILD":
            stack.append(_set_state(taken))
        elif name == "BINPERSID":
            _check_storage(taken[0])
            stack.append(_Value("object"))
        elif name in _OTHER_CALLS:
            raise UnpicklingError(f"it calls by {name}, which torch.save does not write")
        else:
            long_integers += isinstance(argument, int) and not -(2**63) <= argument < 2**64
            if long_integers > MAX_LONG_INTEGERS:
                raise UnpicklingError(f"more than {MAX_LONG_INTEGERS} integers beyond 64 bits")
            kind = "container" if name in _CONTAINERS else ""
            stack.extend(_Value(kind) for _ in opcode.stack_after)
        fresh = None


def _take(stack: list[_Value], marks: list[int], opcode: pickletools.OpcodeInfo) -> list[_Value]:
    """Pop what the opcode consumes, and everything above the last mark where it asks for that."""
    before: list[Any] = opcode.stack_before
    start = len(stack) - len(before)
    if pickletools.markobject in before:
        start = marks.pop() - before.index(pickletools.markobject)
    if start < 0:
        raise UnpicklingError("it takes more values than it made")
    taken = stack[start:]
    del stack[start:]
    return taken


def _check_name(argument: str, allowed: Collection[str]) -> str:
    name = argument.replace(" ", ".")
    if name in _CALLED or name in _NAMED or name in allowed:
        return name
    raise UnpicklingError(f"GLOBAL {name.removeprefix('__builtin__.')} was not an allowed name")


def _join(parts: list[_Value]) -> _Value:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > MAX_DEPTH:
        raise UnpicklingError(f"tuples are nested more than {MAX_DEPTH} levels deep")
    size = 1 + sum(part.size for part in parts)
    return _Value("tuple", size, depth, flat=not any(part.kind for part in parts))


def _add(name: str, taken: list[_Value]) -> _Value:
    # Hashing a key is a recursion in C, as deep and as often as the file likes.
    if name.startswith("SETITEM") and any(key.kind for key in taken[1::2]):
        raise UnpicklingError("a key of a dict is neither a text nor a number")
    taken[0].size += sum(part.size for part in taken[1:])
    return taken[0]


def _call(
    function: _Value, arguments: _Value, fresh: _Value | None, allowed: Collection[str]
) -> _Value:
    # A tuple that was put aside could have grown since it was measured.
    if arguments is not fresh or function.kind not in _CALLED.union(allowed):
        raise UnpicklingError("it calls what is no constructor")
    if function.kind in allowed and not arguments.flat:
        raise UnpicklingError(f"it calls {function.kind} with more than texts and numbers")
    if function.kind != _ORDERED_DICT:
        return _Value("object", arguments.size)
    if arguments.size > 1:
        raise UnpicklingError("an OrderedDict is made of something else")
    return _Value(f"{_ORDERED_DICT}()")


def _set_state(taken: list[_Value]) -> _Value:
    if taken[0].kind != f"{_ORDERED_DICT}()":
        raise UnpicklingError("it sets the state of what is no OrderedDict")
    return taken[0]


def _check_storage(identity: _Value) -> None:
    if identity.kind != "tuple" or identity.size > MAX_DEPTH:
        raise UnpicklingError("a persistent id is not that of a storage")
