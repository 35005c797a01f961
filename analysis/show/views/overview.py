"""What Overview draws of one version."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.show.figures.overview import build_lora_proof
from analysis.show.figures.theme import Mode
from analysis.show.view import View, describe_one

PROOF_HEIGHT = 380
"""Pixels: the answer above and the whole figure stand on a screen of 720."""


def lora_proof(table: StatsTable, name: str, mode: Mode = "light") -> View | None:
    """Return how much the adapter changes each layer; None without an adapter.

    Args:
        table: Of the version.
        name: Of the version.
        mode: Light or dark.
    """
    proof = table.run.get("lora_proof")
    if not proof:
        return None
    changes = np.asarray(proof, dtype=np.float64)
    return View(
        _("What the adapter changes"),
        "lora proof",
        build_lora_proof(table.layers, changes, tapped=table.tapped_layers, mode=mode),
        pd.DataFrame({"layer": table.layers, "relative_change": changes}),
        caption=_(
            "Relative change of each layer's output on up to eight images, adapter on and off."
        ),
        least_height=PROOF_HEIGHT,
        **describe_one(name),
    )
