"""Whether a comparison is fair, said before the numbers."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.read.compare.compatibility import Reason, Severity
from pages.components.shared.text import plain

_SHOWN = {
    Severity.RED: (st.error, ":material/block:"),
    Severity.AMBER: (st.warning, ":material/warning:"),
    Severity.GREEN: (st.success, ":material/check:"),
}
_MARKS = {Severity.RED: ":red[●]", Severity.AMBER: ":orange[●]", Severity.GREEN: ":green[●]"}
_SUMMARIES = {
    Severity.RED: "Not comparable in every respect.",
    Severity.AMBER: "Comparable with care.",
    Severity.GREEN: "Comparable: measured in the same way on the same images.",
}


def show(reasons: Sequence[Reason]) -> None:
    """Show the verdict, with what speaks against a comparison; the rest is folded in."""
    worst = reasons[0].severity
    say, icon = _SHOWN[worst]
    against = [reason for reason in reasons if reason.severity is not Severity.GREEN]
    lines = [_SUMMARIES[worst], *(f"- {_line(reason)}" for reason in against)]
    say("\n".join(lines), icon=icon)
    agreed = [reason for reason in reasons if reason.severity is Severity.GREEN]
    if agreed:
        with st.expander(f"What they agree in ({len(agreed)})"):
            st.markdown("\n".join(f"- {_line(reason)}" for reason in agreed))


def _line(reason: Reason) -> str:
    return f"{_MARKS[reason.severity]} {plain(reason.sentence)}"
