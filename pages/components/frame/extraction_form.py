"""The form in the sidebar that starts an extraction, and says before the start what it comes to."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from analysis.errors import ConfigError, InputError
from analysis.jobs.extractions import (
    ExtractionRequest,
    Forecast,
    IfExists,
    forecast_extraction,
    is_read_only,
    prepare_standby,
    start_job,
)
from analysis.language import _
from pages.components.frame import extraction_fields, job_panel, picker
from pages.components.shared import cache, job_list
from pages.components.shared.text import format_duration, plain, shorten_path

_OPEN = "form"
_STARTED = "form started"


def show() -> None:
    """Show the form, folded in while there are payloads to look at."""
    if is_read_only():
        st.caption(_("Read-only server: payloads can be viewed, extractions cannot be started."))
        return
    extraction_fields.keep()
    if st.session_state.pop(_STARTED, False):
        st.session_state[_OPEN] = False
    expander = st.expander(
        _("New extraction"),
        icon=":material/add_chart:",
        expanded=not cache.find_payloads() and not any(job.is_live for job in job_list.current()),
        key=_OPEN,
        on_change="rerun",
    )
    if expander.open:
        with expander:
            _show_fields()


def prefill(project_dir: Path, *, config_name: str, max_images: int, precision: str) -> None:
    """Open the form with the fields of a frozen run; see `extraction_fields.prefill`."""
    st.session_state[_OPEN] = True
    extraction_fields.prefill(
        project_dir, config_name=config_name, max_images=max_images, precision=precision
    )


@st.fragment
def _show_fields() -> None:
    try:
        requests = extraction_fields.read()
        first, *more = [_forecast(request, among=len(requests)) for request in requests]
    except InputError as error:
        st.error(plain(extraction_fields.name_fields(str(error))), icon=":material/error:")
        st.button(_("Start extraction"), type="primary", disabled=True, width="stretch")
        return
    prepare_standby(first.pinned.to_arguments())
    if_exists = _show_forecast(first)
    for forecast in more:
        _show_headline(forecast)
    label = (
        _("Start {count} extractions").format(count=1 + len(more))
        if more
        else _("Start extraction")
    )
    if st.button(label, type="primary", width="stretch", key="start extraction"):
        try:
            for place, forecast in enumerate([first, *more]):
                how = if_exists if place == 0 else IfExists.BESIDE
                job_panel.watch(start_job(forecast, how))
        except InputError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.session_state[_STARTED] = True
            st.rerun()
    _show_details(first, if_exists)


def _forecast(request: ExtractionRequest, *, among: int) -> Forecast:
    """Return what a request comes to; where there are several, an error names its config."""
    try:
        return forecast_extraction(
            request,
            jobs=job_list.current(),
            payloads=[ref.path for ref in cache.find_payloads()],
        )
    except InputError as error:
        if among == 1:
            raise
        raise ConfigError(f"{request.config}: {error}") from error


def _show_forecast(forecast: Forecast) -> IfExists:
    """Say what the request comes to; return what to do about a payload that stands there."""
    _show_headline(forecast)
    for notice in forecast.plan.notices:
        st.warning(plain(extraction_fields.name_fields(notice)))
    if forecast.identical is not None:
        counted, images = forecast.identical_images, len(forecast.plan.images.entries)
        part = (
            _(", of {counted} of {images} images").format(counted=counted, images=images)
            if counted not in (None, images)
            else ""
        )
        st.info(_("A payload of exactly this extraction is already there{part}.").format(part=part))
        if st.button(_("Open it"), width="stretch"):
            picker.pick(forecast.identical)
            st.rerun()
    return _choose_if_exists(forecast)


def _show_headline(forecast: Forecast) -> None:
    plan, estimate = forecast.plan, forecast.estimate
    about = format_duration(estimate.seconds)
    rough = _("very roughly") if estimate.rough else _("about")
    version = plan.settings.version or plan.settings.config_path.name
    st.markdown(
        _(
            "**{version}**: {count} of {total} images ({split}) through "
            "{backbone_name}, {rough} {about}."
        ).format(
            version=plain(version),
            count=len(plan.images.entries),
            total=plan.images.total,
            split=plan.images.split,
            backbone_name=plain(plan.settings.backbone_name),
            rough=rough,
            about=about,
        )
    )


def _show_details(forecast: Forecast, if_exists: IfExists) -> None:
    """Say, below the button, what is read and where the payload goes."""
    plan = forecast.plan
    head, folder = plan.head_path, plan.settings.project_dir
    st.caption(
        _("Weights {path}, ").format(path=plain(shorten_path(plan.weights.path, folder)))
        + (
            _("adapter from {head}.").format(head=plain(shorten_path(head, folder)))
            if head
            else _("frozen backbone, no adapter.")
        )
    )
    output = forecast.beside_output if if_exists is IfExists.BESIDE else forecast.default_output
    st.caption(_("Will be written to"))
    st.code(shorten_path(output, plan.settings.project_dir), language=None, wrap_lines=True)
    st.caption(_("The time is judged by {basis}.").format(basis=plain(forecast.estimate.basis)))


def _choose_if_exists(forecast: Forecast) -> IfExists:
    if forecast.writer is not None:
        st.warning(_("Another job is about to write this payload; this one is saved beside it."))
        return IfExists.BESIDE
    if not forecast.exists:
        return IfExists.REFUSE
    choices = {
        IfExists.BESIDE: _("Save beside it as {name}").format(name=forecast.beside_output.name),
        IfExists.REPLACE: _("Replace it, keep the old one as {name}.bak").format(
            name=forecast.default_output.name
        ),
    }
    return st.radio(
        _("A payload stands at the output path"),
        list(choices),
        format_func=lambda choice: choices[choice],
        key="form if_exists",
    )
