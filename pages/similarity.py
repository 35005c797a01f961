"""How alike layers and versions are for the same images, and which images stand out."""

import streamlit as st

from analysis.errors import InputError
from analysis.language import N_, Texts, _
from analysis.payload.features import read_features
from analysis.vocabulary import Cell
from pages.components.frame import picker, shell
from pages.components.shared import controls, selection, vectors
from pages.components.shared.text import plain
from pages.components.similarity import views

VIEWS = Texts(
    {
        "layers": N_("Layers against layers"),
        "moved": N_("Single images"),
        "map": N_("Map of the images"),
        "directions": N_("Directions"),
    }
)

shell.open_page(_("Similarity"))
versions = vectors.keep_with_vectors(picker.read_versions())
version, others = versions[0], {each.ref.key: each for each in versions}
features = read_features(version.ref.path, version.table)
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    shown = selection.choose(
        "similarity", _("Show"), list(VIEWS), default="layers", format_func=VIEWS.__getitem__
    )
    key = version.ref.key
    if shown in ("layers", "moved") and len(others) > 1:
        key = selection.choose(
            "against",
            _("Against"),
            list(others),
            default=list(others)[1],
            format_func=lambda key: _("itself") if key == version.ref.key else others[key].name,
            menu_width=240,
        )
with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
    where = controls.choose_representation(), controls.choose_role()
    layer = int(version.table.layers[-1])
    if shown != "layers":
        layer = controls.choose_layer(version.table)
other = others[key]
try:
    if shown == "layers":
        views.show_layers(version, other, where)
    elif shown == "moved":
        views.show_images(version, features, other, Cell(layer, *where))
    elif shown == "map":
        views.show_map(version, features, Cell(layer, *where))
    else:
        views.show_directions(version, Cell(layer, *where))
except InputError as error:
    st.info(plain(str(error)), icon=":material/info:")
