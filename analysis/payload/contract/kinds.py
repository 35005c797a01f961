"""Kinds of values that several keys of a payload have, and the names that stand for several keys.

Letters of shapes: C channels, L layers, K maps of a layer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

from analysis.payload.contract.form import Array, Keys, Length, Limits
from analysis.vocabulary import MEASURED, REPRESENTATIONS, ROLES

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = object

MAX_COUNT = 10**15
"""Images, tokens, or any number of a record."""

MAX_TEXT = 5000
"""Characters of a text in a record."""

MAX_SIDE = 100_000
"""Pixels."""

MAX_GRID = 10_000
"""Rows or columns of patches."""

Count = Annotated[int, Limits(0, MAX_COUNT)]
Text = Annotated[str, Limits(0, MAX_TEXT)]
Real = Annotated[float, Limits(-MAX_COUNT, MAX_COUNT)]
Amount = Annotated[float, Limits(0, MAX_COUNT)]
Side = Annotated[int, Limits(1, MAX_SIDE)]
Size = Annotated[list[Side], Length((2,))]
Vector = Annotated[Tensor, Array("float32", ("C",))]
Measured = Annotated[Tensor, Array("float32", ("C",), least=float("-inf"), any_width=False)]
Magnitude = Annotated[Tensor, Array("float32", ("C",), least=0, any_width=False)]

LayerKey = Annotated[int, Keys("layer", r"\d+")]
RepresentationKey = Annotated[
    str, Keys("representation", "|".join(REPRESENTATIONS), REPRESENTATIONS)
]
RoleKey = Annotated[str, Keys("role", "|".join(ROLES), ROLES)]
MeasuredKey = Annotated[str, Keys("measured", "|".join(MEASURED))]
GroupedRoleKey = Annotated[str, Keys("role", "|".join(ROLES))]
AnyRoleKey = Annotated[str, Keys("any_role", r"cls|patch|storage_\d{1,2}")]
StorageKey = Annotated[str, Keys("storage", r"storage_\d{1,2}")]
