"""What is on the screen, to be taken away: one offline report, normalisation vectors for heads."""

import streamlit as st

from analysis import language
from analysis.language import _
from analysis.show.export import export_normalization
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS
from pages.components.frame import picker, shell
from pages.components.share import offline_report, snippet
from pages.components.shared import controls, derived
from pages.components.shared.text import plain

shell.open_page(_("Share"))
versions = picker.read_versions()

st.info(
    _(
        "The address of every page is a link to what it shows, saved views "
        "included: send it as it is."
    ),
    icon=":material/link:",
)
spoken = language.current()  # of the visitor; the report is made in a thread of the server
st.header(_("Report"))
st.markdown(
    _("All main figures, the sanity of the numbers, settings and notes of ")
    + _(", ").join(f"**{plain(version.name)}**" for version in versions)
    + _(
        " as one HTML file that opens without a network. Pick the versions "
        "in the sidebar; notes are written on the page **Runs**."
    )
)
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    score = controls.choose_score()
    threshold = controls.choose_threshold(score)
    negligible = controls.choose_negligible()
st.download_button(
    _("Download the report"),
    data=lambda: offline_report.make(versions, score, threshold, negligible, spoken),
    file_name="dinov3_feature_statistics.html",
    mime="text/html",
    key="report",
    on_click="ignore",
    type="primary",
    icon=":material/download:",
)

st.header(_("Normalisation vector"))
version = picker.choose_one(versions)
st.markdown(
    _(
        "To scale what a head is given, `(tokens - mean) / std * keep`: mean, std and a mask "
        "without outlier and constant channels, for every layer."
    )
)
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    representation = controls.choose_representation()
    role = controls.choose_role()
layer = int(version.table.layers[-1])
left_out = derived.count_left_out(version.reading, representation, role, score, threshold)
tapped = version.table.tapped_layers or [layer]
counts = _(", ").join(
    _("{left_out:,} in layer {number}").format(left_out=left_out[number], number=number)
    for number in tapped
)
st.markdown(
    _(
        "It rests on {num_images:,} images; with 8, a std of CLS may be "
        "off sixfold. Left out of {channels:,} channels: {counts}."
    ).format(num_images=version.table.num_images, channels=version.table.channels, counts=counts)
)
st.download_button(
    _("Download the vector"),
    data=lambda: export_normalization(version.table, representation, role, score, threshold),
    file_name="normalization.safetensors",
    mime="application/octet-stream",
    key="normalization",
    on_click="ignore",
    icon=":material/download:",
    help=_("{representation}, {role} tokens; safetensors.").format(
        representation=REPRESENTATION_LABELS[representation], role=ROLE_LABELS[role]
    ),
)
snippet.show(layer)
