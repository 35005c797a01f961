"""The two versions that a page compares: as picked, else the baseline, else the likest one."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.errors import PayloadError
from analysis.language import _
from analysis.read.compare.twins import choose_counterpart
from analysis.show.figures.version_map import tell_apart
from pages.components.frame import baseline, picker, uploads
from pages.components.shared import cache, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version
from pages.components.versions import frozen_twin

MENU = 360
"""Pixels: beside it the verdict has room in one line."""

JOINED = "\u2060"
"""Else a line may end between the dots and the rest of a name."""

ROOM = 46
"""Letters of two names that have room in the title, in a window of 1280 pixels."""


def read(place: DeltaGenerator) -> tuple[Version, Version, list[Version]]:
    """Return the two that are compared, the picked one first, and all that are looked at.

    Where nothing was picked to compare with, the pinned baseline is, else the frozen twin, else the
    likest payload. Where there is only one payload, the page ends here with a sentence that says
    what to do.

    Args:
        place: Where the choice of the baseline stands.
    """
    versions = picker.read_versions()
    first, *others = versions
    if not others:
        second = _choose_alone(first, place)
        return first, second, [first, second]
    if len(others) == 1:
        return first, others[0], versions
    by_key = {version.ref.key: version for version in others}
    with place:
        key = selection.choose(
            "against",
            _("Baseline"),
            list(by_key),
            default=next(iter(by_key)),
            format_func=lambda key: by_key[key].name,
            menu_width=MENU,
        )
    return first, by_key[key], versions


def name_briefly(version: Version, baseline: Version) -> list[str]:
    """Return both names; where one line has no room for them, without what they share."""
    names = [version.name, baseline.name]
    if sum(map(len, names)) <= ROOM:
        return names
    return [name.replace("…", f"…{JOINED}") for name in tell_apart(names)]


def offer_swap(version: Version, baseline: Version, versions: Sequence[Version]) -> None:
    """Show the button that makes the baseline the version and the version the baseline."""
    st.button(
        _("Swap"),
        icon=":material/swap_horiz:",
        key="swap",
        on_click=_swap,
        args=(version.ref.key, baseline.ref.key, [each.ref.key for each in versions]),
        help=_("Every difference is the version minus its baseline: this turns all of them round."),
    )


def _swap(version: str, baseline: str, shown: Sequence[str]) -> None:
    others = [key for key in shown if key not in (version, baseline)]
    selection.remember("version", baseline)
    selection.remember("compare", ".".join([version, *others]))
    selection.remember("against", version)


def _choose_alone(first: Version, place: DeltaGenerator) -> Version:
    refs = {ref.key: ref for ref in picker.list_visible() if ref.key != first.ref.key}
    others = list(refs.values())
    against = baseline.choose(first.ref, others) or choose_counterpart(first.ref, others)
    if against is None:
        st.info(
            _("There is only one payload. Extract or upload a second one to see what differs."),
            icon=":material/info:",
        )
        frozen_twin.show(first, None)
        st.stop()
    names = dict(zip(refs, picker.name_refs(list(refs.values())), strict=True))
    with place:
        key = selection.choose(
            "against",
            _("Baseline"),
            list(refs),
            default=against.key,
            format_func=names.__getitem__,
            help=_(
                "At first the pinned baseline, else the frozen backbone, else the likest "
                "payload. Pick several under **Compare with** in the sidebar for a timeline."
            ),
            menu_width=MENU,
        )
    if selection.recall("against") is None:
        selection.remember("against", key)  # so that the link goes on to show this one
        selection.write_address()
    ref = refs[key]
    try:
        return Version(ref, picker.name_refs([first.ref, ref])[1], cache.read(ref))
    except (PayloadError, OSError) as error:
        st.error(
            plain(
                _("{name} cannot be shown. {explain}").format(
                    name=ref.name, explain=uploads.explain(error, ref)
                )
            ),
            icon=":material/error:",
        )
        st.info(_("Choose another payload to compare with."))
        st.stop()
