"""The extractions that were asked for, as a table to pick one from, and the one that is picked."""

from __future__ import annotations

import shlex
import time
from collections.abc import Sequence, Set
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import streamlit as st

from analysis.errors import InputError
from analysis.jobs.extractions import (
    Job,
    JobState,
    can_resume,
    delete_job,
    is_read_only,
    restart_job,
)
from analysis.language import _, pgettext
from pages.components.frame import job_endings, job_panel, picker
from pages.components.runs import confirm
from pages.components.shared import job_states
from pages.components.shared.text import format_duration, plain, shorten_path


def choose(jobs: Sequence[Job]) -> Job:
    """Show the jobs, latest first, and return the one whose row is picked, or else the latest."""
    unseen = {job.id for job in job_endings.list_unseen(jobs)}
    frame = pd.DataFrame(
        {
            "state": [_describe_state(job, unseen) for job in jobs],
            "title": [job.title for job in jobs],
            "images": [
                _("{done} of {total}").format(done=job.done, total=job.total) for job in jobs
            ],
            "device": [job.device for job in jobs],
            "asked": [datetime.fromtimestamp(job.created, UTC) for job in jobs],
            "took": [_took(job) for job in jobs],
            "output": [shorten_path(job.output, Path.cwd()) for job in jobs],
        }
    )
    event = st.dataframe(
        frame,
        hide_index=True,
        key=f"jobs {jobs[0].id} {len(jobs)}",  # a row picked in another list means another job
        on_select="rerun",
        selection_mode="single-row",
        selection_default={"selection": {"rows": [0]}},
        column_config={
            "state": st.column_config.TextColumn(_("State")),
            "title": st.column_config.TextColumn(_("Version")),
            "images": st.column_config.TextColumn(pgettext("count", "Images")),
            "device": st.column_config.TextColumn(_("Device"), width="small"),
            "asked": st.column_config.DatetimeColumn(
                _("Asked for (UTC)"), format="YYYY-MM-DD HH:mm"
            ),
            "took": st.column_config.TextColumn(_("Took"), width="small"),
            "output": st.column_config.TextColumn(_("Payload"), width="large"),
        },
    )
    rows = event["selection"]["rows"]
    return jobs[rows[0]] if rows and rows[0] < len(jobs) else jobs[0]


def show(job: Job) -> None:
    """Show one job: why it failed, its command, the end of its log."""
    st.subheader(
        _("{subject}: {words}").format(
            subject=plain(job.title), words=job_states.describe(job).lower()
        )
    )
    if job.adapter_error:
        st.error(
            _(
                "The adapter was NOT loaded; the frozen backbone was measured. {adapter_error}"
            ).format(adapter_error=plain(job.adapter_error)),
            icon=":material/error:",
        )
    if job.error:
        st.error(plain(job.error), icon=":material/error:")
    with st.container(horizontal=True):
        if (
            job.state is JobState.DONE
            and job.output.exists()
            and st.button(_("Show its payload"), icon=":material/visibility:")
        ):
            picker.pick(job.output)
            st.switch_page("pages/overview.py")
        if not job.is_live and not is_read_only():
            _show_actions(job)
    unfolded = job.is_live or job.error is not None
    with st.expander(_("Command, times and log"), expanded=unfolded):
        if job.phases:
            took = _(", ").join(f"{plain(_(name))} {seconds:.1f} s" for name, seconds in job.phases)
            st.caption(_("Where the time went: {took}.").format(took=took))
        st.caption(_("The same from a terminal"))
        st.code(f"python -m analysis {shlex.join(job.arguments)}", language="bash", wrap_lines=True)
        st.caption(_("End of the log"))
        st.code(job.read_log(40) or _("Nothing yet."), language=None, wrap_lines=True)


def _show_actions(job: Job) -> None:
    """Show what can be done with a job that has ended."""
    resume = can_resume(job) and st.button(
        _("Go on"),
        key=f"resume {job.id}",
        icon=":material/resume:",
        help=_("Measure the images that are left; what had been counted is kept."),
    )
    again = st.button(
        _("Start again"),
        key=f"again {job.id}",
        icon=":material/replay:",
        help=_("The same extraction from its first image. A payload that is there stays."),
    )
    delete = confirm.ask_twice(
        _("Delete"),
        f"job {job.id}",
        _("Delete this entry with its log? The payload of {title} stays.").format(
            title=plain(job.title)
        )
        + (_(" What it had counted is deleted too.") if can_resume(job) else ""),
    )
    try:
        if resume or again:
            job_panel.watch(restart_job(job, resume=bool(resume)))
            st.rerun(scope="app")
        if delete:
            delete_job(job)
            st.rerun(scope="app")
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")


def _describe_state(job: Job, unseen: Set[str]) -> str:
    return job_states.mark(job) + (_(", new") if job.id in unseen else "")


def _took(job: Job) -> str:
    """Return how long a job ran, or has run until now; waiting for its device does not count."""
    if job.is_live:
        seconds = None if job.began is None else max(0.0, time.time() - job.began)
    else:
        seconds = job.seconds if job.ran_seconds is None else job.ran_seconds
    return "" if seconds is None else format_duration(seconds)
