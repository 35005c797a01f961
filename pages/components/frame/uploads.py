"""Payloads that visitors upload: kept by their content while the server runs."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import streamlit as st

from analysis.errors import PayloadError, to_printable
from analysis.files.atomic import replace_bytes
from analysis.language import _
from analysis.payload.discovery import PayloadRef, load_ref
from analysis.vocabulary import FEATURE_STATS_DIR
from pages.components.shared import cache, selection
from pages.components.shared.text import plain

_UPLOADS = "uploads"


def explain(error: Exception, ref: PayloadRef) -> str:
    """Return what is wrong with a payload; an upload is called as its owner called it."""
    return str(error).replace(f"{ref.path.parent}/", "") if cache.is_upload(ref) else str(error)


def offer() -> None:
    """Show the button that uploads a payload, and look at what was uploaded."""
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
    path = _store(file.name, file.getvalue())
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


def _store(name: str, content: bytes) -> Path:
    """Keep an upload by its content, so that the same file is kept once."""
    folder = cache.upload_folder() / hashlib.sha256(content).hexdigest() / FEATURE_STATS_DIR
    path = folder / (Path(to_printable(name)).stem[:80] + ".pt")
    if not path.exists():
        replace_bytes(path, content)
    return path


def list_all() -> list[PayloadRef]:
    """Return this session's uploads, and the one that the address asks for."""
    paths = [Path(path) for path in st.session_state.get(_UPLOADS, {})]
    linked = {selection.recall("version"), *(selection.recall("compare") or "").split(".")}
    stored = cache.upload_folder().glob(f"*/{FEATURE_STATS_DIR}/*.pt")
    refs = [load_ref(path) for path in stored]
    return [
        replace(ref, label=_("{name} · uploaded").format(name=ref.path.name))
        for ref in refs
        if ref.path in paths or ref.key in linked
    ]
