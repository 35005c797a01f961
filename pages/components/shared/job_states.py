"""What state a job is in, in the words of the screen."""

from __future__ import annotations

from analysis.jobs.extractions import Job, JobState
from analysis.language import N_, _

_LABELS = {
    JobState.WAITING: ("◌", N_("Waiting")),
    JobState.PREPARING: ("◔", N_("Preparing")),
    JobState.RUNNING: ("◑", N_("Measuring")),
    JobState.SAVING: ("◕", N_("Saving")),
    JobState.FAILED: ("✗", N_("Failed")),
    JobState.CANCELLED: ("–", N_("Cancelled")),
    JobState.DONE: ("✓", N_("Done")),
}


def describe(job: Job) -> str:
    """Return the state of a job in a word or two."""
    if job.is_cancelling:
        return _("Cancelling")
    if job.adapter_error:
        return _("Done, adapter NOT loaded")
    return _(_LABELS[job.state][1])


def mark(job: Job) -> str:
    """Return the state of a job with its sign, for a table."""
    sign = "⚠" if job.adapter_error else _LABELS[job.state][0]
    words = describe(job)
    return f"{sign} {words[0].lower()}{words[1:]}"
