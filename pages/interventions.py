"""Does a channel matter: fix it in the network, and see what later outputs change."""

import streamlit as st

from analysis.language import _
from pages.components.frame import picker, shell
from pages.components.interventions import choices, progress, result

shell.open_page(_("Interventions"))
version = picker.read_one()
request, images_dir = choices.choose(version)
state = progress.follow(version, request, images_dir)
if state is None:
    st.caption(
        _(
            "The channels are set to a fixed value in the network that this "
            "payload was made with, on its own images; as many random channels "
            "serve as control."
        )
    )
    st.stop()
result.show(state, version)
