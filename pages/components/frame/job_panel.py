"""Progress of the extractions that run now, and the ends of those that ended since."""

from __future__ import annotations

import time

import streamlit as st

from analysis.errors import InputError
from analysis.jobs.extractions import Job, JobState, cancel_job, finish_job, is_read_only
from analysis.language import _
from pages.components.frame import job_endings, picker
from pages.components.shared import job_list, job_states, selection
from pages.components.shared.text import format_duration, plain

POLL_SECONDS = 2
"""Nine tabs that poll every second cost half a core of the server."""

SHOWN = 5


def watch(job: Job) -> None:
    """Follow a job in this session and in its address."""
    selection.remember("job", job.id)


def show() -> None:
    """Show the jobs that live, polled as long as there are any, and those that ended since."""
    jobs = job_list.look()
    job_endings.open_where_nothing_is_picked(jobs)
    if any(job.is_live for job in jobs):
        st.fragment(_poll, run_every=POLL_SECONDS)()
    else:
        job_endings.show(jobs)


def _poll() -> None:
    jobs = job_list.look()
    live = [job for job in jobs if job.is_live]
    # stops the polling, or shows what there was none of
    if not live or job_endings.open_where_nothing_is_picked(jobs):
        st.rerun()
    job_endings.show(jobs)
    for job in reversed(live[-SHOWN:]):
        _show_job(job)
    if len(live) > SHOWN:
        st.caption(_("{count} more jobs wait.").format(count=len(live) - SHOWN))
    if picker.has_newer_preview():  # after the buttons: a click must not be lost to it
        st.rerun()


def _show_job(job: Job) -> None:
    with st.container(border=True):
        st.markdown(f"**{job_states.describe(job)}** {plain(job.title)}")
        if job.state is JobState.WAITING:
            st.caption(plain(job_states.translate(job.message)) or _("Waiting for its turn"))
        else:
            share = job.done / job.total if job.total else 0.0
            st.progress(
                min(share, 1.0),
                text=_("{done} of {total} images").format(done=job.done, total=job.total),
            )
            st.caption(_describe_pace(job))
        job_endings.show_log(job)
        if job.preview is not None and st.button(
            _("Look at it now"),
            key=f"look {job.id}",
            icon=":material/visibility:",
            width="stretch",
            help=_("Open what has been counted so far, like a payload."),
        ):
            picker.pick_preview(job)
            st.rerun()
        if not is_read_only() and not job.is_cancelling:
            _show_ends(job)


def _show_ends(job: Job) -> None:
    """Show the ways to end a job."""
    with st.container(horizontal=True):
        finish = job.state is JobState.RUNNING and st.button(
            _("Finish now"),
            key=f"finish {job.id}",
            help=_("Enough: end it, and write the payload of what has been counted."),
        )
        cancel = st.button(
            _("Cancel"), key=f"cancel {job.id}", help=_("Stop it; no payload is written.")
        )
    try:
        if finish:
            finish_job(job)
            st.caption(_("Finishing; the batch at hand is still counted."))
        if cancel:
            cancel_job(job)
            st.rerun()
    except InputError as error:
        st.error(plain(str(error)))


def _describe_pace(job: Job) -> str:
    parts = (
        [plain(job_states.translate(job.message))] if job.message and not job.is_cancelling else []
    )
    if job.began is not None:
        parts.append(
            _("since {duration}").format(
                duration=format_duration(max(0.0, time.time() - job.began))
            )
        )
    if job.images_per_second:
        parts.append(
            _("{images_per_second:.3g} images/s").format(images_per_second=job.images_per_second)
        )
    if job.seconds_left is not None and job.state is JobState.RUNNING:
        parts.append(_("{duration} left").format(duration=format_duration(job.seconds_left)))
    parts.append(_("on {device}").format(device=job.device))
    return " · ".join(parts)
