"""The optional part of a payload, `extras`, as arrays: what the views beyond mean, std, max need.

Every part is read when it is asked for, and is None where the payload does not hold it; `require`
turns that into an error that says why, in a sentence for the screen.

`global_ln` is not stored. It is the affine image of `per_layer_ln` (both normalise with the same
epsilon), so its range is ``γ · range + β`` with the ends swapped where γ < 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from analysis import vocabulary
from analysis.errors import PartAbsentError
from analysis.language import _
from analysis.payload.array_cache import take_row
from analysis.payload.contract.extras import EXTRAS, LAYER_EXTRAS
from analysis.payload.groups import GroupStats, read_groups
from analysis.vocabulary import MEASURED, Representation, TokenRole

Floats = NDArray[np.float32]
Arrays = Mapping[str, NDArray[Any]]
Read = Callable[[str], NDArray[Any] | None]
Found = TypeVar("Found")

NORM_EDGES = np.array(vocabulary.NORM_EDGES)
"""Edges of the token-norm bins ``norm_hist[1:65]``; bins 0 and 65 count what lies beyond."""


class Part(StrEnum):
    """A part of `extras` that a payload may lack."""

    RANGE = "range"
    ARGMAX = "argmax"
    EXCEED = "exceed"
    NORM_HIST = "norm_hist"
    TOP = "top"
    GROUPS = "groups"
    IMAGE_MEANS = "image_means"
    STORAGE = "storage"
    EMBEDDING = "embedding"
    NORM = "norm"
    FOOTPRINT = "footprint"
    IMAGES = "images"


_LABELS = {key: form.label for key, form in (*LAYER_EXTRAS.fields.items(), *EXTRAS.fields.items())}
PART_LABELS: Mapping[Part, str] = {part: _LABELS[part] for part in Part}


@dataclass(frozen=True, eq=False)
class ExtraTable:
    """The `extras` of one payload; roles are named as in the file (cls, patch, storage_0 ...)."""

    layers: NDArray[np.int64]
    """``[layers]``: block indices, ascending, as in `StatsTable.layers`."""
    roles: tuple[str, ...]
    """Roles with a range; cls and patch first."""
    image_paths: tuple[str, ...]
    """Relative paths in index order; empty where not stored."""
    grid: tuple[int, int] | None
    """Patch rows and columns."""
    parts: Arrays = field(repr=False)
    """The arrays by name, some of them still on disk."""

    @property
    def storage_roles(self) -> tuple[str, ...]:
        """The storage tokens that were measured, each a role of its own."""
        return tuple(role for role in self.roles if role.startswith("storage_"))

    def has(self, part: Part) -> bool:
        """Return whether the payload holds a part."""
        if part is Part.IMAGES:
            return bool(self.image_paths)
        return any(name.split("/")[0] == part.value for name in self.parts)

    def why_absent(self, part: Part) -> str:
        """Return the sentence that explains a missing part and what to do."""
        what = _(PART_LABELS[part])
        if part is Part.STORAGE and self.has(Part.RANGE):
            return _("This backbone has no storage tokens (registers).")
        return _(
            "This payload does not hold {what}. It was made by another tool or "
            "with --no-extras: extract it again to see this view."
        ).format(what=what)

    def require(self, part: Part, found: Found | None) -> Found:
        """Return what a method of this table found of a part.

        Raises:
            PartAbsentError: If it is None.
        """
        if found is None:
            raise PartAbsentError(self.why_absent(part))
        return found

    def top(self) -> Floats | None:
        """Return the three largest |x| and the median |x|, means over images, ``[layers, 4]``."""
        return self._part("top")

    def norm_hist(self, representation: Representation, role: str) -> NDArray[np.int64] | None:
        """Return how many tokens have which L2 norm, ``[layers, 66]`` (bins: `NORM_EDGES`).

        None for `global_ln` too: the norm of a scaled token does not follow from its own.
        """
        return self._part(f"norm_hist/{representation}/{role}")

    def value_range(self, representation: Representation, role: str) -> Floats | None:
        """Return the signed minimum and maximum of every channel, ``[layers, 2, channels]``."""
        return self._range(representation, role, self._part)

    def argmax(self, role: str) -> NDArray[np.int32] | None:
        """Return where max |x| of the block output is, ``[layers, channels, 2]``.

        The image's index and the patch's; the latter is -1 for CLS and storage tokens.
        """
        return self._part(f"argmax/{role}")

    def exceed(self, role: str) -> NDArray[np.int64] | None:
        """Return how many tokens exceed `EXCEED_LEVELS`, ``[layers, 3, channels]``."""
        return self._part(f"exceed/{role}")

    def storage(self, representation: Representation, role: str) -> Floats | None:
        """Return mean, std and max |x| of one storage token, ``[layers, 3, channels]``."""
        return self._storage(representation, role, self._part)

    def storage_of_layer(
        self, layer: int, representation: Representation, role: str
    ) -> Floats | None:
        """Return the same of one layer, ``[3, channels]``, without reading the others."""
        return self._storage(representation, role, self._reader_of(layer))

    def exceed_of_layer(self, layer: int, role: str) -> NDArray[np.int64] | None:
        """Return `exceed` of one layer, ``[3, channels]``, without reading the others."""
        return self._reader_of(layer)(f"exceed/{role}")

    def storage_values(self) -> Floats | None:
        """Return all of `storage`, ``[layers, 3, storage tokens, 3, channels]``."""
        cells = [[self.storage(r, role) for role in self.storage_roles] for r in Representation]
        stored = [[cell for cell in row if cell is not None] for row in cells]
        if not self.storage_roles or any(len(row) < len(self.storage_roles) for row in stored):
            return None
        return np.stack([np.stack(row, axis=1) for row in stored], axis=1)

    def embedding(self, role: str) -> Floats | None:
        """Return mean, std and max |x| of what enters block 0, ``[3, channels]``."""
        return self._part(f"embedding/{role}")

    def norm(self, role: str) -> tuple[Floats, Floats] | None:
        """Return γ and β of the shared LayerNorm that this role passes, ``[channels]`` each."""
        untied = role != TokenRole.PATCH and "norm/cls_gamma" in self.parts
        names = ("norm/cls_gamma", "norm/cls_beta") if untied else ("norm/gamma", "norm/beta")
        gamma, beta = map(self._part, names)
        return None if gamma is None or beta is None else (gamma, beta)

    def footprint(self) -> tuple[NDArray[np.int32], Floats] | None:
        """Return the mean |x| of a few large channels at every patch, over all images.

        Of patch tokens of the block output. Which channels, ``[layers, K]``, and the maps,
        ``[layers, K, rows, columns]``, NaN where no patch was counted.
        """
        channels, maps = map(self._part, ("footprint/channels", "footprint/mean_abs"))
        return None if channels is None or maps is None else (channels, maps)

    def groups(
        self, layer: int, representation: Representation, role: TokenRole
    ) -> GroupStats | None:
        """Return the statistics by image group of one layer (`comparison.image_groups`)."""
        extras = self.as_extras(representation, role, layer)
        return read_groups(extras, layer, representation, role)

    def image_means(self, representation: Representation, role: TokenRole) -> Floats | None:
        """Return the squared deviations of the image means, summed, ``[layers, channels]``.

        None for `global_ln`, of which they are γ² times those of `per_layer_ln`.
        """
        return self._part(f"image_means/{representation}/{role}")

    def as_extras(
        self,
        representation: Representation | None = None,
        role: TokenRole | None = None,
        layer: int | None = None,
    ) -> dict[str, Any] | None:
        """Return groups and norm nested as in the payload, for `noise` and `noise_table`.

        Args:
            representation: Read only what this one needs; all where None.
            role: Read only this one; both where None.
            layer: Likewise.

        Returns:
            None where the payload holds no groups.
        """
        if not self.has(Part.GROUPS):
            return None
        wanted = MEASURED if representation is None else (_stored(representation),)
        positions = {int(n): i for i, n in enumerate(self.layers) if layer in (None, int(n))}
        cells: dict[int, dict[str, dict[str, dict[str, Any]]]] = {
            number: {name.value: {} for name in wanted} for number in positions
        }
        for name in wanted:
            for one in TokenRole if role is None else (role,):
                for key in ("count", "mean", "std"):
                    place = f"groups/{name}/{one}/{key}"
                    if place not in self.parts:
                        continue
                    whole = self.parts[place] if layer is None else None
                    for number, i in positions.items():
                        row = take_row(self.parts, place, i) if whole is None else whole[i]
                        cells[number][name.value].setdefault(one.value, {})[key] = row
        keys = ("gamma", "beta", "cls_gamma", "cls_beta")
        norm = {key: self.parts[f"norm/{key}"] for key in keys if f"norm/{key}" in self.parts}
        layers = {number: {"groups": cell} for number, cell in cells.items()}
        return {"layers": layers, "norm": norm or None}

    def _range(self, representation: Representation, role: str, read: Read) -> Floats | None:
        if representation is not Representation.GLOBAL_LN:
            return read(f"range/{representation}/{role}")
        normed = read(f"range/{Representation.PER_LAYER_LN}/{role}")
        norm = self.norm(role)
        if normed is None or norm is None:
            return None
        ends = (norm[0] * normed.astype(np.float64) + norm[1]).astype(np.float32)
        return np.stack([ends.min(axis=-2), ends.max(axis=-2)], axis=-2)

    def _storage(self, representation: Representation, role: str, read: Read) -> Floats | None:
        if representation is not Representation.GLOBAL_LN:
            return read(f"storage/{role}/{representation}")
        normed = read(f"storage/{role}/{Representation.PER_LAYER_LN}")
        norm, ends = self.norm(role), self._range(representation, role, read)
        if normed is None or norm is None or ends is None:
            return None
        gamma, beta = norm
        mean, std = gamma * normed[..., 0, :] + beta, np.abs(gamma) * normed[..., 1, :]
        return np.stack([mean, std, np.abs(ends).max(axis=-2)], axis=-2)

    def _part(self, name: str) -> NDArray[Any] | None:
        return self.parts.get(name)

    def _reader_of(self, layer: int) -> Read:
        """Return what reads a part of one layer; None where it is not stored."""
        position = int(np.flatnonzero(self.layers == layer)[0])

        def read(name: str) -> NDArray[Any] | None:
            return take_row(self.parts, name, position) if name in self.parts else None

        return read


def build_extras(parts: Arrays, notes: Mapping[str, Any]) -> ExtraTable:
    """Wrap what `build_parts` returned."""
    grid = notes["grid"]
    return ExtraTable(
        np.array(notes["layers"], dtype=np.int64),
        tuple(notes["roles"]),
        tuple(notes["paths"]),
        None if grid is None else (int(grid[0]), int(grid[1])),
        parts,
    )


def _stored(representation: Representation) -> Representation:
    derived = representation is Representation.GLOBAL_LN
    return Representation.PER_LAYER_LN if derived else representation
