"""What the vectors of single images predict: linear probes at every depth."""

import streamlit as st

from analysis.errors import InputError
from analysis.language import N_, _
from analysis.payload.features import read_features
from analysis.vocabulary import Cell
from pages.components.frame import picker, shell
from pages.components.shared import controls, selection, vectors
from pages.components.shared.text import plain
from pages.components.targets import curves

GROUP_HELP = N_(
    "Images with the same value are held out together, so that a probe "
    "cannot recognise a date or a place instead of the target."
)

shell.open_page(_("Targets"))
versions = vectors.keep_with_vectors(picker.read_versions())
features = read_features(versions[0].ref.path, versions[0].table)
columns = [*features.targets, *features.categories]
if not columns:
    st.info(
        _(
            "The CSV of this payload has no column that could be predicted. "
            "Add a target to the CSV and extract again."
        ),
        icon=":material/info:",
    )
    st.stop()
with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    target = selection.choose("target", _("Target"), columns, default=columns[0], menu_width=260)
    groups = ["none", *(name for name in features.categories if name != target)]
    group = selection.choose(
        "group",
        _("Held out together"),
        groups,
        default="none",
        format_func=lambda name: _("none") if name == "none" else name,
        menu_width=220,
        help=_(GROUP_HELP),
    )
with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
    where = controls.choose_representation(), controls.choose_role()
    normalized = selection.switch(
        "normalized",
        _("With the vector of Share"),
        default=False,
        help=_(
            "A second probe of vectors that were given the normalisation "
            "vector of the page Share: scaled channel by channel, without "
            "outlier channels."
        ),
    )
try:
    chosen_group = None if group == "none" else group
    curves.show(versions, target, chosen_group, where, normalized=normalized)
except InputError as error:
    st.info(plain(str(error)), icon=":material/info:")
curves.offer_vectors(versions[0], Cell(controls.choose_layer(versions[0].table), *where))
