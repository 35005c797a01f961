"""The form in the sidebar that starts an extraction, and says before the start what it comes to."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from pathlib import Path

import streamlit as st

from analysis.errors import ConfigError, InputError
from analysis.jobs import (
    PRECISIONS,
    ExtractionRequest,
    Forecast,
    IfExists,
    forecast_extraction,
    is_read_only,
    list_configs,
    list_devices,
    list_heads,
    list_weights,
    prepare_standby,
    start_job,
)
from analysis.payload.discovery import allowed_roots
from pages.components.frame import job_panel, picker
from pages.components.shared import cache, job_list
from pages.components.shared.text import format_duration, plain, shorten_path

AUTOMATIC = "automatic"
FROZEN = "none"

_OPEN = "form"
_STARTED = "form started"
_FIELDS = tuple(
    f"form {name}"
    for name in (
        "project_dir", "config", "weights", "head", "max_images", "batch_size", "device",
        "precision",
    )
)  # fmt: skip
"""How the keys of the fields begin."""

_FIELD_OF_FLAG = {
    "--project-dir": "Project dir",
    "--config": "Config",
    "--dino-weights-pt": "Backbone weights",
    "--head-weights": "Head weights",
    "--max-images": "Max images",
    "--batch-size": "Batch size",
    "--device": "Device",
    "--precision": "Precision",
}


def show() -> None:
    """Show the form, folded in while there are payloads to look at."""
    if is_read_only():
        st.caption("Read-only server: payloads can be viewed, extractions cannot be started.")
        return
    _keep_fields()
    if st.session_state.pop(_STARTED, False):
        st.session_state[_OPEN] = False
    expander = st.expander(
        "New extraction",
        icon=":material/add_chart:",
        expanded=not cache.find_payloads() and not any(job.is_live for job in job_list.current()),
        key=_OPEN,
        on_change="rerun",
    )
    if expander.open:
        with expander:
            _show_fields()


def _keep_fields() -> None:
    """Keep what is in the fields while they are not drawn; Streamlit forgets it otherwise."""
    for key in list(st.session_state):
        if str(key).startswith(_FIELDS):
            st.session_state[key] = st.session_state[key]


def prefill(project_dir: Path, *, config_name: str, max_images: int, precision: str) -> None:
    """Open the form with the fields of a frozen run; for callbacks, before any field is drawn.

    Args:
        project_dir: As recorded in a payload; the form says so where it cannot be used here.
        config_name: File name of the config.
        max_images: Limit of the list, 0 for none.
        precision: One of `PRECISIONS`; anything else leaves the choice as it is.
    """
    state = st.session_state
    state[_OPEN] = True
    state["form project_dir"] = str(project_dir)
    state[f"form head {project_dir}"] = FROZEN
    state["form max_images"] = max_images or None
    if precision in PRECISIONS:
        state["form precision"] = precision
    with contextlib.suppress(InputError):
        for path in list_configs(project_dir):
            if path.name == config_name:
                state[f"form config {project_dir}"] = str(path)
                break


@st.fragment
def _show_fields() -> None:
    try:
        request = _read_fields()
        forecast = forecast_extraction(
            request,
            jobs=job_list.current(),
            payloads=[ref.path for ref in cache.find_payloads()],
        )
    except InputError as error:
        st.error(plain(_name_fields(str(error))), icon=":material/error:")
        st.button("Start extraction", type="primary", disabled=True, width="stretch")
        return
    prepare_standby()
    if_exists = _show_forecast(forecast)
    if st.button("Start extraction", type="primary", width="stretch"):
        try:
            job_panel.watch(start_job(forecast, if_exists))
        except InputError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.session_state[_STARTED] = True
            st.rerun()


def _read_fields() -> ExtractionRequest:
    roots = [str(root) for root in allowed_roots()]
    project_dir = Path(
        st.selectbox(
            "Project dir",
            roots,
            accept_new_options=True,
            key="form project_dir",
            help="The folder that holds configs/, data and weights. Type another path to use it.",
        )
        or roots[0]
    )
    config = _choose_file("Config", "config", list_configs, project_dir, first=[])
    weights = _choose_file(
        "Backbone weights", "weights", list_weights, project_dir, first=[AUTOMATIC]
    )
    head = _choose_file(
        "Head weights (LoRA)", "head", list_heads, project_dir, first=[AUTOMATIC, FROZEN]
    )
    left, right = st.columns(2)
    with left:
        max_images = _choose_whole(
            "Max images",
            "max_images",
            placeholder="all",
            help="Measure only the first N images of the list; empty or 0 measures all of them.",
        )
    with right:
        batch_size = _choose_whole("Batch size", "batch_size", placeholder="auto")
    left, right = st.columns(2)
    with left:
        device = _choose_device()
    precision = right.selectbox(
        "Precision",
        PRECISIONS,
        key="form precision",
        help="auto is bf16 on a GPU that has it, else fp32.",
    )
    for label, value, least in (("Max images", max_images, 0), ("Batch size", batch_size, 1)):
        if value is not None and (value < least or not value.is_integer()):
            raise ConfigError(
                f"{label} {value:g}: give a whole number, {least} or more, or leave it empty."
            )
    return ExtractionRequest(
        project_dir=project_dir,
        config=Path(config) if config else None,
        dino_weights_pt=None if weights in (None, AUTOMATIC) else Path(weights),
        head_weights=None if head in (None, AUTOMATIC) else head,
        max_images=None if max_images is None else int(max_images),
        device=device,
        batch_size=None if batch_size is None else int(batch_size),
        precision=precision if precision != "auto" else None,
    )


def _choose_whole(
    label: str, name: str, *, placeholder: str, help: str | None = None
) -> float | None:
    """Show a field for a whole number; the number as typed, since the form judges it.

    A field with a least value shows a typed one below it in red, and goes on with the last.
    """
    value = st.number_input(
        label,
        value=None,
        step=None,
        format="%g",
        placeholder=placeholder,
        key=f"form {name}",
        help=help,
    )
    return None if value is None else float(value)


def _name_fields(sentence: str) -> str:
    """Return a sentence about flags as one about the fields of the form."""
    for flag, field in _FIELD_OF_FLAG.items():
        sentence = sentence.replace(flag, f"“{field}”")
    return sentence


def _choose_file(
    label: str,
    name: str,
    find: Callable[[Path], Sequence[Path]],
    project_dir: Path,
    *,
    first: list[str],
) -> str | None:
    options = [*first, *map(str, find(project_dir))]
    return st.selectbox(
        label,
        options,
        index=0 if options else None,
        accept_new_options=True,
        # the choice belongs to the project dir that it was made for
        key=f"form {name} {project_dir}",
        placeholder="no file found: type a path",
        help="Type a path, relative to the project dir or absolute, to use another file.",
    )


def _choose_device() -> str | None:
    labels = {AUTOMATIC: "auto"} | {
        device.name: f"{device.name} · {device.label}" for device in list_devices(wait=False)
    }
    device = st.selectbox(
        "Device", list(labels), format_func=lambda name: labels[name], key="form device"
    )
    return None if device == AUTOMATIC else device


def _show_forecast(forecast: Forecast) -> IfExists:
    """Say what the request comes to; return what to do about a payload that stands there."""
    plan, estimate = forecast.plan, forecast.estimate
    images = len(plan.images.entries)
    about = format_duration(estimate.seconds)
    rough = "very roughly" if estimate.rough else "about"
    version = plan.settings.version or plan.settings.config_path.name
    st.markdown(
        f"**{plain(version)}**: {images} of {plan.images.total} images "
        f"({plan.images.split}) through {plain(plan.settings.backbone_name)}, {rough} {about}."
    )
    st.caption(f"The time is judged by {plain(estimate.basis)}.")
    head, folder = plan.head_path, plan.settings.project_dir
    st.caption(
        f"Weights {plain(shorten_path(plan.weights.path, folder))}, "
        + (
            f"adapter from {plain(shorten_path(head, folder))}."
            if head
            else "frozen backbone, no adapter."
        )
    )
    for notice in plan.notices:
        st.warning(plain(_name_fields(notice)))
    if forecast.identical is not None:
        counted = forecast.identical_images
        part = f", of {counted} of {images} images" if counted not in (None, images) else ""
        st.info(f"A payload of exactly this extraction is already there{part}.")
        if st.button("Open it", width="stretch"):
            picker.pick(forecast.identical)
            st.rerun()
    if_exists = _choose_if_exists(forecast)
    output = forecast.beside_output if if_exists is IfExists.BESIDE else forecast.default_output
    st.caption("Will be written to")
    st.code(shorten_path(output, plan.settings.project_dir), language=None, wrap_lines=True)
    return if_exists


def _choose_if_exists(forecast: Forecast) -> IfExists:
    if forecast.writer is not None:
        st.warning("Another job is about to write this payload; this one is saved beside it.")
        return IfExists.BESIDE
    if not forecast.exists:
        return IfExists.REFUSE
    choices = {
        IfExists.BESIDE: f"Save beside it as {forecast.beside_output.name}",
        IfExists.REPLACE: f"Replace it, keep the old one as {forecast.default_output.name}.bak",
    }
    return st.radio(
        "A payload stands at the output path",
        list(choices),
        format_func=lambda choice: choices[choice],
        key="form if_exists",
    )
