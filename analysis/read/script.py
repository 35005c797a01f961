"""Payloads of the specification's script, which reads the images as training does."""

from __future__ import annotations

from analysis.language import N_
from analysis.payload.table import StatsTable

LOADER = N_(
    "This payload was written by the specification's script, which reads the training's loader: "
    "its augmentation may be in the numbers (a drift of 0.45 in one case), and no std is "
    "below 1e-4. Extract anew to compare with other versions."
)

_BACKBONE = frozenset(
    ("backbone_name", "dino_weights_pt", "head_weights_base", "used_lora", "lora_error")
)
"""Keys of `meta["backbone"]` that the script writes."""


def is_by_script(table: StatsTable) -> bool:
    """Return whether `meta` is that of the specification's script, which has no `run`."""
    return not table.run and table.backbone.keys() >= _BACKBONE
