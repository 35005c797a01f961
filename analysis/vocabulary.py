"""The words of the payload: one name per idea, used in code, files, pages and documentation.

The order of each enumeration is the order of the matching axis wherever statistics are held as
one array ``[layer, representation, role, statistic, channel]``. In files the members are written
as plain `str`, never as enum members, so that `torch.load(weights_only=True)` reads them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import StrEnum
from itertools import product
from typing import NamedTuple, Protocol, SupportsIndex


class _Axis(StrEnum):
    """An enumeration whose members are the positions of an array's axis."""

    @property
    def position(self) -> int:
        """The member's index on its axis."""
        return tuple(type(self)).index(self)


class Representation(_Axis):
    """What is measured of a block output."""

    PRE = "pre"
    """The block output itself (residual stream, before any norm)."""
    PER_LAYER_LN = "per_layer_ln"
    """A fresh LayerNorm without affine parameters, applied to this layer alone."""
    GLOBAL_LN = "global_ln"
    """The model's shared output LayerNorm (`norm`; `cls_norm` for CLS where untied)."""


class TokenRole(_Axis):
    """Which tokens of an image are pooled. Storage tokens (registers) belong to neither."""

    CLS = "cls"
    PATCH = "patch"


class Statistic(_Axis):
    """What is kept per channel."""

    MEAN = "mean"
    STD = "std"
    """Population standard deviation (ddof 0)."""
    MAX_ABS = "max_abs"


REPRESENTATIONS = tuple(Representation)
ROLES = tuple(TokenRole)
STATISTICS = tuple(Statistic)

MEASURED = (Representation.PRE, Representation.PER_LAYER_LN)
"""Representations that are measured; `GLOBAL_LN` is derived from `PER_LAYER_LN`."""


class Cell(NamedTuple):
    """What a row of channels belongs to: one layer, representation and role."""

    layer: int
    """The block's number, which is its position only where a payload holds every layer."""
    representation: Representation
    role: TokenRole


class _Numbers(Protocol):
    """A sequence or an array of whole numbers."""

    def __len__(self) -> int: ...
    def __getitem__(self, index: int, /) -> SupportsIndex: ...


CellIndex = tuple[int, int, int]
"""Position of a cell in an array ``[layers, 3, 2]``."""


def cell_at(layers: _Numbers, index: Sequence[SupportsIndex]) -> Cell:
    """Return the cell at an index of an array ``[layers, 3, 2]``.

    Args:
        layers: ``[layers]``: the block's number at each position.
        index: As `numpy.unravel_index` returns it.
    """
    layer, representation, role = index
    return Cell(int(layers[int(layer)]), REPRESENTATIONS[int(representation)], ROLES[int(role)])


def list_cells(layers: _Numbers) -> Iterator[tuple[CellIndex, Cell]]:
    """Yield the index and the cell of every element of an array ``[layers, 3, 2]``, in order."""
    for index in product(range(len(layers)), range(len(REPRESENTATIONS)), range(len(ROLES))):
        yield index, cell_at(layers, index)


LAYER_NORM_EPS = 1e-5
"""Epsilon of every LayerNorm of the released models, and of `per_layer_ln`."""

EXCEED_LEVELS = (6.0, 20.0, 100.0)
"""|x| above which `exceed` counts tokens."""

NORM_EDGES = tuple(10 ** (-1 + 6 * place / 64) for place in range(65))
"""Edges of the bins of token norms; bins 0 and 65 count what lies beyond."""

TOOL_VERSION = "0.1.0"
"""Of this package, as written into payloads."""

SCHEMA_VERSION = 1
"""Version of `meta["run"]`, `extras` and the JSON beside a payload."""

FEATURE_STATS_DIR = "feature_stats"
"""Name of the folder that payloads are written to and discovered in."""

PAYLOAD_NAME = "dinov3_feature_stats.pt"
"""File name of a payload at its default path."""
