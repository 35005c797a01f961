"""What state a job is in, in the words of the screen."""

from __future__ import annotations

from analysis.jobs import Job, JobState

_LABELS = {
    JobState.WAITING: ("◌", "Waiting"),
    JobState.PREPARING: ("◔", "Preparing"),
    JobState.RUNNING: ("◑", "Measuring"),
    JobState.SAVING: ("◕", "Saving"),
    JobState.FAILED: ("✗", "Failed"),
    JobState.CANCELLED: ("–", "Cancelled"),
    JobState.DONE: ("✓", "Done"),
}


def describe(job: Job) -> str:
    """Return the state of a job in a word or two."""
    if job.is_cancelling:
        return "Cancelling"
    if job.adapter_error:
        return "Done, adapter NOT loaded"
    return _LABELS[job.state][1]


def mark(job: Job) -> str:
    """Return the state of a job with its sign, for a table."""
    sign = "⚠" if job.adapter_error else _LABELS[job.state][0]
    words = describe(job)
    return f"{sign} {words[0].lower()}{words[1:]}"
