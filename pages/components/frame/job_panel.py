"""Progress of the extractions that run now, and what became of those that this session started."""

from __future__ import annotations

import streamlit as st

from analysis.errors import InputError
from analysis.jobs import Job, JobState, can_resume, cancel_job, finish_job, is_read_only
from pages.components.frame import picker
from pages.components.shared import job_list, selection
from pages.components.shared.text import format_duration, plain

POLL_SECONDS = 2
"""Nine tabs that poll every second cost half a core of the server."""

SHOWN = 5

_STATE_LABELS = {
    JobState.WAITING: "Waiting",
    JobState.PREPARING: "Preparing",
    JobState.RUNNING: "Measuring",
    JobState.SAVING: "Saving",
    JobState.FAILED: "Failed",
    JobState.CANCELLED: "Cancelled",
    JobState.DONE: "Done",
}


def watch(job: Job) -> None:
    """Follow a job in this session and in its address: its payload is shown once it is done."""
    selection.remember("job", job.id)


def show() -> None:
    """Show the jobs that live, polled as long as there are any, and the end of the watched one."""
    jobs = job_list.look()
    watched = next((job for job in jobs if job.id == selection.recall("job")), None)
    if watched is not None and not watched.is_live:
        _settle(watched)
    if any(job.is_live for job in jobs):
        st.fragment(_poll, run_every=POLL_SECONDS)()


def _settle(job: Job) -> None:
    """Show the payload of a watched job that is done; say why one has failed."""
    if job.state is JobState.DONE:
        selection.remember("job", None)
        selection.write_address()
        picker.pick(job.output)
        st.toast(f"{job.title} is done: {job.done} images measured.", icon=":material/check:")
        return
    if job.state is JobState.FAILED:
        st.error(f"The extraction of {job.title} failed. {job.error}", icon=":material/error:")
    else:
        st.warning(f"The extraction of {job.title} was cancelled; nothing was written.")
    if can_resume(job):
        st.caption("What it had counted is kept: go on with it on the page **Runs**.")
    _show_log(job)
    if st.button("Dismiss", key=f"dismiss {job.id}"):
        selection.remember("job", None)
        selection.write_address()
        st.rerun()


def _poll() -> None:
    jobs = job_list.look()
    live = [job for job in jobs if job.is_live]
    ended = {job.id for job in jobs} - {job.id for job in live}
    if not live or selection.recall("job") in ended:
        st.rerun()  # stops the polling, or shows what has come of the watched job
    for job in reversed(live[-SHOWN:]):
        _show_job(job)
    if len(live) > SHOWN:
        st.caption(f"{len(live) - SHOWN} more jobs wait.")
    if picker.has_newer_preview():  # after the buttons: a click must not be lost to it
        st.rerun()


def _show_job(job: Job) -> None:
    with st.container(border=True):
        st.markdown(f"**{_STATE_LABELS[job.state]}** {plain(job.title)}")
        if job.state is JobState.WAITING:
            st.caption(plain(job.message) or "Waiting for its turn")
        else:
            share = job.done / job.total if job.total else 0.0
            st.progress(min(share, 1.0), text=f"{job.done} of {job.total} images")
            st.caption(_describe_pace(job))
        _show_log(job)
        if job.preview is not None and st.button(
            "Look at it now",
            key=f"look {job.id}",
            icon=":material/visibility:",
            width="stretch",
            help="Open what has been counted so far, like a payload.",
        ):
            picker.pick_preview(job)
            st.rerun()
        if not is_read_only():
            _show_ends(job)


def _show_ends(job: Job) -> None:
    """Show the ways to end a job."""
    with st.container(horizontal=True):
        finish = job.state is JobState.RUNNING and st.button(
            "Finish now",
            key=f"finish {job.id}",
            help="Enough: end it, and write the payload of what has been counted.",
        )
        cancel = st.button("Cancel", key=f"cancel {job.id}", help="Stop it; no payload is written.")
    try:
        if finish:
            finish_job(job)
            st.caption("Finishing; the batch at hand is still counted.")
        if cancel:
            cancel_job(job)
            st.caption("Cancelling; it may take a few seconds.")
    except InputError as error:
        st.error(plain(str(error)))


def _show_log(job: Job) -> None:
    expander = st.expander("Log", on_change="rerun", key=f"log {job.id}")
    if expander.open:
        expander.code(job.read_log() or "Nothing yet.", language=None, wrap_lines=True)


def _describe_pace(job: Job) -> str:
    parts = [plain(job.message)] if job.message else []
    if job.images_per_second:
        parts.append(f"{job.images_per_second:.3g} images/s")
    if job.seconds_left is not None and job.state is JobState.RUNNING:
        parts.append(f"{format_duration(job.seconds_left)} left")
    parts.append(f"on {job.device}")
    return " · ".join(parts)
