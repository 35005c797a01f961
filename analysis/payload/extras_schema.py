"""Check that the optional `extras` of a payload are what the views of them rely on.

Every part may be missing; one that is there must be as `analysis.payload.contract.extras` says.
Keys of parts that are not known there belong to later versions, and are not read.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.contract.extras import EXTRAS, LAYER_EXTRAS
from analysis.payload.contract.form import Form, FormError, check
from analysis.payload.image_paths import MAX_PACKED_BYTES, MAX_PACKED_PATHS

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
    try:
        _check_extras({} if extras is None else extras, list(layers), channels)
    except FormError as error:
        raise PayloadError(
            _("{error}. Make the payload anew, with extras of this version or none.").format(
                error=error
            )
        ) from error


def _check_extras(extras: Any, layers: list[int], channels: int) -> None:
    check(extras, Form(dict), "extras", {})
    trees = extras.get("layers", {})
    check(trees, Form(dict), "extras.layers", {})
    _check_size(trees, layers)
    sizes = {"C": channels}
    for key in ("images", "norm", "embedding"):
        part = extras.get(key)
        if isinstance(part, Mapping) and key != "embedding":  # None is no value
            part = {name: value for name, value in part.items() if value is not None}
        if part is not None:
            check(part, EXTRAS.fields[key], f"extras.{key}", sizes | _count_bytes(part))
    images = extras.get("images") or {}
    _check_paths(images.get("paths"))
    grid = images.get("grid")
    if grid is not None:
        sizes |= {"rows": grid[0], "columns": grid[1]}
    for layer in layers:
        tree, where = trees.get(layer, {}), f"extras.layers.{layer}"
        check(tree, Form(dict), where, {})
        if "footprint" in tree and grid is None:
            raise FormError("extras.images.grid", "rows and columns of the footprints", "nothing")
        check(tree, LAYER_EXTRAS, where, sizes)
        if "footprint" in tree:
            _check_channels(tree["footprint"]["channels"], channels, f"{where}.footprint.channels")


def _check_size(trees: Mapping[Any, Any], layers: Iterable[int]) -> None:
    total = 0
    for layer in layers:
        tree = trees.get(layer, {})
        check(tree, Form(dict), f"extras.layers.{layer}", {})
        for part in LAYER_EXTRAS.fields:
            for value in _list_values(tree.get(part)):
                total += max(_MIN_ARRAY_BYTES, int(getattr(value, "nbytes", 0)))
                if total > MAX_ARRAY_BYTES:
                    expected = f"arrays of {MAX_ARRAY_BYTES} bytes in all layers together"
                    raise FormError("extras.layers", expected, "more")


def _list_values(value: Any, levels: int = 4) -> Iterator[Any]:
    """Yield the values of a nested dict, as deep as any part is specified."""
    if levels and isinstance(value, Mapping):
        for child in value.values():
            yield from _list_values(child, levels - 1)
    else:
        yield value


def _count_bytes(images: Any) -> dict[str, int]:
    paths = images.get("paths") if isinstance(images, Mapping) else None
    shape = getattr(paths, "shape", ())
    return {"bytes": shape[0]} if len(shape) == 1 else {}


def _check_paths(paths: Any) -> None:
    if hasattr(paths, "dtype"):
        number = 1 + len(paths) - int(np.count_nonzero(np.asarray(paths)))
        if paths.nbytes > MAX_PACKED_BYTES or number > MAX_PACKED_PATHS:
            expected = f"at most {MAX_PACKED_PATHS} paths of {MAX_PACKED_BYTES} bytes"
            raise FormError("extras.images.paths", expected, f"{number} of {paths.nbytes} bytes")


def _check_channels(values: Any, channels: int, where: str) -> None:
    numbers = np.asarray(values)
    distinct = 0 < len(np.unique(numbers)) == len(numbers)
    if not distinct or numbers.min() < 0 or numbers.max() >= channels:
        raise FormError(where, f"different channels below {channels}", str(numbers.tolist()))
