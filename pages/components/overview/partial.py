"""How certain the numbers of an extraction are that still runs."""

from __future__ import annotations

import streamlit as st

from analysis.language import _
from analysis.payload.extras import Part
from analysis.read.compare.standard_error import tabulate_errors
from analysis.read.outliers import rank_channels
from analysis.vocabulary import Representation, TokenRole
from pages.components.shared import absent
from pages.components.shared.version import Version

TOP = 10


def show(version: Version) -> None:
    """Show the top channels of the last layer with the standard errors of mean and std."""
    layer = int(version.table.layers[-1])
    st.header(
        _("How certain the top {top} channels of layer {layer} are by now").format(
            top=TOP, layer=layer
        )
    )
    with absent.say():
        _show_certainty(version, layer)


def _show_certainty(version: Version, layer: int) -> None:
    table, extras = version.table, version.extras
    groups = extras.groups(layer, Representation.PRE, TokenRole.PATCH)
    groups = extras.require(Part.GROUPS, groups)
    top = rank_channels(table, layer, Representation.PRE, TokenRole.PATCH, k=TOP).frame["channel"]
    number = st.column_config.NumberColumn
    st.dataframe(
        tabulate_errors(groups, top.to_numpy()),
        hide_index=True,
        key="certainty",
        column_config={
            "channel": number(_("Channel"), format="%d"),
            "mean": number(_("mean"), format="%.4g"),
            "mean_error": number(_("± (standard error)"), format="%.2g"),
            "std": number(_("std"), format="%.4g"),
            "std_error": number(_("± (standard error) "), format="%.2g"),
        },
    )
    st.caption(
        _(
            "Block output, patch tokens. The errors come from groups of "
            "images, since tokens of one image resemble each other. max |x| "
            "has none: it only grows with more images."
        )
    )
