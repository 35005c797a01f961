"""What a comparison found, in sentences above the figures that show it."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.language import N_, _
from analysis.read.compare.findings import Finding
from analysis.show.figures.theme import ROLE_LABELS
from pages.components.shared import selection
from pages.components.shared.text import plain

_FIGURES = {
    "drift": (N_("Drift of each layer"), {"": "drift"}),
    "outliers": (N_("Top channels"), {"": "top_channels", "every": "every_channel"}),
}
"""What the page calls a figure, and the anchor of its title by how it is drawn."""


def show(findings: Sequence[Finding], *, above: DeltaGenerator) -> None:
    """Show one line per finding, each with the figure that backs it and a way to its layer.

    Args:
        findings: As `analysis.read.compare.findings.describe_comparison` returns them.
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
        if finding.peak is not None:
            action.button(
                _("Layer {layer}{role}").format(layer=finding.peak, role=_name_role(finding)),
                key=f"finding {number}",
                type="tertiary",
                icon=":material/arrow_downward:",
                help=_("Show the channels of this layer below."),
                on_click=_choose_layer,
                args=(finding,),
            )


def _name_role(finding: Finding) -> str:
    """Return the tokens that a finding is of, where it is of one kind: two may name one layer."""
    return (
        _(", {role}").format(role=ROLE_LABELS[finding.roles[0]]) if len(finding.roles) == 1 else ""
    )


def _choose_layer(finding: Finding) -> None:
    selection.remember("layer", str(finding.peak))
    selection.remember("representation", str(finding.representation))
    if len(finding.roles) == 1:
        selection.remember("role", str(finding.roles[0]))
