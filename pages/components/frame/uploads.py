"""Payloads that visitors upload: kept by their content while the server runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import streamlit as st

from analysis.errors import PayloadError, to_printable
from analysis.files.atomic import replace_bytes
from analysis.files.read_only import is_read_only
from analysis.language import _
from analysis.payload.discovery import PayloadRef, load_ref
from analysis.vocabulary import FEATURE_STATS_DIR
from pages.components.shared import cache, selection
from pages.components.shared.text import plain

MAX_KEPT = 4 * 2**30
"""Bytes of all uploads together; one of the largest backbone has 120 MB."""

_UPLOADS = "uploads"


def explain(error: Exception, ref: PayloadRef) -> str:
    """Return what is wrong with a payload; an upload is called as its owner called it."""
    return str(error).replace(f"{ref.path.parent}/", "") if cache.is_upload(ref) else str(error)


def offer() -> None:
    """Show the button that uploads a payload, and look at what was uploaded.

    A read-only server takes nothing from visitors.
    """
    if is_read_only():
        return
    with st.popover(_("Upload a payload"), icon=":material/upload:", width="stretch"):
        file = st.file_uploader(
            _("A .pt file that the extraction made"),
            type="pt",
            key="upload",
            help=_(
                "Read without running anything in it. Kept while this server runs; "
                "only people with the link see it."
            ),
        )
    known: dict[str, str] = st.session_state.setdefault(_UPLOADS, {})
    if file is None or file.file_id in known.values():
        return
    if (path := _store(file.name, file.getvalue())) is None:
        st.error(
            _("This server has no room for more uploads until it is started again."),
            icon=":material/error:",
        )
        return
    ref = load_ref(path)
    try:
        cache.read(ref)
    except (PayloadError, OSError) as error:  # what is looked at stays
        sentence = _("{name} cannot be shown. {explain}").format(
            name=ref.name, explain=explain(error, ref)
        )
        st.error(plain(sentence), icon=":material/error:")
        return
    known[str(path)] = file.file_id
    selection.remember("version", ref.key)
    st.rerun()


def _store(name: str, content: bytes) -> Path | None:
    """Keep an upload by its content, so that the same file is kept once; None without room."""
    folder = cache.upload_folder() / hashlib.sha256(content).hexdigest() / FEATURE_STATS_DIR
    path = folder / (Path(to_printable(name)).stem[:80] + ".pt")
    if not path.exists():
        kept = sum(file.stat().st_size for file in _list_stored())
        if kept + len(content) > MAX_KEPT:
            return None
        replace_bytes(path, content)
    return path


def _list_stored() -> list[Path]:
    return list(cache.upload_folder().glob(f"*/{FEATURE_STATS_DIR}/*.pt"))


def list_all() -> list[PayloadRef]:
    """Return this session's uploads, and the one that the address asks for."""
    paths = [Path(path) for path in st.session_state.get(_UPLOADS, {})]
    linked = {selection.recall("version"), *(selection.recall("compare") or "").split(".")}
    refs = [load_ref(path) for path in _list_stored()]
    return [
        replace(ref, label=_("{name} · uploaded").format(name=ref.path.name))
        for ref in refs
        if ref.path in paths or ref.key in linked
    ]
