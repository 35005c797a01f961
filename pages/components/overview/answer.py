"""What was measured, in one line, and how far it moved from its baseline, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.errors import InputError
from analysis.payload.table import StatsTable
from analysis.read.checks import Check
from analysis.read.compare.comparison import compare
from analysis.read.summary import DriftSummary, compare_summary, find_peak
from analysis.show.figures.theme import ROLE_LABELS
from analysis.vocabulary import TokenRole
from pages.components.overview.tables import OUTCOMES
from pages.components.shared import facts
from pages.components.shared.cache import by_file
from pages.components.shared.text import plain
from pages.components.shared.version import Version


def show(version: Version, baseline: Version | None, checks: Sequence[Check]) -> None:
    """Show what was measured, whether it holds, and where the version moved most."""
    st.markdown(f"{plain(_describe(version.table))}. {_count(checks)}")
    if baseline is None:
        return
    try:
        drift = _measure(baseline, version)
    except InputError as error:
        st.warning(plain(str(error)), icon=":material/warning:")
        return
    st.markdown(plain(_tell(drift, baseline.name)))


def _describe(table: StatsTable) -> str:
    return (
        f"{table.backbone.get('backbone_name')}, {table.num_layers} layers × "
        f"{table.channels:,} channels, {table.num_images:,} images, "
        f"adapter: {facts.describe_adapter(table, at_length=True)}"
    )


def _count(checks: Sequence[Check]) -> str:
    """Return the badges that count the sanity laws by outcome."""
    counted = [(*OUTCOMES[ok], sum(check.ok is ok for check in checks)) for ok in OUTCOMES]
    return " ".join(
        f":{color}-badge[:material/{icon}: {count} of {len(checks)} checks {word}]"
        for color, icon, word, count in counted
        if count
    )


@by_file(spinner="Measuring the noise …")
def _measure(baseline: Version, version: Version) -> DriftSummary:
    names = baseline.name, version.name
    return compare_summary(compare(baseline.reading, version.reading, names=names))


def _tell(drift: DriftSummary, baseline: str) -> str:
    if drift.refused is not None:
        return f"Not compared with {baseline}: {drift.refused}"
    peaks = {role: find_peak(drift, role) for role in (TokenRole.PATCH, TokenRole.CLS)}
    parts = []
    for role, peak in peaks.items():
        if peak is None:
            continue
        times = "" if peak.ratio is None else f", {peak.ratio:.3g} × chance"
        much = f"drift {peak.drift:.2g}{times}"
        if peak.noise_floor is not None and not peak.beyond:
            much = "no more than chance gives"
        parts.append(f"{ROLE_LABELS[role]} tokens in layer {peak.layer} ({much})")
    return f"Moved most from {baseline}: {' and '.join(parts)}."
