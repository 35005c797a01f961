"""Compare the normalisation of a run with the data that the weights were pretrained on. No torch.

Source of the numbers: the model cards of the released DINOv3 checkpoints.
"""

from __future__ import annotations

import re
from pathlib import Path

from analysis.language import _

Triple = tuple[float, float, float]

WEB = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
"""LVD-1689M: mean and standard deviation of ImageNet, RGB in 0..1."""
SATELLITE = ((0.430, 0.411, 0.296), (0.213, 0.156, 0.143))
"""SAT-493M."""

_SATELLITE_NAME = re.compile(r"sat[-_]?493m", re.IGNORECASE)
_WEB_NAME = re.compile(r"lvd[-_]?1689m", re.IGNORECASE)
_TOLERANCE = 5e-3


def check_normalization(weights: Path, mean: Triple, std: Triple) -> tuple[str, ...]:
    """Return a warning where mean and std belong to the other of the two data sets.

    Args:
        weights: File or folder; what it was trained on is told by its name, or by that of a folder
            of the hub above it.
        mean: Per RGB channel, of values in 0..1, as the run uses it.
        std: Likewise.
    """
    place = "/".join(weights.parts[-4:])
    for pattern, name, right, wrong in (
        (_SATELLITE_NAME, "SAT-493M", SATELLITE, WEB),
        (_WEB_NAME, "LVD-1689M", WEB, SATELLITE),
    ):
        if pattern.search(place) and _is_near((mean, std), wrong):
            return (
                _(
                    "{name}: these weights were pretrained on {name_2}, whose "
                    "normalisation is mean {list} and std {list_2}; this run uses mean "
                    "{list_3} and std {list_4}. Set data.normalization, unless the "
                    "training did the same."
                ).format(
                    name=weights.name,
                    name_2=name,
                    list=list(right[0]),
                    list_2=list(right[1]),
                    list_3=list(mean),
                    list_4=list(std),
                ),
            )
    return ()


def _is_near(a: tuple[Triple, Triple], b: tuple[Triple, Triple]) -> bool:
    return all(
        abs(x - y) <= _TOLERANCE
        for ours, theirs in zip(a, b, strict=True)
        for x, y in zip(ours, theirs, strict=True)
    )
