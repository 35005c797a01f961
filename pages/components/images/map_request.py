"""What to map: the choice of pictures, and of the network that they run through."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from analysis.errors import ImageError, InputError
from analysis.files.atomic import replace_bytes
from analysis.files.read_only import is_read_only
from analysis.jobs.extractions import list_heads, list_weights
from analysis.jobs.maps import MapRequest, Picture, uploads_folder
from analysis.jobs.maps.plan import FROZEN, MAX_IMAGES, find_head, find_weights, plan_maps
from analysis.jobs.maps.store import forget_oldest
from analysis.jobs.reader import load_photograph
from analysis.language import _
from analysis.payload.discovery import allowed_roots
from analysis.payload.extras import ExtraTable, Part
from analysis.payload.recorded_files import find_photograph
from analysis.payload.table import StatsTable
from analysis.read.places.photographs import MAX_BYTES
from analysis.vocabulary import TokenRole
from pages.components.shared import selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version

OFFERED = 1000
"""Training images in the menu, beside those that a link names."""

MAX_UPLOADED_BYTES = 2**30
"""Of all uploaded pictures that are kept; the oldest go first."""

MEASURED = "measured"


def choose(
    version: Version, extras: ExtraTable, layer: int, channel: int
) -> tuple[MapRequest, dict[Picture, str]] | None:
    """Show the choices; return the request and the pictures' names, None without a picture.

    Raises:
        InputError: If a picture, the weights or the head cannot be read.
    """
    pictures = _choose_pictures(version, extras, layer, channel)
    weights, head = _choose_network(version.table)
    if not pictures:
        return None
    try:
        request = plan_maps(version.table, list(pictures), channel, weights=weights, head=head)
    except OSError as error:  # a file that goes while it is looked at
        raise ImageError(
            _("{filename}: cannot be read ({strerror}).").format(
                filename=error.filename, strerror=error.strerror
            )
        ) from error
    return request, pictures


def _choose_pictures(
    version: Version, extras: ExtraTable, layer: int, channel: int
) -> dict[Picture, str]:
    """Return the chosen pictures and their names; where the channel peaks if none is chosen."""
    paths = extras.image_paths
    argmax = extras.argmax(TokenRole.PATCH) if extras.has(Part.ARGMAX) else None
    linked = map(selection.to_whole, (selection.recall("pictures") or "").split("."))
    further = sorted({n for n in linked if n is not None and OFFERED <= n < len(paths)})
    chosen = selection.choose_many(
        "pictures",
        _("Images"),
        [*range(min(len(paths), OFFERED)), *further],
        limit=MAX_IMAGES,
        format_func=paths.__getitem__,
        help=_("Of the training set; where none is chosen, the one where the channel peaks."),
    )
    uploaded = [] if is_read_only() else _show_uploader()
    if not chosen and not uploaded and argmax is not None:
        peak = int(argmax[version.table.position(layer)][channel, 0])
        chosen = [peak] if 0 <= peak < len(paths) else []
    folder = selection.recall("images")
    pictures: dict[Picture, str] = {}
    for index in chosen:
        path = find_photograph(paths[index], version.table.meta, folder)
        try:
            state = path.stat()
            pictures[_identify(str(path), state.st_size, state.st_mtime_ns)] = paths[index]
        except OSError as error:
            raise ImageError(
                _("{path}: cannot be read ({strerror}).").format(
                    path=path, strerror=error.strerror or error
                )
            ) from error
    for file in uploaded:
        pictures[_keep(file, version)] = file.name
    return pictures


def _show_uploader() -> list[UploadedFile]:
    return st.file_uploader(
        _("Or upload pictures"),
        type=["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"],
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        key="map uploads",
        help=_("Up to {max_images} in all; kept in this server's cache.").format(
            max_images=MAX_IMAGES
        ),
    )


@st.cache_data(max_entries=200, show_spinner=False)
def _identify(path: str, size: int, mtime_ns: int) -> Picture:
    del size, mtime_ns  # part of the key only
    return Picture.of(Path(path))


def _keep(file: UploadedFile, version: Version) -> Picture:
    """Keep an uploaded picture for the process that maps it; refuse what is none."""
    content = file.getvalue()
    load_photograph(content, version.table.run.get("image_size") or (64, 64))
    digest = hashlib.sha256(content).hexdigest()
    path = uploads_folder() / digest
    try:
        if not path.exists():
            replace_bytes(path, content)
            forget_oldest(path.parent, "*", MAX_UPLOADED_BYTES, keep=path)
    except OSError as error:
        raise ImageError(
            _("{path}: cannot be kept ({strerror}).").format(
                path=path, strerror=error.strerror or error
            )
        ) from error
    return Picture(path, digest)


def _choose_network(table: StatsTable) -> tuple[str | None, str | None]:
    """Return the weights and the head that were chosen in place of the measured ones."""
    root = allowed_roots()[0]
    names = {"weights": _name(find_weights, table), "head": _name(find_head, table)}

    def label(name: str, option: str) -> str:
        if option == FROZEN and name == "head":
            return _("none: the frozen backbone only")
        return option if option != MEASURED else _("as measured: {names}").format(names=names[name])

    chosen = {name: selection.recall(name) or MEASURED for name in names}
    shown = [names[name] if path == MEASURED else path for name, path in chosen.items()]
    measured = _(", as measured") if set(chosen.values()) == {MEASURED} else ""
    with st.expander(
        plain(
            _("Network: {shown_1}, head {shown_2}{measured}").format(
                shown_1=shown[0], shown_2=shown[1], measured=measured
            )
        ),
        icon=":material/account_tree:",
        expanded="?" in names.values(),
        key="map network",
    ):
        left, right = st.columns(2)
        help_text = _("Choose or type a path below the project dir to run another one.")
        with left:
            weights = selection.choose_or_type(
                "weights",
                _("Backbone weights"),
                [MEASURED, *map(str, list_weights(root))],
                default=MEASURED,
                format_func=lambda option: label("weights", option),
                help=help_text,
            )
        with right:
            head = selection.choose_or_type(
                "head",
                _("Head weights (LoRA)"),
                [MEASURED, FROZEN, *map(str, list_heads(root))],
                default=MEASURED,
                format_func=lambda option: label("head", option),
                help=help_text,
            )
    if {"weights": weights, "head": head} != chosen:
        st.rerun()  # for the line above the fields
    return (None if weights == MEASURED else weights), (None if head == MEASURED else head)


def _name(find: Callable[[StatsTable], Path | None], table: StatsTable) -> str:
    """Return folder and name of the file that was measured, "?" where it is not here."""
    try:
        path = find(table)
    except InputError:
        return "?"
    return _("none") if path is None else f"{path.parent.name}/{path.name}"
