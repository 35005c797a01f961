"""Which versions Home lists, against what, and how: every choice stands in the address."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from analysis.language import N_, Texts, _
from analysis.payload.discovery import PayloadRef
from analysis.read.compare.twins import choose_baseline
from analysis.vocabulary import TokenRole
from pages.components.frame import picker
from pages.components.home import probes, scores
from pages.components.home.table import NAMES, UNSORTED, name_column
from pages.components.shared import cache, controls, selection

HIDDEN = "hidden"
"""Name of the choice to list hidden versions too."""

HIDDEN_AT_FIRST = (
    "Drift",
    "Noise floor",
    "Spread",
    "Probe of",
    "Adapter effect",
    "Precision",
    "Size",
)
GROUPS = Texts(
    {
        "nothing": N_("nothing"),
        "backbone": N_("backbone"),
        "image list": N_("image list"),
        "tags": N_("tags"),
    }
)
_UNGROUPED = "nothing"
FOLDS = Texts(
    {
        "off": N_("one by one"),
        "on": N_("by name"),
        "tags": N_("by tags"),
        "config": N_("by config"),
    }
)


@dataclass(frozen=True)
class Choices:
    """What the visitor asked for."""

    refs: tuple[PayloadRef, ...]
    """The payloads that match, newest first."""
    baseline: PayloadRef
    role: TokenRole
    columns: tuple[str, ...]
    group: str
    folds: str
    """By what folds and seeds of one recipe are told: a key of `FOLDS`; "off" for rows of their
    own."""
    metric: str
    """What stands in the column Score; empty for what was typed."""
    sort: str
    """The column that the rows are sorted by; empty for the newest first."""


def choose(refs: Sequence[PayloadRef]) -> Choices:
    """Show the choices in one line."""
    with st.container(horizontal=True, vertical_alignment="bottom", key="home choices"):
        baseline = _choose_baseline(refs)
        role = controls.choose_role()
        words = selection.type_text("find", _("Find"), placeholder=_("version, tag, note"))
        group = selection.choose(
            "group",
            _("Group by"),
            list(GROUPS),
            default=_UNGROUPED,
            format_func=GROUPS.__getitem__,
            menu_width=140,
        )
        with st.popover(_("View"), icon=":material/view_column:", key="home view"):
            folds = selection.choose(
                "folds",
                _("Folds and seeds as one"),
                list(FOLDS),
                default="off",
                format_func=FOLDS.__getitem__,
                help=_(
                    "Versions that differ only in a fold or a seed are one row: the mean of their "
                    "drifts, and the spread between them as a second noise floor. By name: "
                    "winter-fold1, winter-fold2. By tags: the same tags, but for fold1, seed 2. By "
                    "config: the same config but for keys such as seed or data.fold."
                ),
            )
            listed = selection.recall(HIDDEN)
            selection.switch(
                HIDDEN,
                _("Hidden versions too"),
                default=False,
                help=_("Tick a hidden version to show it again."),
            )
            if selection.recall(HIDDEN) != listed:
                st.rerun()  # what is listed was chosen by the switch as it was before
            with st.container(horizontal=True):
                metric = _choose_metric(refs)
                sort = selection.choose(
                    "sort",
                    _("Sort by"),
                    ["", *(name for name in NAMES if name not in UNSORTED)],
                    default="",
                    format_func=lambda name: name_column(name) if name else _("newest first"),
                    help=_(
                        "The largest numbers stand first. A click on the head of a column sorts "
                        "too, but only on your screen: this choice stands in the link."
                    ),
                    menu_width=190,
                )
            shown = selection.choose_some(
                "columns",
                _("Columns"),
                [n for n in NAMES[1:] if n not in HIDDEN_AT_FIRST],
                format_func=name_column,
            )
            more = selection.choose_many(
                "more",
                _("More columns"),
                HIDDEN_AT_FIRST,
                limit=len(HIDDEN_AT_FIRST),
                format_func=_,
            )
    if folds != "off":
        more = [*more, "Spread"]
    absent = () if any(probes.find_vectors(refs)) else ("Best probe", "Probe of")
    columns = tuple(n for n in NAMES if n in ("Version", *shown, *more) and n not in absent)
    return Choices(tuple(_match(refs, words)), baseline, role, columns, group, folds, metric, sort)


def name_group(ref: PayloadRef, group: str) -> str:
    """Return the heading that a payload is listed under; empty where nothing is grouped."""
    if group == _UNGROUPED:
        return ""
    if group == "tags":
        return ", ".join(cache.read_annotations().of(ref.path).tags) or _("no tag")
    if group == "backbone":
        return ref.facts.backbone or _("backbone not recorded")
    prints, number = ref.facts.dataset_fingerprint, ref.facts.num_images
    images = (
        _("images not counted") if number is None else _("{number:,} images").format(number=number)
    )
    return (
        _("{images}, list {prints}").format(images=images, prints=prints[:8])
        if prints
        else _("{images}, list not recorded").format(images=images)
    )


def list_versions() -> list[PayloadRef]:
    """Return the payloads that Home lists, newest first: those that nobody hid, or all.

    All too where every one is hidden: an empty list would say that there is none.
    """
    annotations, refs = cache.read_annotations(), list(cache.find_payloads())
    visible = [ref for ref in refs if not annotations.of(ref.path).hidden]
    return refs if not visible or selection.recall(HIDDEN) == "on" else visible


def _choose_baseline(refs: Sequence[PayloadRef]) -> PayloadRef:
    by_key = {ref.key: ref for ref in refs}
    pinned = cache.read_annotations().baseline
    first = next((ref for ref in refs if ref.path == pinned), None) or choose_baseline(refs)
    assert first is not None
    names = dict(zip(by_key, picker.name_refs(refs), strict=True))
    key = selection.choose(
        "base",
        _("Baseline"),
        list(by_key),
        default=first.key,
        format_func=lambda key: f"★ {names[key]}" if by_key[key].path == pinned else names[key],
        help=_(
            "What every version is compared with. At first the pinned one (★), "
            "else a frozen backbone measured like most others, else the oldest "
            "of these."
        ),
        menu_width=260,
    )
    selection.remember("base", key)  # so that the link shows the same numbers
    return by_key[key]


def _choose_metric(refs: Sequence[PayloadRef]) -> str:
    """Show the choice of the score where files of metrics stand beside versions."""
    found = scores.read_all([ref.path for ref in refs])
    names = sorted({name for each in found.values() for name in each})
    if not names:
        return ""
    return selection.choose(
        "metric",
        _("Score from"),
        ["", *names],
        default="",
        format_func=lambda name: name or _("what was typed"),
        help=_("`metrics.json` or the last row of `metrics.csv` in the folder of a version."),
        menu_width=150,
    )


def _match(refs: Sequence[PayloadRef], words: str | None) -> list[PayloadRef]:
    wanted = (words or "").casefold().split()
    annotations = cache.read_annotations()
    found: list[PayloadRef] = []
    for ref in refs:
        about = annotations.of(ref.path)
        texts = (
            ref.name,
            ref.facts.backbone,
            ref.facts.config_name,
            about.name,
            about.note,
            *about.tags,
        )
        together = " ".join(filter(None, texts)).casefold()
        if all(word in together for word in wanted):
            found.append(ref)
    return found
