"""The fields of the form: what can be chosen, what was typed, and all of it in the address."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from urllib.parse import parse_qsl, urlencode

import streamlit as st

from analysis.errors import ConfigError, InputError
from analysis.jobs.extractions import (
    PRECISIONS,
    ExtractionRequest,
    list_backbones,
    list_configs,
    list_devices,
    list_heads,
    list_weights,
)
from analysis.language import N_, Texts, _
from analysis.payload.discovery import allowed_roots
from pages.components.shared import selection
from pages.components.shared.text import plain

AUTOMATIC = "automatic"
FROZEN = "none"
_WORDS = Texts({AUTOMATIC: N_("automatic"), FROZEN: N_("none"), "auto": N_("auto")})

CHOICE = "form"
"""In the address: every field that is not as at first."""

_PER_DIR = ("config", "more", "weights", "weights_key", "head")
"""Fields whose choice belongs to the project dir that it was made for."""
_NUMBERS = ("max_images", "batch_size")
_FIELDS = ("project_dir", *_PER_DIR, *_NUMBERS, "device", "precision")
_TAKEN = "form taken from the address"
_SEPARATOR = "\n"

_FIELD_OF_FLAG = Texts(
    {
        "--project-dir": N_("Project dir"),
        "--config": N_("Config"),
        "--dino-weights-pt": N_("Backbone weights"),
        "--weights-key": N_("Backbone of the file"),
        "--head-weights": N_("Head weights"),
        "--max-images": N_("Max images"),
        "--batch-size": N_("Batch size"),
        "--device": N_("Device"),
        "--precision": N_("Precision"),
    }
)


def keep() -> None:
    """Keep what is in the fields while they are not drawn; Streamlit forgets it otherwise."""
    _take_from_address()
    begins = tuple(f"form {name}" for name in _FIELDS)
    for key in list(st.session_state):
        if str(key).startswith(begins):
            st.session_state[key] = st.session_state[key]


def prefill(project_dir: Path, *, config_name: str, max_images: int, precision: str) -> None:
    """Fill in the fields of a frozen run; for callbacks, before any field is drawn.

    Args:
        project_dir: As recorded in a payload; the form says so where it cannot be used here.
        config_name: File name of the config.
        max_images: Limit of the list, 0 for none.
        precision: One of `PRECISIONS`; anything else leaves the choice as it is.
    """
    state = st.session_state
    state["form project_dir"] = str(project_dir)
    state[f"form head {project_dir}"] = FROZEN
    state[f"form more {project_dir}"] = []
    state["form max_images"] = max_images or None
    if precision in PRECISIONS:
        state["form precision"] = precision
    with contextlib.suppress(InputError):
        for path in list_configs(project_dir):
            if path.name == config_name:
                state[f"form config {project_dir}"] = str(path)
                break


def read() -> list[ExtractionRequest]:
    """Show the fields; return what they ask for, one request for each config.

    Raises:
        InputError: If the project dir cannot be used, or a number is none that a run can have.
    """
    roots = [str(root) for root in allowed_roots()]
    project_dir = Path(
        st.selectbox(
            _("Project dir"),
            roots,
            accept_new_options=True,
            key="form project_dir",
            help=_(
                "The folder that holds configs/, data and weights. Type another path to use it."
            ),
        )
        or roots[0]
    )
    config = _choose_file(_("Config"), "config", list_configs, project_dir, first=[])
    others = [str(path) for path in list_configs(project_dir) if str(path) != config]
    more = _choose_more(others, project_dir) if others else []
    head = _choose_file(
        _("Head weights (LoRA)"), "head", list_heads, project_dir, first=[AUTOMATIC, FROZEN]
    )
    with st.popover(_("Weights, limits and device"), width="stretch"):
        weights = _choose_file(
            _("Backbone weights"), "weights", list_weights, project_dir, first=[AUTOMATIC]
        )
        files = ExtractionRequest(
            project_dir=project_dir,
            config=Path(config) if config else None,
            dino_weights_pt=None if weights in (None, AUTOMATIC) else Path(weights),
        )
        weights_key = _choose_backbone(list_backbones(files), project_dir)
        max_images = _choose_whole(
            _("Max images"),
            "max_images",
            placeholder=_("all"),
            help=_("Measure only the first N images of the list; empty or 0 measures all of them."),
        )
        batch_size = _choose_whole(_("Batch size"), "batch_size", placeholder=_("auto"))
        device = _choose_device()
        precision = st.selectbox(
            _("Precision"),
            PRECISIONS,
            format_func=_name_option,
            key="form precision",
            help=_("auto is bf16 on a GPU that has it, else fp32."),
        )
    _write_to_address(
        {
            "project_dir": "" if str(project_dir) == roots[0] else str(project_dir),
            "config": "" if config in (None, *_first(list_configs, project_dir)) else str(config),
            "more": _SEPARATOR.join(more),
            "weights": "" if weights in (None, AUTOMATIC) else weights,
            "weights_key": weights_key or "",
            "head": "" if head in (None, AUTOMATIC) else head,
            "max_images": "" if max_images is None else f"{max_images:g}",
            "batch_size": "" if batch_size is None else f"{batch_size:g}",
            "device": device or "",
            "precision": "" if precision == "auto" else precision,
        }
    )
    for label, value, least in ((_("Max images"), max_images, 0), (_("Batch size"), batch_size, 1)):
        if value is not None and (value < least or not value.is_integer()):
            raise ConfigError(
                _(
                    "{label} {value:g}: give a whole number, {least} or more, or leave it empty."
                ).format(label=label, value=value, least=least)
            )
    request = replace(
        files,
        weights_key=weights_key,
        head_weights=None if head in (None, AUTOMATIC) else head,
        max_images=None if max_images is None else int(max_images),
        device=device,
        batch_size=None if batch_size is None else int(batch_size),
        precision=precision if precision != "auto" else None,
    )
    return [request, *(replace(request, config=Path(path)) for path in more)]


def name_fields(sentence: str) -> str:
    """Return a sentence about flags as one about the fields of the form."""
    for flag, field in _FIELD_OF_FLAG.items():
        sentence = sentence.replace(flag, f"“{field}”")
    return sentence


def _choose_more(others: Sequence[str], project_dir: Path) -> list[str]:
    key = f"form more {project_dir}"
    state = st.session_state
    if key in state:  # a config may be gone since
        state[key] = [path for path in state[key] if path in others]
    return st.multiselect(
        _("And these configs"),
        others,
        key=key,
        placeholder=_("none"),
        help=_("Each is queued as an extraction of its own, with the other fields the same."),
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


def _choose_file(
    label: str,
    name: str,
    find: Callable[[Path], Sequence[Path]],
    project_dir: Path,
    *,
    first: list[str],
) -> str | None:
    options = [*first, *map(str, find(project_dir))]
    typed = st.selectbox(
        label,
        options,
        index=0 if options else None,
        accept_new_options=True,
        format_func=_name_option,
        key=f"form {name} {project_dir}",
        placeholder=_("no file found: type a path"),
        help=_("Type a path, relative to the project dir or absolute, to use another file."),
    )
    # the menu offers what was typed as a new option before the one that it is a part of
    meant = [option for option in options if typed and typed not in options and typed in option]
    if len(meant) != 1:
        return typed
    st.caption(_("Taken: {meant_1}").format(meant_1=plain(meant[0])))
    return meant[0]


def _name_option(option: str) -> str:
    """Return what the menus call an option: a word of the form, or a path or key as it is."""
    return _WORDS.get(option) or option


def _choose_backbone(keys: Sequence[str], project_dir: Path) -> str | None:
    """Show a field where the weights file holds several backbones; None for the usual one."""
    if not keys:
        return None
    key = f"form weights_key {project_dir}"
    if st.session_state.get(key) not in (None, AUTOMATIC, *keys):  # of another file
        del st.session_state[key]
    chosen = st.selectbox(
        _("Backbone of the file"),
        [AUTOMATIC, *keys],
        format_func=_name_option,
        key=key,
        help=_(
            "This file holds several backbones. Automatic takes the first that fits, in the order "
            "teacher, EMA, plain names, student, gram teacher."
        ),
    )
    return None if chosen == AUTOMATIC else chosen


def _choose_device() -> str | None:
    labels = {AUTOMATIC: _("auto")} | {
        device.name: f"{device.name} · {device.label}" for device in list_devices(wait=False)
    }
    if st.session_state.get("form device") not in (None, *labels):  # of another machine
        del st.session_state["form device"]
    device = st.selectbox(
        _("Device"), list(labels), format_func=lambda name: labels[name], key="form device"
    )
    return None if device == AUTOMATIC else device


def _first(find: Callable[[Path], Sequence[Path]], project_dir: Path) -> list[str]:
    return [str(path) for path in find(project_dir)[:1]]


def _write_to_address(values: Mapping[str, str]) -> None:
    text = urlencode({name: value for name, value in values.items() if value})
    if (selection.recall(CHOICE) or "") != text:
        selection.remember(CHOICE, text or None)
        selection.write_address()


def _take_from_address() -> None:
    """Fill in what the link says that this session came with."""
    state = st.session_state
    if _TAKEN in state:
        return
    state[_TAKEN] = True
    try:
        asked = dict(parse_qsl(selection.recall(CHOICE) or "", max_num_fields=len(_FIELDS)))
    except ValueError:
        return
    project_dir = asked.get("project_dir") or str(allowed_roots()[0])
    values: dict[str, object] = {}
    for name, text in asked.items():
        if name in _PER_DIR:
            value = text.split(_SEPARATOR) if name == "more" else text
            values[f"form {name} {Path(project_dir)}"] = value
        elif name in _NUMBERS:
            with contextlib.suppress(ValueError):
                values[f"form {name}"] = float(text)
        elif name in ("project_dir", "device") or (name == "precision" and text in PRECISIONS):
            values[f"form {name}"] = text
    for key, value in values.items():
        state.setdefault(key, value)
