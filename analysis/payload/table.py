"""A payload as one array and tidy frames: the last place that sees a tensor.

Axes are always ``[layer, representation, role, statistic, channel]`` in the order of the
enumerations of `analysis.vocabulary`. Files are read by `analysis.payload.reading`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.run_schema import clear_run
from analysis.payload.tapped import choose_tapped
from analysis.vocabulary import (
    REPRESENTATIONS,
    ROLES,
    STATISTICS,
    Cell,
    Representation,
    Statistic,
    TokenRole,
)


@dataclass(frozen=True)
class StatsTable:
    """The statistics of one payload."""

    values: NDArray[np.float32]
    """``[layers, 3, 2, 3, channels]``: layer, representation, role, statistic, channel."""
    counts: NDArray[np.int64]
    """``[layers, 2]``: tokens behind each layer and role (the same for every representation)."""
    layers: NDArray[np.int64]
    """``[layers]``: the block index of each position, ascending."""
    meta: Mapping[str, Any]
    """The payload's `meta`, plain JSON types only."""

    @property
    def num_layers(self) -> int:
        """Number of layers held."""
        return self.values.shape[0]

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.values.shape[-1]

    @property
    def config(self) -> dict[str, Any]:
        """The training config that the payload was made with."""
        return _mapping(self.meta, "config")

    @property
    def backbone(self) -> dict[str, Any]:
        """`meta["backbone"]`: name, weights, head, `used_lora`, `lora_error`."""
        return _mapping(self.meta, "backbone")

    @property
    def run(self) -> dict[str, Any]:
        """`meta["run"]`; empty for payloads of other tools."""
        return _mapping(self.meta, "run")

    @property
    def num_images(self) -> int:
        """Images that were measured."""
        return int(_mapping(self.meta, "counts").get("num_images", 0))

    @property
    def tapped_layers(self) -> tuple[int, ...]:
        """The layers held here that the training config feeds to its head, ascending."""
        backbone_layers = _mapping(_mapping(self.config, "model"), "backbone_layers")
        recorded = _mapping(self.meta, "backbone").get("backbone_name")
        names = (_mapping(self.config, "model").get("backbone"), recorded)
        indices = choose_tapped(backbone_layers, tuple(n for n in names if isinstance(n, str)))
        own_layers = set(self.layers.tolist())
        chosen = indices if isinstance(indices, list) else []
        return tuple(sorted({i for i in chosen if type(i) is int and i in own_layers}))

    def position(self, layer: int) -> int:
        """Return where a layer stands on the first axis.

        Raises:
            PayloadError: If this payload does not hold the layer.
        """
        positions = np.flatnonzero(self.layers == layer)
        if not len(positions):
            first, last = self.layers[0], self.layers[-1]
            raise PayloadError(
                _(
                    "Layer {layer} is not in this payload, which holds layers {first} to {last}."
                ).format(layer=layer, first=first, last=last)
            )
        return int(positions[0])

    def __getitem__(self, cell: Cell) -> NDArray[np.float32]:
        """Return mean, std and max |x| of a cell, ``[3, channels]`` (a view).

        Raises:
            PayloadError: If this payload does not hold the layer.
        """
        layer, representation, role = cell
        return self.values[self.position(layer), representation.position, role.position]

    def get(
        self, layer: int, representation: Representation, role: TokenRole, statistic: Statistic
    ) -> NDArray[np.float32]:
        """Return one statistic of every channel, ``[channels]`` (a view)."""
        return self.over_depth(representation, role, statistic)[self.position(layer)]

    def over_depth(
        self, representation: Representation, role: TokenRole, statistic: Statistic
    ) -> NDArray[np.float32]:
        """Return one statistic of every layer and channel, ``[layers, channels]`` (a view)."""
        return self.values[
            :,
            representation.position,
            role.position,
            statistic.position,
        ]

    def count(self, layer: int, role: TokenRole) -> int:
        """Return the number of tokens behind a layer's statistics."""
        return int(self.counts[self.position(layer), role.position])


def build_table(payload: Mapping[str, Any]) -> StatsTable:
    """Turn a validated payload into arrays.

    Args:
        payload: As `analysis.payload.file.load_payload` returns it (tensors or arrays).

    Raises:
        PayloadError: If the representations of a layer and role disagree on the token count.
    """
    layers = sorted(payload["layers"])
    channels = len(payload["layers"][layers[0]][REPRESENTATIONS[0].value][ROLES[0].value]["mean"])
    shape = (len(layers), len(REPRESENTATIONS), len(ROLES), len(STATISTICS), channels)
    values = np.empty(shape, dtype=np.float32)
    counts = np.empty(shape[:3], dtype=np.int64)
    for i, layer in enumerate(layers):
        for j, representation in enumerate(REPRESENTATIONS):
            for k, role in enumerate(ROLES):
                cell = payload["layers"][layer][representation.value][role.value]
                counts[i, j, k] = cell["count"]
                for m, statistic in enumerate(STATISTICS):
                    values[i, j, k, m] = np.asarray(cell[statistic.value])
    unequal = np.argwhere(counts != counts[:, :1])
    if len(unequal):
        i, j, k = unequal[0]
        raise PayloadError(
            _(
                "layers.{layers}: {j}.{k}.count is {counts}, but "
                "{representations_1}.{k}.count is {counts_2}; every representation "
                "of a layer is measured on the same tokens. Make the payload anew."
            ).format(
                layers=layers[i],
                j=REPRESENTATIONS[j],
                k=ROLES[k],
                counts=counts[i, j, k],
                representations_1=REPRESENTATIONS[0],
                counts_2=counts[i, 0, k],
            )
        )
    # Through JSON here too, so that a first and a cached reading are equal.
    written = json.dumps(payload["meta"], default=_describe, ensure_ascii=False)
    # Half a surrogate pair is text to a pickle, but nothing that a page can show.
    meta = json.loads(written.encode(errors="replace"))
    if "run" in meta:
        meta["run"] = clear_run(meta["run"], len(layers))
    return StatsTable(values, counts[:, 0], np.array(layers, dtype=np.int64), meta)


def _mapping(parent: Mapping[str, Any], key: str) -> dict[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}


def _describe(value: Any) -> str:
    """Name what JSON has no word for; tensors by their shape, since printing them takes long."""
    shape = getattr(value, "shape", None)
    return str(value) if shape is None else f"{type(value).__name__} {tuple(shape)}"
