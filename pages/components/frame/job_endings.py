"""The extractions that ended since this session last looked: how, and what can be done now."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.jobs.extractions import Job, JobState, can_resume
from analysis.language import _
from pages.components.frame import picker
from pages.components.shared import job_states, selection
from pages.components.shared.text import plain

SHOWN = 3

_SEEN = "endings seen"


def show(jobs: Sequence[Job]) -> None:
    """Show how the unseen jobs ended, the latest first; each stays until it is dismissed."""
    unseen = list_unseen(jobs)
    for job in unseen[:SHOWN]:
        with st.container(border=True):
            _show_ending(job)
    if len(unseen) > SHOWN:
        st.caption(
            _("{count} more have ended: see the page **Runs**.").format(count=len(unseen) - SHOWN)
        )
    if len(unseen) > 1:
        st.button(_("Dismiss all"), width="stretch", on_click=_dismiss, args=(unseen,))


def list_unseen(jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs that ended in this session and were not dismissed, latest first.

    What had ended before is on the page Runs; only the job that the address follows is told too.
    """
    ended = [job for job in jobs if not job.is_live]
    seen = st.session_state.get(_SEEN)
    if seen is None:
        seen = {job.id for job in ended} - {selection.recall("job")}
        st.session_state[_SEEN] = seen
    for job in ended:
        if job.state is JobState.DONE and job.id not in seen:
            picker.follow_preview(job)
    return [job for job in ended if job.id not in seen]


def open_where_nothing_is_picked(jobs: Sequence[Job]) -> bool:
    """Look at the payload of a job that is done where no other is looked at.

    Returns:
        Whether there is one to look at from the next run on.
    """
    done = [job for job in list_unseen(jobs) if job.state is JobState.DONE]
    if not done or not done[0].output.is_file() or not picker.is_nothing_picked():
        return False
    picker.pick(done[0].output)
    if done[0].adapter_error is None:
        _dismiss(done[:1])
        st.toast(
            _("{title} is done: {done} images measured.").format(
                title=plain(done[0].title), done=done[0].done
            ),
            icon=":material/check:",
        )
    return True


def show_log(job: Job) -> None:
    """Show the end of a job's log, folded in."""
    expander = st.expander(_("Log"), on_change="rerun", key=f"log {job.id}")
    if expander.open:
        expander.code(job.read_log() or _("Nothing yet."), language=None, wrap_lines=True)


def _show_ending(job: Job) -> None:
    st.markdown(f"**{job_states.describe(job)}** {plain(job.title)}")
    if job.adapter_error:
        st.error(
            _(
                "The adapter was NOT loaded; the frozen backbone was measured. {adapter_error}"
            ).format(adapter_error=plain(job.adapter_error)),
            icon=":material/error:",
        )
    elif job.state is JobState.DONE:
        st.caption(_("{done} images measured.").format(done=job.done))
    elif job.state is JobState.FAILED:
        st.error(
            _("The extraction failed. {error}").format(error=plain(job.error or "")),
            icon=":material/error:",
        )
    else:
        st.warning(
            _("The extraction of {title} was cancelled; nothing was written.").format(
                title=plain(job.title)
            )
        )
    if can_resume(job):
        st.caption(_("What it had counted is kept: go on with it on the page **Runs**."))
    if job.state is not JobState.DONE or job.adapter_error:
        show_log(job)
    with st.container(horizontal=True):
        if (
            job.state is JobState.DONE
            and job.output.is_file()
            and st.button(
                _("Open it"),
                key=f"open {job.id}",
                type="primary",
                help=_("Look at it; what is looked at now stays beside it."),
            )
        ):
            picker.pick(job.output)
            _dismiss([job])
            st.rerun()
        st.button(_("Dismiss"), key=f"dismiss {job.id}", on_click=_dismiss, args=([job],))


def _dismiss(jobs: Sequence[Job]) -> None:
    for job in jobs:
        st.session_state[_SEEN].add(job.id)
        if selection.recall("job") == job.id:
            selection.remember("job", None)
    selection.write_address()
