"""Every extraction that was asked for here, every payload that is there, and what they take."""

import streamlit as st

from analysis.jobs.extractions import is_read_only, measure_disk
from analysis.language import _
from pages.components.frame import job_panel, shell
from pages.components.runs import job_history, payload_manager
from pages.components.shared import cache, job_list
from pages.components.shared.text import format_bytes

shell.open_page(_("Runs"))
jobs = job_list.current()

st.header(_("Extractions"))


def show_jobs() -> None:
    """Show the extractions as they are now."""
    jobs = job_list.look()
    if jobs:
        job_history.show(job_history.choose(jobs))
    else:
        how = "" if is_read_only() else _(" Open **New extraction** in the sidebar.")
        st.info(
            _("No extraction has been started from here yet.{how}").format(how=how),
            icon=":material/info:",
        )


is_polled = any(job.is_live for job in jobs)
st.fragment(show_jobs, run_every=job_panel.POLL_SECONDS if is_polled else None)()

st.header(_("Payloads"))
payload_manager.show()

st.header(_("Disk"))
use = measure_disk([ref.path for ref in cache.find_payloads()], jobs)
with st.container(horizontal=True):
    st.metric(
        _("Payloads"), format_bytes(use.payloads), border=True, help=_("On disk, with backups.")
    )
    st.metric(
        _("Checkpoints"),
        format_bytes(use.checkpoints),
        border=True,
        help=_("What extractions that run, or were interrupted, have counted so far."),
    )
    st.metric(_("Jobs"), format_bytes(use.jobs), border=True, help=_("Logs and previews."))
