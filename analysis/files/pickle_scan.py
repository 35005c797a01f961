"""Judge the pickle in a torch file by its opcodes, before torch follows them.

`torch.load(weights_only=True)` runs no code of the file, yet a few bytes can still make it hang,
fill the memory or overflow the C stack: a tuple nested a million times as a key of a dict, a
`bytearray` of any size, a `set` of the same list over and over, the codec punycode. So the pickle
is walked once with sizes in place of values, and refused for what a file of tensors and plain
types never does.
"""

from __future__ import annotations

import pickle
from collections.abc import Collection
from dataclasses import dataclass
from pickle import UnpicklingError

from analysis.files.pickle_names import (
    AS_KEYS,
    BESIDE_TENSORS,
    BYTEARRAYS,
    CALLED,
    COMPLEX,
    COUNTER,
    ENCODE,
    LATIN,
    NAMED,
    ORDERED_DICT,
    PLAIN_TENSOR,
    SETS,
    WITH_ATTRIBUTES,
)
from analysis.files.refused_names import RefusedNameError

MAX_STEPS = 800_000
"""Opcodes that are followed, two for a text: 1.3 s here and in torch's unpickler together."""

MAX_OBJECTS = 100_000
"""Lists, dicts, storages and calls of constructors: two or three for a tensor. One takes torch up
to ten microseconds."""

MAX_DEPTH = 100
"""Levels of tuples in tuples."""

MAX_WORK = 5_000_000
"""Values handed to constructors, or set as state, altogether."""

MAX_KEY_VALUES = 100
"""Texts and numbers in a tuple that is a key of a dict."""

MAX_BYTES_SHARE = 4
"""Characters that become `bytes` altogether, in sizes of the pickle: one text can serve often."""

MAX_LONG_INTEGERS = 100
"""Integers of more than 8 bytes: many can be chosen to share one hash, which stalls a dict."""


@dataclass(slots=True, eq=False)
class _Value:
    """What stands for a value of the pickle."""

    kind: str
    """ "tuple", "container", "object", or the name of a global; "" for texts and numbers."""
    size: int = 1
    """Values in it, those of its parts counted when they were put in."""
    depth: int = 0
    flat: bool = False
    """Whether it is a tuple of nothing but texts and numbers."""
    parts: tuple[_Value, ...] = ()
    """Of a tuple of up to five."""
    length: int = 0
    """Bytes of a text; 0 for short ones."""


_PLAIN = _Value("")
_SHORT = _Value("")
"""A text of a few characters, unlike a number."""
_LATIN_NAME = _Value("")
_CONTAINER = "container"
_NEW_ORDERED_DICT = f"{ORDERED_DICT}()"
_GROWING = (_CONTAINER, _NEW_ORDERED_DICT)

# What torch's unpickler knows; anything else is refused.
_TEXT, _SHORT_TEXT, _LONG = pickle.BINUNICODE[0], pickle.SHORT_BINSTRING[0], pickle.LONG1[0]
_PROTO, _STOP, _MARK = pickle.PROTO[0], pickle.STOP[0], pickle.MARK[0]
_GLOBAL, _REDUCE, _BUILD = pickle.GLOBAL[0], pickle.REDUCE[0], pickle.BUILD[0]
_PERSISTENT = pickle.BINPERSID[0]
_PUTS = {pickle.BINPUT[0]: 1, pickle.LONG_BINPUT[0]: 4}
_GETS = {pickle.BINGET[0]: 1, pickle.LONG_BINGET[0]: 4}
_PLAIN_BYTES = {
    pickle.NONE[0]: 0,
    pickle.NEWTRUE[0]: 0,
    pickle.NEWFALSE[0]: 0,
    pickle.BININT1[0]: 1,
    pickle.BININT2[0]: 2,
    pickle.BININT[0]: 4,
    pickle.BINFLOAT[0]: 8,
}
_CONTAINERS = (pickle.EMPTY_LIST[0], pickle.EMPTY_DICT[0], pickle.EMPTY_SET[0])
_TUPLES = {
    pickle.EMPTY_TUPLE[0]: 0,
    pickle.TUPLE1[0]: 1,
    pickle.TUPLE2[0]: 2,
    pickle.TUPLE3[0]: 3,
    pickle.TUPLE[0]: None,
}
_ADDITIONS = {
    pickle.APPEND[0]: (False, False),
    pickle.APPENDS[0]: (True, False),
    pickle.SETITEM[0]: (False, True),
    pickle.SETITEMS[0]: (True, True),
}
"""Whether it adds all above the mark, and whether keys and values."""

_LONG_BYTES = 8


def scan_pickle(
    data: bytes, allowed: Collection[str] = (), start: int = 0, *, beside_tensors: bool = False
) -> int:
    """Walk one pickle as torch's unpickler would.

    Args:
        data: Holds the pickle; what stands behind it does not matter.
        allowed: Names that the pickle may call with texts and numbers, besides those that tensors
            and plain types need (a shorter list than torch's own, which has names that hang).
        start: Where the pickle begins.
        beside_tensors: Whether it may hold what torch reads beside tensors and plain types:
            Counter, bytes, complex numbers, sparse and quantised tensors, tensors with attributes.

    Returns:
        Where it ends.

    Raises:
        RefusedNameError: If it asks for a name that is not allowed.
        UnpicklingError: If it asks for work out of measure.
        ValueError, IndexError, KeyError: If it is no pickle, or a broken one.
    """
    scanner = _Scanner(data, start, allowed, beside_tensors)
    scanner.walk()
    return scanner.place


class _Scanner:
    def __init__(
        self, data: bytes, start: int, allowed: Collection[str], beside_tensors: bool
    ) -> None:
        self.place = start
        self._called = CALLED | BESIDE_TENSORS if beside_tensors else CALLED
        self._encoded = 0
        self._data = data
        self._allowed = frozenset(allowed)
        self._stack: list[_Value] = []
        self._below: list[list[_Value]] = []
        """Stacks put aside at a mark, as torch does."""
        self._objects = self._work = self._long_integers = 0

    def walk(self) -> None:
        """Follow the opcodes until the pickle stops."""
        data, place, stack = self._data, self.place, self._stack
        memo: dict[int, _Value] = {}
        fresh: _Value | None = None  # the tuple that the last opcode made
        for _ in range(MAX_STEPS):
            if place >= len(data):
                raise UnpicklingError("it is cut off")
            opcode = data[place]
            place += 1
            if opcode == _TEXT:
                length = int.from_bytes(data[place : place + 4], "little")
                place += 4 + length
                stack.append(_SHORT if length < 1000 else _Value("", length=length))
                if length in (6, 7) and data[place - length : place] in LATIN:
                    stack[-1] = _LATIN_NAME
                fresh = None
            elif opcode in _PUTS:
                behind = place + _PUTS[opcode]
                memo[int.from_bytes(data[place:behind], "little")] = stack[-1]
                place = behind
            elif opcode in _PLAIN_BYTES:
                place += _PLAIN_BYTES[opcode]
                stack.append(_PLAIN)
                fresh = None
            elif opcode in _GETS:
                behind = place + _GETS[opcode]
                stack.append(memo[int.from_bytes(data[place:behind], "little")])
                place = behind
                fresh = None
            elif opcode == _STOP:
                stack.pop()
                self.place = place
                return
            else:
                self.place = place
                fresh = self._follow(opcode, fresh)
                place, stack = self.place, self._stack
        raise UnpicklingError(f"it takes more than {MAX_STEPS} steps to read")

    def _follow(self, opcode: int, fresh: _Value | None) -> _Value | None:
        """Follow one of the rarer opcodes; return the tuple that it made, if it did."""
        stack = self._stack
        if opcode == _MARK:
            self._below.append(stack)
            self._stack = []
            return fresh
        if opcode in _TUPLES:
            size = _TUPLES[opcode]
            parts = self._pop_mark() if size is None else [stack.pop() for _ in range(size)][::-1]
            self._stack.append(_join(parts))
            return self._stack[-1]
        if opcode in _CONTAINERS:
            stack.append(_Value(_CONTAINER))
        elif opcode in _ADDITIONS:
            marked, pairs = _ADDITIONS[opcode]
            parts = self._pop_mark() if marked else [stack.pop() for _ in range(1 + pairs)][::-1]
            _add(self._stack[-1], parts, pairs)
        elif opcode == _GLOBAL:
            stack.append(_Value(self._check_name(f"{self._line()}.{self._line()}")))
        elif opcode == _REDUCE:
            arguments = stack.pop()
            self._count_object(arguments.size)
            # A tuple that was put aside could have grown since it was measured.
            if arguments is not fresh:
                raise UnpicklingError("it calls what is no constructor")
            stack[-1] = self._call(stack[-1], arguments)
        elif opcode == _BUILD:
            self._count_object(stack.pop().size)
            if stack[-1].kind != _NEW_ORDERED_DICT:
                raise UnpicklingError("it sets the state of what is no OrderedDict")
        elif opcode == _PERSISTENT:
            self._count_object()
            if stack[-1].kind != "tuple" or stack[-1].size > MAX_DEPTH:
                raise UnpicklingError("a persistent id is not that of a storage")
            stack[-1] = _Value("object")
        elif opcode in (_LONG, _SHORT_TEXT):
            self._skip_counted(opcode)
            stack.append(_PLAIN)
        elif opcode == _PROTO:
            self.place += 1
            self._count_object()  # torch warns of unusual ones each time
        else:
            raise UnpicklingError(f"opcode {bytes([opcode])!r}, which torch.save does not write")
        return None

    def _pop_mark(self) -> list[_Value]:
        above = self._stack
        self._stack = self._below.pop()
        return above

    def _line(self) -> str:
        end = self._data.index(b"\n", self.place)
        line = self._data[self.place : end].decode()
        self.place = end + 1
        return line

    def _skip_counted(self, opcode: int) -> None:
        size = self._data[self.place]
        self.place += 1 + size
        self._long_integers += opcode == _LONG and size > _LONG_BYTES
        if self._long_integers > MAX_LONG_INTEGERS:
            raise UnpicklingError(f"more than {MAX_LONG_INTEGERS} integers of more than 8 bytes")

    def _count_object(self, values: int = 0) -> None:
        self._objects += 1
        self._work += values
        if self._objects > MAX_OBJECTS or self._work > MAX_WORK:
            raise UnpicklingError(
                f"it makes more than {MAX_OBJECTS} objects, or makes them of {MAX_WORK} values"
            )

    def _check_name(self, name: str) -> str:
        if name in self._called or name in NAMED or name in self._allowed:
            return name
        raise RefusedNameError(name, self._data, self._called | NAMED | self._allowed)

    def _call(self, function: _Value, arguments: _Value) -> _Value:
        name = function.kind
        if name not in self._called and name not in self._allowed:
            raise UnpicklingError("it calls what is no constructor")
        if name in self._allowed and not arguments.flat:
            raise UnpicklingError(f"it calls {name} with more than texts and numbers")
        # A text counts as one value, but would be taken apart into its characters.
        if name in SETS and arguments.flat and arguments.size > 1:
            raise UnpicklingError("a set is made of a text or a number")
        if name in BESIDE_TENSORS:
            return self._call_beside(name, arguments)
        if name in AS_KEYS and all(_is_key(part) for part in arguments.parts):
            return _Value(name, arguments.size)
        if name != ORDERED_DICT:
            return _Value("object", arguments.size)
        if arguments.size > 1:
            raise UnpicklingError("an OrderedDict is made of something else")
        return _Value(_NEW_ORDERED_DICT)

    def _call_beside(self, name: str, arguments: _Value) -> _Value:
        """Check the arguments of what could be made to hang or to fill the memory."""
        parts = arguments.parts
        if name == ENCODE:
            if len(parts) != 2 or parts[1] is not _LATIN_NAME or parts[0] is _PLAIN:
                raise UnpicklingError("bytes are made of something else than a text in latin1")
            self._encoded += parts[0].length
            if self._encoded > MAX_BYTES_SHARE * len(self._data):
                raise UnpicklingError("one text is made into bytes over and over")
            return _Value("bytes", 1, length=parts[0].length)
        if name in BYTEARRAYS:
            # bytearray(n) would make n bytes.
            if parts and (len(parts) != 1 or parts[0].kind != "bytes"):
                raise UnpicklingError("a bytearray is made of something else than bytes")
            self._encoded += sum(part.length for part in parts)
        elif name in COMPLEX:
            if not arguments.flat:
                raise UnpicklingError("a complex number is made of something else than numbers")
            return _PLAIN
        elif name == COUNTER and parts and parts[0].kind != _CONTAINER:
            raise UnpicklingError("a Counter is made of something else than a dict")
        elif name == WITH_ATTRIBUTES and (len(parts) != 4 or parts[0].kind != PLAIN_TENSOR):
            raise UnpicklingError("a tensor with attributes is made of something else")
        return _Value("object", arguments.size)


def _join(parts: list[_Value]) -> _Value:
    depth = 1 + max((part.depth for part in parts), default=0)
    if depth > MAX_DEPTH:
        raise UnpicklingError(f"tuples are nested more than {MAX_DEPTH} levels deep")
    size = 1 + sum(part.size for part in parts)
    flat = not any(part.kind for part in parts)
    return _Value("tuple", size, depth, flat, tuple(parts) if len(parts) <= 5 else ())


def _add(target: _Value, parts: list[_Value], pairs: bool) -> None:
    # Hashing a key is a recursion in C, as deep and as often as the file likes.
    if pairs and not all(map(_is_key, parts[::2])):
        raise UnpicklingError("a key of a dict is no text, number, type or device")
    if target.kind not in _GROWING:
        raise UnpicklingError("it adds to what is no list or dict")
    target.size += sum(part.size for part in parts)


def _is_key(value: _Value) -> bool:
    short = value.size <= MAX_KEY_VALUES
    return not value.kind or (short and (value.flat or value.kind in AS_KEYS))
