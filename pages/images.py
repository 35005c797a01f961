"""From a channel to the photographs behind it: where it peaks, and its maps."""

import streamlit as st

from analysis.language import N_, Texts, _
from pages.components.frame import picker, shell
from pages.components.images import footprint as footprint_view
from pages.components.images import maps as map_view
from pages.components.images import peaks as peak_view
from pages.components.shared import selection

VIEWS = Texts(
    {
        "peaks": N_("Where it peaks"),
        "footprint": N_("Over the data set"),
        "maps": N_("Over a picture, through depth"),
    }
)

shell.open_page(_("Images"))
first = st.container(horizontal=True, gap="medium", vertical_alignment="top")
with first:
    version = picker.read_one()
    view = selection.choose(
        "view", _("Show"), list(VIEWS), default="peaks", format_func=VIEWS.__getitem__
    )
if view == "maps":
    map_view.show(version, first)
elif view == "footprint":
    footprint_view.show(version, first)
else:
    peak_view.show(version, first)
