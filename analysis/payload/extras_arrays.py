"""From the `extras` of a payload to arrays over all layers, which `analysis.payload.extras` wraps.

An array is named by the keys that lead to it, such as ``range/pre/cls``. Those of one value per
channel that stand side by side (minimum and maximum; mean, std and max |x|) become one array.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.contract.extras import EXTRAS, LAYER_EXTRAS
from analysis.payload.contract.form import Form
from analysis.payload.extras_schema import check_extras
from analysis.payload.image_paths import unpack_paths
from analysis.vocabulary import REPRESENTATIONS, ROLES

Arrays = dict[str, NDArray[Any]]


def build_parts(payload: Mapping[str, Any]) -> tuple[Arrays, dict[str, Any]]:
    """Turn the `extras` of a validated payload into arrays over all layers.

    A part that any layer lacks is left out as a whole.

    Returns:
        The arrays ``[layers, ...]`` by name, and the facts that are none (layers, roles, paths of
        the images, patch grid), of JSON types.

    Raises:
        PayloadError: If a part is there but not as specified; names its key.
    """
    layers = sorted(payload["layers"])
    extras = payload.get("extras")
    first = payload["layers"][layers[0]][REPRESENTATIONS[0].value][ROLES[0].value]
    check_extras(extras, layers, len(first["mean"]))
    trees = [_child(_child(extras, "layers"), layer) for layer in layers]
    parts: Arrays = {}
    for names, form in _list_cells(trees[0], LAYER_EXTRAS):
        parts |= _read_cell(trees, layers, names, form)
    for key, values in _child(extras, "norm").items():
        if key in EXTRAS.fields["norm"].fields and values is not None:
            parts[f"norm/{key}"] = np.asarray(values)
    embedding = _child(extras, "embedding")
    for names, form in _list_cells(embedding, EXTRAS.fields["embedding"]):
        cell = embedding[names[0]]
        parts[f"embedding/{names[0]}"] = np.stack([np.asarray(cell[k]) for k in _vectors(form)])
    images = _child(extras, "images")
    notes = {
        "layers": layers,
        "roles": list(dict.fromkeys(n.split("/")[2] for n in parts if n.startswith("range/"))),
        "paths": unpack_paths(images.get("paths")),
        "grid": list(images["grid"]) if images.get("grid") is not None else None,
    }
    return parts, notes


def _list_cells(tree: Any, form: Form, *above: str) -> Iterator[tuple[tuple[str, ...], Form]]:
    """Yield keys and form of each array, and of each dict of arrays, of a tree that was checked."""
    children = [child for child in form.fields.values() if child.keys or child.fields]
    if form.keys is not None and form.item is not None:
        for key in tree:
            yield from _list_cells(tree[key], form.item, *above, str(key))
    elif children:
        for key, child in form.fields.items():
            if key in tree:
                yield from _list_cells(tree[key], child, *above, key)
    else:
        yield above, form


def _read_cell(
    trees: list[Mapping[Any, Any]], layers: list[int], names: tuple[str, ...], form: Form
) -> Arrays:
    stem = "/".join(names)
    if form.array is not None:
        stacked = _stack(trees, layers, names)
        return {} if stacked is None else {stem: stacked}
    arrays = {key: _stack(trees, layers, (*names, key)) for key in form.fields}
    vectors = [arrays.pop(key) for key in _vectors(form)]
    parts = {f"{stem}/{key}": array for key, array in arrays.items() if array is not None}
    whole = [vector for vector in vectors if vector is not None]
    if vectors and len(whole) == len(vectors):
        parts[stem] = np.stack(whole, axis=1)
    return parts


def _vectors(form: Form) -> list[str]:
    """Return the keys of a dict of arrays that hold one value per channel."""
    return [
        key for key, child in form.fields.items() if child.array and child.array.shape == ("C",)
    ]


def _stack(
    trees: list[Mapping[Any, Any]], layers: list[int], names: tuple[str, ...]
) -> NDArray[Any] | None:
    """Return one array of every layer, ``[layers, ...]``; None where a layer lacks it."""
    arrays: list[NDArray[Any]] = []
    for layer, tree in zip(layers, trees, strict=True):
        value: Any = tree
        for name in names:
            value = _child(value, name)
        if isinstance(value, Mapping):
            return None
        arrays.append(np.asarray(value))
        if arrays[-1].shape != arrays[0].shape:
            raise PayloadError(
                _(
                    "extras.layers.{layer}.{names}: expected shape {shape} as in layer {first}, "
                    "found {found}. Make the payload anew."
                ).format(
                    layer=layer,
                    names=".".join(names),
                    shape=arrays[0].shape,
                    first=layers[0],
                    found=arrays[-1].shape,
                )
            )
    return np.stack(arrays)


def _child(parent: Any, key: Any) -> Any:
    """Return a value of a dict; an empty dict where there is none."""
    value = parent.get(key) if isinstance(parent, Mapping) else None
    return {} if value is None else value
