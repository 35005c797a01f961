"""What state a job is in, in the words of the screen."""

from __future__ import annotations

import re

from analysis.jobs.extractions import Job, JobState
from analysis.language import N_, _, ngettext

_LABELS = {
    JobState.WAITING: ("◌", N_("Waiting")),
    JobState.PREPARING: ("◔", N_("Preparing")),
    JobState.RUNNING: ("◑", N_("Measuring")),
    JobState.SAVING: ("◕", N_("Saving")),
    JobState.FAILED: ("✗", N_("Failed")),
    JobState.CANCELLED: ("–", N_("Cancelled")),
    JobState.DONE: ("✓", N_("Done")),
}

_WAITING = re.compile(r"Waiting for (?P<device>.+), behind (?P<count>an|\d+) earlier jobs?")
"""What the process of a job that waits writes; processes write English."""


def describe(job: Job) -> str:
    """Return the state of a job in a word or two."""
    if job.is_cancelling:
        return _("Cancelling")
    if job.adapter_error:
        return _("Done, adapter NOT loaded")
    return _(_LABELS[job.state][1])


def translate(message: str) -> str:
    """Return what a job's process writes of its work, in the language of the page."""
    waiting = _WAITING.fullmatch(message)
    if waiting is None:
        return _(message)
    count = 1 if waiting["count"] == "an" else int(waiting["count"])
    return ngettext(
        "Waiting for {device}, behind an earlier job",
        "Waiting for {device}, behind {count} earlier jobs",
        count,
    ).format(device=waiting["device"], count=count)


def mark(job: Job) -> str:
    """Return the state of a job with its sign, for a table."""
    sign = "⚠" if job.adapter_error else _LABELS[job.state][0]
    words = describe(job)
    return f"{sign} {words[0].lower()}{words[1:]}"
