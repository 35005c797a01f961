"""Whether a comparison is fair, said before the numbers."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.language import N_, Texts, _
from analysis.read.compare.compatibility import Reason, Severity
from pages.components.shared.text import plain

_SHOWN = {
    Severity.RED: (st.error, ":material/block:"),
    Severity.AMBER: (st.warning, ":material/warning:"),
}
_MARKS = {Severity.RED: ":red[●]", Severity.AMBER: ":orange[●]", Severity.GREEN: ":green[●]"}
_SUMMARIES = Texts(
    {
        Severity.RED: N_("Not comparable in every respect."),
        Severity.AMBER: N_("Comparable with care."),
        Severity.GREEN: N_("Comparable: measured in the same way on the same images."),
    }
)


def show(reasons: Sequence[Reason]) -> None:
    """Show the verdict, small where nothing speaks against a comparison, else with what does."""
    worst = reasons[0].severity
    if worst is Severity.GREEN:
        st.markdown(f":green-badge[:material/check: {_SUMMARIES[worst]}]", width="content")
        return
    say, icon = _SHOWN[worst]
    against = [reason for reason in reasons if reason.severity is not Severity.GREEN]
    lines = [_SUMMARIES[worst], *map(_line, against)]
    say("  \n".join(lines), icon=icon)


def is_agreed(reasons: Sequence[Reason]) -> bool:
    """Return whether nothing speaks against a comparison."""
    return reasons[0].severity is Severity.GREEN


def show_agreed(reasons: Sequence[Reason]) -> None:
    """Show what the versions agree in, folded in."""
    agreed = [reason for reason in reasons if reason.severity is Severity.GREEN]
    if agreed:
        with st.expander(_("What they agree in ({count})").format(count=len(agreed))):
            st.markdown("  \n".join(map(_line, agreed)))


def _line(reason: Reason) -> str:
    return f"{_MARKS[reason.severity]} {plain(reason.sentence)}"
