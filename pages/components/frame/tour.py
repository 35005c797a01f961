"""The guided tour: offered on the first visit, then a few lines above each page it leads to.

That it was dismissed stands in the address, as any choice: a reload or a bookmark does not offer it
again, and nothing is stored on either side.
"""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.discovery import PayloadRef, short_names
from analysis.read.compare.twins import find_frozen_twin
from analysis.show.tour import Step, plan_tour
from pages.components.shared import cache, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version

_OFFER = "tour"
"""Name of the choice in the address; `off` once the offer was dismissed."""
_WALK = "tour walk"


@dataclass(frozen=True)
class _Walk:
    """Where a visitor is."""

    steps: tuple[Step, ...]
    at: int
    version: str
    """Key of the payload whose numbers are told."""
    twin: str | None
    """Key of the payload that the last step compares with."""


def offer(version: Version) -> None:
    """Offer the steps that a payload supports, until they are dismissed."""
    if selection.recall(_OFFER) == "off" or version.partial:
        return
    twin = _find_twin(version.ref)
    steps = _plan(version, twin)
    if not steps:
        return
    with st.container(border=True, key="tour offer"):
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(
                _(
                    "**:material/explore: What to look at first** in {name}, with its own numbers"
                ).format(name=plain(version.name))
            )
            st.button(
                _("Dismiss"),
                key="tour dismiss",
                type="tertiary",
                icon=":material/close:",
                on_click=_end,
            )
        with st.container(horizontal=True):
            for number, step in enumerate(steps):
                if st.button(
                    f"{number + 1}. {step.title}", key=f"tour {number}", icon=":material/flag:"
                ):
                    key = None if twin is None else twin.key
                    _go(_Walk(steps, number, version.ref.key, key))


def guide(page: str) -> None:
    """Show how to read the step that this page stands for, above the page.

    Args:
        page: Stem of the page's file.
    """
    walk: _Walk | None = st.session_state.get(_WALK)
    if walk is None or selection.recall("version") != walk.version:
        return
    step = walk.steps[walk.at]
    if step.page != page:
        return
    with st.container(border=True, key="tour guide"):
        st.markdown(
            _("**{at} of {count}: {title}.** {help}").format(
                at=walk.at + 1, count=len(walk.steps), title=step.title, help=step.help
            )
        )
        with st.container(horizontal=True):
            if walk.at + 1 < len(walk.steps):
                following = walk.steps[walk.at + 1]
                if st.button(
                    _("Next: {title}").format(title=following.title),
                    key="tour next",
                    icon=":material/arrow_forward:",
                ):
                    _go(_Walk(walk.steps, walk.at + 1, walk.version, walk.twin))
            st.button(_("End the tour"), key="tour end", type="tertiary", on_click=_end)


def _go(walk: _Walk) -> None:
    step = walk.steps[walk.at]
    for name, value in step.view.items():
        selection.remember(name, value)
    if step.page == "versions" and walk.twin is not None:
        selection.remember("compare", walk.twin)
        selection.remember("against", walk.twin)
    st.session_state[_WALK] = walk
    st.switch_page(f"pages/{step.page}.py")


def _end() -> None:
    selection.remember(_OFFER, "off")
    st.session_state.pop(_WALK, None)


def _find_twin(ref: PayloadRef) -> PayloadRef | None:
    """Return the same backbone on the same images with or without its adapter, as `ref` is not."""
    refs = cache.find_payloads()
    if ref.facts.used_lora:
        return find_frozen_twin(ref, refs)
    adapted = (other for other in refs if other.facts.used_lora)
    return next((other for other in adapted if find_frozen_twin(other, [ref])), None)


def _plan(version: Version, twin: PayloadRef | None) -> tuple[Step, ...]:
    twin_name = "" if twin is None else short_names([version.ref, twin], cache.find_payloads())[1]
    return _plan_of_files(version, twin, twin_name)


@cache.by_file()
def _plan_of_files(version: Version, twin: PayloadRef | None, twin_name: str) -> tuple[Step, ...]:
    table = None
    if twin is not None:
        try:
            table = cache.read(twin).table
        except (PayloadError, OSError):
            table = None
    return plan_tour(version.table, version.name, table, twin_name, escape=plain)
