"""Entry of `streamlit run app.py`: the frame of every page.

The sidebar holds what all pages share: which payloads are looked at, the extractions that run,
and the form that starts one.
"""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from pages.components import extraction_form, job_panel, picker, selection

st.set_page_config(
    page_title="DINOv3 feature statistics",
    # a file: an icon by name would be fetched from the web
    page_icon=str(Path(__file__).parent / "pages" / "icon.svg"),
    layout="wide",
    initial_sidebar_state=340,
)
page = st.navigation(
    [
        st.Page("pages/overview.py", title="Overview", icon=":material/fact_check:", default=True),
        st.Page("pages/layers.py", title="Layers", icon=":material/stacked_line_chart:"),
        st.Page("pages/outliers.py", title="Outliers", icon=":material/scatter_plot:"),
        st.Page("pages/versions.py", title="Versions", icon=":material/difference:"),
        st.Page("pages/runs.py", title="Runs", icon=":material/history:"),
    ],
    position="top",
)
with st.sidebar:
    job_panel.show()
    picker.show()
    extraction_form.show()
selection.write_address()
page.run()
