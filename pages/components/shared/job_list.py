"""The extractions as they were when this rerun began: the disk is asked once per rerun."""

from __future__ import annotations

import streamlit as st

from analysis.jobs.extractions import Job, list_jobs

_JOBS = "jobs of this rerun"


def look() -> list[Job]:
    """Ask the disk for the extractions, latest first, and keep them for the rest of the rerun.

    For the frame, which every rerun begins with, and for fragments that run on their own.
    """
    st.session_state[_JOBS] = list_jobs()
    return st.session_state[_JOBS]


def current() -> list[Job]:
    """Return what `look` last found in this session."""
    jobs: list[Job] | None = st.session_state.get(_JOBS)
    return look() if jobs is None else jobs
