"""Which payloads are looked at: one version, any number to compare it with, uploads."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import streamlit as st

from analysis.discovery import PayloadRef, load_ref, short_names
from analysis.errors import PayloadError
from analysis.jobs import list_jobs
from analysis.tables import StatsTable
from analysis.vocabulary import FEATURE_STATS_DIR
from pages.components import cache, selection

MAX_COMPARED = 9
"""With the version itself ten, as many as there are colours."""

_PICKED = "picked"
_UPLOADS = "uploads"


@dataclass(frozen=True)
class Version:
    """One payload that is looked at."""

    ref: PayloadRef
    name: str
    """Short, unique among those looked at."""
    table: StatsTable


def show() -> None:
    """Show the picker, and remember what is picked for `read_versions`."""
    refs = {ref.key: ref for ref in [*cache.find_payloads(), *_uploaded()]}
    if not refs:
        st.session_state[_PICKED] = []
        st.caption("No payload found yet.")
        _show_upload()
        return
    names = list(refs)
    if selection.recall("version") is None:
        # noted although it is the default: tomorrow's newest payload may be another
        selection.remember("version", names[0])
    elif selection.recall("version") not in refs:
        st.warning("The payload that this link names is not here; the newest is shown.")
    first = selection.choose(
        "version",
        "Version",
        names,
        default=names[0],
        format_func=lambda key: refs[key].label,
        help="Every payload in a folder feature_stats below the project dir, newest first.",
        menu_width="stretch",
    )
    others = [key for key in names if key != first]
    compared = []
    if others:
        compared = selection.choose_many(
            "compare",
            "Compare with",
            others,
            format_func=lambda key: refs[key].label,
            limit=MAX_COMPARED,
        )
    st.session_state[_PICKED] = [refs[key] for key in [first, *compared]]
    _show_upload()
    for notice in cache.find_payloads().notices:
        st.caption(notice)


def read_versions() -> list[Version]:
    """Return the picked payloads that can be read; say of each other one what is wrong with it.

    Where none is left, the page ends here with a sentence that says what to do.
    """
    refs: list[PayloadRef] = st.session_state.get(_PICKED, [])
    if not refs:
        if any(job.is_live for job in list_jobs()):
            sentence = "An extraction is running. What it measures is shown here once it is done."
        else:
            sentence = (
                "There is nothing to show yet. Start an extraction in the sidebar, or upload a "
                "payload (.pt) that was made elsewhere."
            )
        st.info(sentence, icon=":material/info:")
        st.stop()
    versions: list[Version] = []
    for ref, name in zip(refs, short_names(refs), strict=True):
        try:
            versions.append(Version(ref, name, cache.read_table(ref)))
        except (PayloadError, OSError) as error:
            st.error(f"{name} cannot be shown. {error}", icon=":material/error:")
    if not versions:
        st.info("Pick another version in the sidebar, or extract this one again.")
        st.stop()
    return versions


def read_one() -> Version:
    """Return the one version that a page shows, with a choice where several are picked."""
    versions = {version.ref.key: version for version in read_versions()}
    keys = list(versions)
    if len(keys) == 1:
        return versions[keys[0]]
    key = selection.choose(
        "show", "Show", keys, default=keys[0], format_func=lambda key: versions[key].name
    )
    return versions[key]


def read_two() -> tuple[Version, Version]:
    """Return the two versions that a page compares, the picked one first.

    Where only one can be read, the page ends here with a sentence that says what to do.
    """
    first, *others = read_versions()
    if not others:
        st.info(
            "Pick a second payload under **Compare with** in the sidebar to see what differs.",
            icon=":material/info:",
        )
        st.stop()
    if len(others) == 1:
        return first, others[0]
    by_key = {version.ref.key: version for version in others}
    key = selection.choose(
        "against",
        f"Compare {first.name} with",
        list(by_key),
        default=next(iter(by_key)),
        format_func=lambda key: by_key[key].name,
    )
    return first, by_key[key]


def pick(path: Path) -> None:
    """Look at the payload at a path from the next run on; what was looked at stays beside it."""
    cache.find_payloads.clear()
    key = load_ref(path).key
    before = selection.recall("version")
    others = (selection.recall("compare") or "").split(".")
    kept = [other for other in (before, *others) if other and other != key]
    selection.remember("version", key)
    selection.remember("compare", ".".join(kept[:1]) or None)


def _show_upload() -> None:
    with st.popover("Upload a payload", icon=":material/upload:", width="stretch"):
        file = st.file_uploader(
            "A .pt file that the extraction made",
            type="pt",
            key="upload",
            help="Read without running anything in it. Kept while this server runs; only people "
            "with the link see it.",
        )
    known: dict[str, str] = st.session_state.setdefault(_UPLOADS, {})
    if file is None or file.file_id in known.values():
        return
    path = _store(file.name, file.getvalue())
    known[str(path)] = file.file_id
    selection.remember("version", load_ref(path).key)
    st.rerun()


def _store(name: str, content: bytes) -> Path:
    """Keep an upload by its content, so that the same file is kept once."""
    folder = cache.upload_folder() / hashlib.sha256(content).hexdigest() / FEATURE_STATS_DIR
    path = folder / (Path(name).stem[:80] + ".pt")
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.replace(path)
    return path


def _uploaded() -> list[PayloadRef]:
    """Return this session's uploads, and the one that the address asks for."""
    paths = [Path(path) for path in st.session_state.get(_UPLOADS, {})]
    linked = {selection.recall("version"), *(selection.recall("compare") or "").split(".")}
    stored = cache.upload_folder().glob(f"*/{FEATURE_STATS_DIR}/*.pt")
    refs = [load_ref(path) for path in stored]
    return [
        replace(ref, label=f"{ref.path.name} · uploaded")
        for ref in refs
        if ref.path in paths or ref.key in linked
    ]
