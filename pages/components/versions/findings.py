"""What a comparison found, in sentences above the figures that show it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.language import N_, _
from analysis.read.compare.findings import Finding
from analysis.read.compare.noise_table import NoiseTable
from analysis.show.figures.theme import ROLE_LABELS
from pages.components.shared import selection
from pages.components.shared.text import plain

_FIGURES = {
    "drift": (N_("Drift of each layer"), {"": "drift"}),
    "outliers": (N_("Top channels"), {"": "top_channels", "every": "every_channel"}),
}
"""What the page calls a figure, and the anchor of its title by how it is drawn."""


def show(findings: Sequence[Finding], noise: NoiseTable, *, above: DeltaGenerator) -> None:
    """Show one line per finding, each with the figure that backs it and a way to its layer.

    Args:
        findings: As `analysis.read.compare.findings.describe_comparison` returns them.
        noise: What they were made of.
        above: Where those of the drift stand, above its figure.
    """
    for number, finding in enumerate(findings):
        place = above if finding.figure == "drift" else st.container()
        text, action = place.columns([5, 1], vertical_alignment="center")
        name, anchors = _FIGURES[finding.figure]
        anchor = anchors.get(selection.recall("drawn") or "", anchors[""])
        line = _("- {sentence} See [{name}](#{anchor}).")
        if place is above:
            line = "- {sentence}"
        text.markdown(line.format(sentence=plain(finding.sentence), name=_(name), anchor=anchor))
        if finding.layers:
            layer = _find_layer(finding, noise)
            action.button(
                _("Layer {layer}{role}").format(layer=layer, role=_name_role(finding)),
                key=f"finding {number}",
                type="tertiary",
                icon=":material/arrow_downward:",
                help=_("Show the channels of this layer below."),
                on_click=_choose_layer,
                args=(layer, finding),
            )


def _find_layer(finding: Finding, noise: NoiseTable) -> int:
    """Return the layer spoken of that drifts most."""
    drift = noise.drift[np.isin(noise.layers, finding.layers), finding.representation.position][
        :, [role.position for role in finding.roles]
    ]
    if np.isnan(drift).all():
        return finding.layers[-1]
    return finding.layers[int(np.nanargmax(drift.max(axis=1)))]


def _name_role(finding: Finding) -> str:
    """Return the tokens that a finding is of, where it is of one kind: two may name one layer."""
    return (
        _(", {role}").format(role=ROLE_LABELS[finding.roles[0]]) if len(finding.roles) == 1 else ""
    )


def _choose_layer(layer: int, finding: Finding) -> None:
    selection.remember("layer", str(layer))
    selection.remember("representation", str(finding.representation))
    if len(finding.roles) == 1:
        selection.remember("role", str(finding.roles[0]))
