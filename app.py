"""Entry of `streamlit run app.py`: the frame of every page.

The sidebar holds what all pages share: which payloads are looked at, the extractions that run,
and the form that starts one.
"""

from __future__ import annotations

import streamlit as st

from pages.components.shared import serving

serving.start()  # while the rest is imported, which takes as long as importing torch there

from pages.components.frame import (  # noqa: E402
    extraction_form,
    job_panel,
    language_choice,
    picker,
    saved_views,
    shell,
    slides,
    tour,
)
from pages.components.shared import present, selection  # noqa: E402

language_choice.follow()
page = shell.navigate()
name = shell.name_page(page)
is_written = selection.follow_address(name)
if language_choice.follow():  # by the browser's Back or Forward
    st.rerun()
present.follow(name)
with st.sidebar:
    with st.container():  # what comes and goes in it moves nothing below: an open menu stays open
        job_panel.show()
    with st.container():
        picker.show()
    extraction_form.show()
    saved_views.show_list(name)
    present.show_switch()
    language_choice.show_switch()
if is_written:
    selection.write_address()
saved_views.show_steps(name)
tour.guide(name)
slides.go_on(name, shell.run(page))
