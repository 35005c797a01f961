"""Every extraction that was asked for here: how it went, its log, its command."""

import streamlit as st

from analysis.jobs import list_jobs
from pages.components import job_history, shell

shell.open_page("Runs")
jobs = list_jobs()
if not jobs:
    st.info(
        "No extraction has been started from here yet. Open **New extraction** in the sidebar.",
        icon=":material/info:",
    )
    st.stop()
job = job_history.choose(jobs)
job_history.show(job)
