"""Every version at one look: how far each moved from the baseline, and where in depth."""

import streamlit as st

from analysis.language import _
from pages.components.frame import shell
from pages.components.home import choices, versions
from pages.components.shared import cache, job_list

shell.open_page(_("Home"))
refs = choices.list_versions()
if not refs:
    if any(job.is_live for job in job_list.current()):
        st.info(
            _("An extraction is running. What it measures is listed here once it is done."),
            icon=":material/info:",
        )
    else:
        st.info(
            _(
                "There is nothing to show yet. Start an extraction in the sidebar, "
                "or upload a payload (.pt) that was made elsewhere."
            ),
            icon=":material/info:",
        )
    st.stop()
versions.show(choices.choose(refs))
if len(refs) == 1:
    st.caption(_("There is only one payload. Extract or upload a second one to see what differs."))
for notice in cache.find_payloads().notices:
    st.caption(notice)
