"""Start an intervention, follow it, stop it, and hand over its result."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analysis.errors import InputError
from analysis.files.read_only import is_read_only
from analysis.jobs.interventions import (
    InterventionRequest,
    RunState,
    find_run,
    start_run,
    stop_run,
)
from analysis.language import _
from analysis.payload.intervention_file import InterventionResult, load_interventions
from pages.components.shared.text import plain
from pages.components.shared.version import Version

POLL_SECONDS = 1


def follow(
    version: Version, request: InterventionRequest, images_dir: str | None
) -> InterventionResult | None:
    """Show how far the run of a request is; return its result once it is there."""
    asked = version.ref.path, request, images_dir
    run = find_run(*asked)
    if run is not None and run.state is RunState.DONE and run.result is not None:
        try:
            return load_interventions(run.result)
        except InputError as error:
            st.warning(plain(str(error)))
            run = None
    if run is not None and run.state is RunState.RUNNING:
        st.fragment(_poll, run_every=POLL_SECONDS)(*asked)
        return None
    if run is not None and run.state is RunState.FAILED:
        st.error(plain(run.error or _("The run failed.")), icon=":material/error:")
    if is_read_only():
        st.info(_("Read-only server: results can be viewed, interventions cannot be started."))
    elif st.button(_("Run"), type="primary", icon=":material/play_arrow:"):
        try:
            start_run(*asked)
        except InputError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.rerun()
    return None


def _poll(path: Path, request: InterventionRequest, images_dir: str | None) -> None:
    run = find_run(path, request, images_dir)
    if run is None or run.state is not RunState.RUNNING:
        st.rerun()
        return
    share = run.done / run.total if run.total else 0.0
    text = (
        _("{done} of {total} images").format(done=run.done, total=run.total)
        if run.total
        else plain(_(run.message))
    )
    st.progress(min(share, 1.0), text=text)
    if not is_read_only() and st.button(_("Stop"), key="stop intervention"):
        stop_run(path, request, images_dir)
