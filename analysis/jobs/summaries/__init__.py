"""Summaries of payloads for lists of many: computed once per file, kept in the user's cache folder.

`store` keeps them, `make` computes one, `runs` starts the processes that compute many, `worker` is
such a process.
"""

from analysis.jobs.summaries.make import make_entries
from analysis.jobs.summaries.runs import is_running, start_missing
from analysis.jobs.summaries.store import Entry, Found, find_summaries, read_stamp

__all__ = [
    "Entry",
    "Found",
    "find_summaries",
    "is_running",
    "make_entries",
    "read_stamp",
    "start_missing",
]
