"""Which payloads are looked at: one version, any number to compare it with, uploads."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import streamlit as st

from analysis.errors import PayloadError
from analysis.jobs.extractions import Job
from analysis.jobs.extractions.job import JOBS_DIR, PREVIEW_FILE
from analysis.language import _
from analysis.payload.discovery import PayloadRef, load_ref, payload_key, short_names
from pages.components.frame import link_content, uploads
from pages.components.shared import cache, job_list, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version

MAX_COMPARED = 9
"""With the version itself ten, as many as there are colours."""

_PICKED = "picked"
_PREVIEWS = "previews shown"
_DRAWN = "previews drawn at"
_NOTICES = "notices of the picker"
_ABSENT = "keys that are absent"
_BASELINE = "baseline at first"

REDRAW_SECONDS = 5
"""A preview that is written anew more often than that is not drawn each time."""


def show() -> None:
    """Show the picker, and remember what is picked for `read_versions`."""
    remarks = cache.read_annotations()
    for problem in remarks.problems:
        st.warning(plain(problem))
    refs = _list_refs()
    st.session_state[_PREVIEWS] = {}
    if not refs:
        st.session_state[_PICKED] = []
        st.caption(_("No payload found yet."))
        uploads.offer()
        return
    names = list(refs)
    baseline = next((key for key, ref in refs.items() if ref.path == remarks.baseline), None)
    for notice in st.session_state.pop(_NOTICES, []):
        st.warning(notice)
    if selection.recall("version") is None:
        # noted although it is the default: tomorrow's newest payload may be another
        selection.remember("version", names[0])
    elif selection.recall("version") not in refs:
        st.warning(_("The payload that this link names is not here; the newest is shown."))
    first = selection.choose(
        "version",
        _("Version"),
        names,
        default=names[0],
        format_func=lambda key: refs[key].label,
        help=_("Every payload in a folder feature_stats below the project dir, newest first."),
        menu_width="stretch",
    )
    others = [key for key in names if key != first]
    first_baseline = st.session_state.setdefault(_BASELINE, baseline)
    # one that is pinned meanwhile does not enter what is looked at now
    if baseline in others and baseline == first_baseline and selection.recall("compare") is None:
        selection.remember("compare", baseline)
    compared = []
    if others:
        compared = selection.choose_many(
            "compare",
            _("Compare with"),
            others,
            format_func=lambda key: refs[key].label,
            limit=MAX_COMPARED,
        )
    _explain_left_out(first, refs)
    picked = [refs[key] for key in [first, *compared]]
    st.session_state[_PICKED] = picked
    link_content.check([ref for ref in picked if not _is_preview(ref)])
    previews = [ref for ref in picked if _is_preview(ref)]
    st.session_state[_PREVIEWS] = {str(ref.path): ref.mtime_ns for ref in previews}
    st.session_state[_DRAWN] = time.monotonic()
    for ref in previews[:1]:
        selection.remember("job", ref.path.parent.name)  # its payload is shown in the end
    uploads.offer()
    for notice in cache.find_payloads().notices:
        st.caption(notice)


def read_versions() -> list[Version]:
    """Return the picked payloads that can be read; say of each other one what is wrong with it.

    Where none is left, the page ends here with a sentence that says what to do.
    """
    refs: list[PayloadRef] = st.session_state.get(_PICKED, [])
    if not refs:
        if any(job.is_live for job in job_list.current()):
            sentence = _(
                "An extraction is running. What it measures is shown here once it is done."
            )
        else:
            sentence = _(
                "There is nothing to show yet. Start an extraction in the sidebar, "
                "or upload a payload (.pt) that was made elsewhere."
            )
        st.info(sentence, icon=":material/info:")
        st.stop()
    versions: list[Version] = []
    for ref, name in zip(refs, name_refs(refs), strict=True):
        try:
            versions.append(Version(ref, name, cache.read(ref), _is_preview(ref)))
        except (PayloadError, OSError) as error:
            st.error(
                _("{name} cannot be shown. {explain}").format(
                    name=name, explain=uploads.explain(error, ref)
                ),
                icon=":material/error:",
            )
    if not versions:
        st.info(_("Pick another version in the sidebar, or extract this one again."))
        st.stop()
    for version in versions:
        if version.partial:
            st.info(
                _(
                    "{name}: {num_images:,} images counted so far. It is drawn anew as "
                    "the extraction goes on."
                ).format(name=plain(version.name), num_images=version.table.num_images),
                icon=":material/timelapse:",
            )
    return versions


def read_one() -> Version:
    """Return the one version that a page shows, with a choice where several are picked."""
    return choose_one(read_versions())


def choose_one(several: Sequence[Version]) -> Version:
    """Return one of these versions, with a choice where there are several."""
    versions = {version.ref.key: version for version in several}
    keys = list(versions)
    if len(keys) == 1:
        return versions[keys[0]]
    key = selection.choose(
        "show",
        _("Version shown"),
        keys,
        default=keys[0],
        format_func=lambda key: versions[key].name,
        help=_("This view is of one version at a time; the page Versions compares them."),
    )
    return versions[key]


def explain_picked(error: Exception) -> str:
    """Return what is wrong with one of the payloads that are looked at."""
    for ref in st.session_state.get(_PICKED, []):
        error = Exception(uploads.explain(error, ref))
    return str(error)


def pick(path: Path) -> None:
    """Look at the payload at a path from the next run on; what was looked at stays beside it."""
    cache.forget_lists()
    key = load_ref(path).key
    there = {ref.key for ref in [*cache.find_payloads(), *uploads.list_all()]}
    before = [*_compared_keys(), selection.recall("version")]
    kept = [other for other in dict.fromkeys(before) if other in there and other != key]
    if len(kept) > MAX_COMPARED:
        st.session_state[_NOTICES] = [
            _("Only {max_compared} of the versions before stay beside it.").format(
                max_compared=MAX_COMPARED
            )
        ]
    selection.remember("version", key)
    selection.remember("compare", ".".join(map(str, kept[:MAX_COMPARED])) or None)
    link_content.forget(key)


def is_nothing_picked() -> bool:
    """Return whether no payload that is there is looked at."""
    there = {ref.key for ref in [*cache.find_payloads(), *uploads.list_all(), *_previews()]}
    return selection.recall("version") not in there


def follow_preview(job: Job) -> None:
    """Look at the payload of a job that is done wherever its preview was looked at."""
    preview = payload_key((job.folder / PREVIEW_FILE).resolve())
    if preview not in (selection.recall("version"), *_compared_keys()):
        return
    cache.forget_lists()
    key = load_ref(job.output).key
    if selection.recall("version") == preview:
        selection.remember("version", key)
    compared = [key if other == preview else other for other in _compared_keys()]
    selection.remember("compare", ".".join(compared) or None)


def pick_preview(job: Job) -> None:
    """Look at what a living job has counted so far, from the next run on; and then at its end."""
    if job.preview is not None:
        pick(job.preview)


def has_newer_preview() -> bool:
    """Return whether a preview that is looked at has been written anew since it was drawn."""
    if time.monotonic() - st.session_state.get(_DRAWN, 0.0) < REDRAW_SECONDS:
        return False
    for path, mtime_ns in st.session_state.get(_PREVIEWS, {}).items():
        with contextlib.suppress(OSError):  # its job has ended
            if Path(path).stat().st_mtime_ns != mtime_ns:
                return True
    return False


def list_visible() -> list[PayloadRef]:
    """Return the payloads that are not hidden, labelled as people call them.

    A hidden one is still there for a link that names it.
    """
    remarks = cache.read_annotations()
    linked = {selection.recall("version"), *(selection.recall("compare") or "").split(".")}
    shown: list[PayloadRef] = []
    for ref in cache.find_payloads():
        about = remarks.of(ref.path)
        if about.hidden and ref.key not in linked:
            continue
        label = f"{about.name} · {ref.label}" if about.name else ref.label
        label = f"★ {label}" if ref.path == remarks.baseline else label
        shown.append(ref if label == ref.label else replace(ref, label=label))
    if len(shown) == 1 and shown[0].facts.known:  # there is nothing to tell it from
        shown = [replace(shown[0], label=name) for name in name_refs(shown)]
    return shown


def _list_refs() -> dict[str, PayloadRef]:
    """Return all payloads that can be picked, by key.

    The kept list may be some seconds old, and a link may name a payload that is newer.
    """
    wanted = {selection.recall("version"), *_compared_keys()} - {None}
    refs = _index_refs()
    if wanted - refs.keys() - st.session_state.get(_ABSENT, set()):
        cache.forget_lists()
        refs = _index_refs()
    st.session_state[_ABSENT] = wanted - refs.keys()
    return refs


def _index_refs() -> dict[str, PayloadRef]:
    return {ref.key: ref for ref in [*list_visible(), *uploads.list_all(), *_previews()]}


def _compared_keys() -> list[str]:
    return [key for key in (selection.recall("compare") or "").split(".") if key]


def _explain_left_out(first: str, refs: Mapping[str, PayloadRef]) -> None:
    """Say which of the payloads that were to be compared with are not."""
    asked = _compared_keys()
    if first in asked:
        st.warning(
            _("{name} is the version; it is not compared with itself.").format(
                name=plain(refs[first].name)
            )
        )
    gone = [key for key in asked if key not in refs]
    if len(gone) == 1:
        st.warning(_("A payload to compare with that this link names is not here."))
    elif gone:
        st.warning(
            _("{count} payloads to compare with that this link names are not here.").format(
                count=len(gone)
            )
        )


def _previews() -> list[PayloadRef]:
    refs: list[PayloadRef] = []
    for job in job_list.current():
        if job.preview is not None:
            with contextlib.suppress(PayloadError):  # the job has ended meanwhile
                ref = load_ref(job.preview)
                label = _("partial: {num_images} of {total} images · {title}").format(
                    num_images=ref.facts.num_images, total=job.total, title=job.title
                )
                refs.append(replace(ref, label=label))
    return refs


def _is_preview(ref: PayloadRef) -> bool:
    return ref.path.parts[-3:-2] == JOBS_DIR.parts[-1:]


def name_refs(refs: Sequence[PayloadRef]) -> list[str]:
    """Return legend names, unique: what people call a payload, else what it calls itself."""
    remarks = cache.read_annotations()
    names: list[str] = []
    taken: set[str] = set()
    for ref, name in zip(refs, short_names(refs, cache.find_payloads()), strict=True):
        name = remarks.of(ref.path).name or name
        name = _("{name}, partial").format(name=name) if _is_preview(ref) else name
        if name in taken:
            name = f"{name}, {ref.key if cache.is_upload(ref) else ref.path}"
        taken.add(name)
        names.append(name)
    return names
