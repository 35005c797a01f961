"""Check that what came out of a file can be walked through in bounded time and memory.

Lists can contain one another a thousand times over, or themselves; tensors can show one number as
a million. Whoever prints, compares or copies such values would never come to an end.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import Any

import torch
from torch import Tensor

MAX_TEXT = 32_000_000
"""Characters that everything but the tensors would take if it were written out."""

MAX_DEPTH = 100
MAX_TENSOR_SHARE = 4
"""Bytes of all tensors together, in sizes of the file: some may share their numbers."""

_SCALARS = (bool, int, float, torch.Size, torch.dtype, torch.device)
_SEQUENCES = (list, tuple, set)
_MAPPINGS = (dict, OrderedDict)
_BESIDE_TENSORS = (
    *(complex, bytes, bytearray, torch.layout, torch.qscheme),
    *(torch.TypedStorage, torch.UntypedStorage, type(torch.FloatTensor)),
)
_TOO_DEEP = f"it is nested more than {MAX_DEPTH} levels deep"
_COST = 8
"""Characters that any value counts for."""


def check_values(
    value: Any,
    file_bytes: int,
    classes: tuple[type, ...] = (),
    *,
    beside_tensors: bool = False,
) -> None:
    """Check everything in `value`.

    Args:
        value: What was read from the file.
        file_bytes: Size of the file, unpacked.
        classes: Classes that may occur besides tensors and plain types.
        beside_tensors: Whether bytes, complex numbers, Counters and tensors of any layout may too.

    Raises:
        ValueError: If it is nested, repeated or expanded without measure, contains itself, or
            holds something else than tensors and plain types.
    """
    meter = _Meter(classes, beside_tensors)
    try:
        meter.measure(value)
    except RecursionError:
        raise ValueError(_TOO_DEEP) from None
    if meter.tensor_bytes > MAX_TENSOR_SHARE * file_bytes:
        raise ValueError(f"its tensors take {meter.tensor_bytes} bytes, many times the file's")


class _Meter:
    def __init__(self, classes: tuple[type, ...], beside_tensors: bool) -> None:
        self.tensor_bytes = 0
        self._classes = (*classes, *_BESIDE_TENSORS) if beside_tensors else classes
        self._mappings = (*_MAPPINGS, Counter) if beside_tensors else _MAPPINGS
        self._any_layout = beside_tensors
        self._known: dict[int, tuple[int, int]] = {}
        self._opened: set[int] = set()
        self._tensors: set[int] = set()

    def measure(self, value: Any) -> tuple[int, int]:
        """Return the characters that `value` takes written out, about, and its levels."""
        kind = type(value)
        if value is None or kind in _SCALARS or kind in self._classes:
            return _COST, 0
        if kind is str:
            return _COST + len(value), 0
        if isinstance(value, Tensor):
            self._check_tensor(value)
            return _COST, 0
        if id(value) in self._known:
            return self._known[id(value)]
        if kind in self._mappings:
            children = [part for pair in value.items() for part in pair]
        elif kind in _SEQUENCES:
            children = list(value)
        else:
            raise ValueError(f"it holds a {kind.__name__}, expected tensors and plain types")
        if id(value) in self._opened:
            raise ValueError(f"it holds a {kind.__name__} that contains itself")
        self._opened.add(id(value))
        length, levels = _COST, 0
        for child in children:
            child_length, child_levels = self.measure(child)
            length, levels = length + child_length, max(levels, child_levels)
            if length > MAX_TEXT:
                raise ValueError(f"it takes more than {MAX_TEXT} characters written out")
        if levels >= MAX_DEPTH:
            raise ValueError(_TOO_DEEP)
        self._opened.discard(id(value))
        self._known[id(value)] = length, levels + 1
        return length, levels + 1

    def _check_tensor(self, tensor: Tensor) -> None:
        if id(tensor) in self._tensors:
            return
        self._tensors.add(id(tensor))
        if self._any_layout and (
            tensor.layout is not torch.strided or tensor.is_meta or tensor.is_nested
        ):
            return
        if tensor.layout is not torch.strided or tensor.device.type != "cpu":
            raise ValueError(f"it holds a {tensor.layout} tensor on {tensor.device}")
        if not self._any_layout and tensor.nbytes > tensor.untyped_storage().nbytes():
            raise ValueError(
                f"it holds a tensor of shape {tuple(tensor.shape)[:8]} on fewer numbers than that"
            )
        self.tensor_bytes += tensor.nbytes
