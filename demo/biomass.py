"""Dry matter in grams from cover shares.

What covers a share `s` of the ground from above grows, under the Boolean model of leaves placed at
random, with a leaf area of ``-ln(1 - s)`` per ground area (Monsi & Saeki 1953); dry matter is taken
to be proportional to it. Grams are per quadrat and made up: only their order of magnitude is real.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

TARGETS = ("Dry_Clover_g", "Dry_Dead_g", "Dry_Green_g")
"""Order of every array of targets. "Green" is grass: clover is counted on its own."""

GRAMS = {"Dry_Clover_g": 48.0, "Dry_Dead_g": 40.0, "Dry_Green_g": 66.0}
"""Grams per quadrat at one leaf layer, by target."""

_COVER = (3, 1, 2)  # index of each target's share in `quadrats.COVERS`


def biomass(shares: ArrayLike) -> NDArray[np.float64]:
    """Compute grams ``[..., 3]`` in the order of `TARGETS` from shares ``[..., 4]`` of `COVERS`."""
    covered = np.clip(np.asarray(shares, np.float64)[..., _COVER], 0, 0.97)
    return -np.log1p(-covered) * np.array([GRAMS[name] for name in TARGETS])
