"""Entry of `streamlit run app.py`: the frame of every page.

The sidebar holds what all pages share: which payloads are looked at, the extractions that run,
and the form that starts one.
"""

from __future__ import annotations

import streamlit as st

from pages.components.shared import serving

serving.start()  # while the rest is imported, which takes as long as importing torch there

from pages.components.frame import extraction_form, job_panel, picker, saved_views, shell, tour  # noqa: E402
from pages.components.shared import present, selection  # noqa: E402

page = shell.navigate()
name = page.title.lower()
is_written = selection.follow_address(name)
with st.sidebar:
    job_panel.show()
    picker.show()
    extraction_form.show()
    saved_views.show_list(name)
    present.show_switch()
if is_written:
    selection.write_address()
saved_views.show_steps()
tour.guide(name)
shell.run(page)
