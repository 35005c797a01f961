"""Check that the optional `extras` of a payload are what the views of them rely on.

Every part may be missing; one that is there must have the keys, types and shapes that are written
down here. Keys of parts that are not known here belong to later versions, and are not read.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from analysis.errors import PayloadError
from analysis.payload.image_paths import MAX_PACKED_BYTES, MAX_PACKED_PATHS
from analysis.vocabulary import EXCEED_LEVELS, NORM_EDGES

Array = tuple[str, tuple[int | str, ...]]
"""Kind of number, of whatever width, and shape; C stands for the channels, G for image groups."""

Grid = tuple[int, int]

_ROLE = r"cls|patch|storage_\d{1,2}"
_REPRESENTATION = r"pre|per_layer_ln"
_VECTOR: Array = ("float", ("C",))
_GROUPED: Array = ("float", ("G", "C"))
_STATISTICS: dict[str, Array] = {"mean": _VECTOR, "std": _VECTOR, "max_abs": _VECTOR}

_LAYER_PARTS: dict[str, tuple[tuple[str, ...], dict[str, Array] | Array]] = {
    "range": ((_REPRESENTATION, _ROLE), {"min": _VECTOR, "max": _VECTOR}),
    "argmax": ((_ROLE,), ("int", ("C", 2))),
    "exceed": ((_ROLE,), ("int", (len(EXCEED_LEVELS), "C"))),
    "norm_hist": ((_REPRESENTATION, _ROLE), ("int", (len(NORM_EDGES) + 1,))),
    "top": ((), ("float", (4,))),
    "groups": (
        (_REPRESENTATION, _ROLE),
        {"count": ("int", ("G",)), "mean": _GROUPED, "std": _GROUPED},
    ),
    "image_means": ((_REPRESENTATION, _ROLE), _VECTOR),
    "storage": ((_ROLE, _REPRESENTATION), {"count": ("count", ())} | _STATISTICS),
}
_MAX_GRID = 10_000
_MAX_GROUPS = 1024

MAX_ARRAY_BYTES = 300_000_000
"""Of all layers together, twice what the largest backbone needs. A file may name one tensor in
many places, but each of these becomes an array of its own."""

_MIN_ARRAY_BYTES = 1_000
"""What any array counts for, however small."""


def check_extras(extras: Any, layers: Iterable[int], channels: int) -> None:
    """Check all that `analysis.payload.extras` reads.

    Args:
        extras: The value of the payload's key of that name; None where it has none.
        layers: The payload's layers.
        channels: Its channels.

    Raises:
        PayloadError: At the first key that is not as specified; names it, what was expected and
            what was found, but not the file.
    """
    if extras is None:
        return
    held = _mapping(_mapping(extras, "extras").get("layers", {}), "extras.layers")
    layers = list(layers)
    _check_size(held, layers)
    grid = _check_images(extras.get("images"))
    for layer in layers:
        where = f"extras.layers.{layer}"
        tree = _mapping(held.get(layer, {}), where)
        for part, (levels, leaf) in _LAYER_PARTS.items():
            if part in tree:
                _check_tree(tree[part], levels, leaf, channels, f"{where}.{part}")
        if "footprint" in tree:
            _check_footprint(tree["footprint"], channels, grid, f"{where}.footprint")
    embedding = extras.get("embedding", {})
    _check_tree(embedding, (_ROLE,), _STATISTICS, channels, "extras.embedding")
    norm = _mapping(extras.get("norm") or {}, "extras.norm")
    for key in ("gamma", "beta", "cls_gamma", "cls_beta"):
        if norm.get(key) is not None:
            _check_array(norm[key], _VECTOR, channels, f"extras.norm.{key}")


def _check_size(held: Mapping[Any, Any], layers: Iterable[int]) -> None:
    total = 0
    for layer in layers:
        tree = _mapping(held.get(layer, {}), f"extras.layers.{layer}")
        for part in (*_LAYER_PARTS, "footprint"):
            for value in _leaves(tree.get(part)):
                total += max(_MIN_ARRAY_BYTES, int(getattr(value, "nbytes", 0)))
                if total > MAX_ARRAY_BYTES:
                    expected = f"arrays of {MAX_ARRAY_BYTES} bytes in all layers together"
                    raise _fault("extras.layers", expected, "more")


def _leaves(value: Any, levels: int = 4) -> Iterator[Any]:
    """Yield the values of a nested dict, as deep as any part is specified."""
    if levels and isinstance(value, Mapping):
        for child in value.values():
            yield from _leaves(child, levels - 1)
    else:
        yield value


def _check_tree(
    value: Any, levels: tuple[str, ...], leaf: dict[str, Array] | Array, channels: int, where: str
) -> None:
    if levels:
        for key, child in _mapping(value, where).items():
            if not isinstance(key, str) or not re.fullmatch(levels[0], key):
                raise _fault(where, f"keys like {levels[0]}", repr(key))
            _check_tree(child, levels[1:], leaf, channels, f"{where}.{key}")
    elif isinstance(leaf, dict):
        cell = _mapping(value, where)
        for key, array in leaf.items():
            if key not in cell:
                raise _fault(f"{where}.{key}", "this key", "nothing")
            _check_array(cell[key], array, channels, f"{where}.{key}")
    else:
        _check_array(value, leaf, channels, where)


def _check_array(value: Any, array: Array, channels: int, where: str) -> None:
    kind, axes = array
    groups = tuple(getattr(value, "shape", ()))[:1]
    groups = groups[0] if groups and 1 <= groups[0] <= _MAX_GROUPS else "groups"
    letters = {"C": channels, "G": groups}
    shape = tuple(letters[axis] if isinstance(axis, str) else axis for axis in axes)
    if kind == "count":
        if type(value) is not int or not 0 <= value < 2**63:
            raise _fault(where, "a count", repr(value))
        return
    if not hasattr(value, "dtype") or not hasattr(value, "shape"):
        raise _fault(where, f"{kind} {shape}", f"a {type(value).__name__}")
    found = str(value.dtype).removeprefix("torch.")
    wanted = found.rstrip("1234568") == kind and tuple(value.shape) == shape
    if not wanted or getattr(value, "requires_grad", False):
        raise _fault(where, f"{kind} {shape}", f"{found} {tuple(value.shape)}")


def _check_footprint(value: Any, channels: int, grid: Grid | None, where: str) -> None:
    cell = _mapping(value, where)
    if grid is None:
        raise _fault("extras.images.grid", "rows and columns of the footprints", "nothing")
    shape = tuple(getattr(cell.get("channels"), "shape", ()))
    maps = shape[0] if len(shape) == 1 else 1
    leaf: dict[str, Array] = {"channels": ("int", (maps,)), "mean_abs": ("float", (maps, *grid))}
    _check_tree(cell, (), leaf, channels, where)
    which, values = np.asarray(cell["channels"]), np.asarray(cell["mean_abs"])
    if not 0 < len(np.unique(which)) == maps or which.min() < 0 or which.max() >= channels:
        expected = f"different channels below {channels}"
        raise _fault(f"{where}.channels", expected, str(which.tolist()))
    if ((values < 0) | np.isinf(values)).any():  # NaN where no patch was counted
        raise _fault(f"{where}.mean_abs", "means of |x|", "negative or infinite ones")


def _check_images(images: Any) -> Grid | None:
    """Check the list of images, and return the patch grid where it is there."""
    if images is None:
        return None
    paths = _mapping(images, "extras.images").get("paths")
    if paths is not None and hasattr(paths, "dtype"):
        _check_array(paths, ("uint", tuple(paths.shape)[:1]), 0, "extras.images.paths")
        number = 1 + len(paths) - int(np.count_nonzero(np.asarray(paths)))
        if paths.nbytes > MAX_PACKED_BYTES or number > MAX_PACKED_PATHS:
            expected = f"at most {MAX_PACKED_PATHS} paths of {MAX_PACKED_BYTES} bytes"
            raise _fault("extras.images.paths", expected, f"{number} of {paths.nbytes} bytes")
    elif not isinstance(paths or [], list) or not all(
        isinstance(path, str) for path in paths or []
    ):
        raise _fault("extras.images.paths", "a list of texts", type(paths).__name__)
    grid = images.get("grid")
    if grid is None:
        return None
    if not isinstance(grid, list | tuple) or [type(side) for side in grid] != [int, int]:
        raise _fault("extras.images.grid", "two whole numbers", repr(grid))
    if not all(0 < side <= _MAX_GRID for side in grid):
        raise _fault("extras.images.grid", f"1 to {_MAX_GRID} rows and columns", repr(grid))
    return int(grid[0]), int(grid[1])


def _mapping(value: Any, where: str) -> Mapping[Any, Any]:
    if not isinstance(value, Mapping):
        raise _fault(where, "a dict", f"a {type(value).__name__}")
    return value


def _fault(key: str, expected: str, found: str) -> PayloadError:
    return PayloadError(
        f"{key}: expected {expected}, found {found[:200]}. Make the payload anew, with extras of "
        "this version or none."
    )
