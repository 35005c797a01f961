"""What was measured, in one line, and how far it moved from its baseline, in one sentence."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from analysis.errors import InputError
from analysis.language import N_, _
from analysis.payload.table import StatsTable
from analysis.read.checks import Check
from analysis.read.compare.comparison import compare
from analysis.read.digits import show_digits
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
    facts_line = plain(_describe(version.table))
    st.markdown(_("{facts}. {checks}").format(facts=facts_line, checks=_count(checks)))
    if baseline is None:
        return
    try:
        drift = _measure(baseline, version)
    except InputError as error:
        st.warning(plain(str(error)), icon=":material/warning:")
        return
    st.markdown(plain(_tell(drift, baseline.name)))


def _describe(table: StatsTable) -> str:
    return _(
        "{backbone}, {num_layers} layers × {channels:,} channels, "
        "{num_images:,} images, adapter: {adapter}"
    ).format(
        backbone=table.backbone.get("backbone_name"),
        num_layers=table.num_layers,
        channels=table.channels,
        num_images=table.num_images,
        adapter=facts.describe_adapter(table, at_length=True),
    )


def _count(checks: Sequence[Check]) -> str:
    """Return the badges that count the sanity laws by outcome."""
    counted = [(*OUTCOMES[ok], sum(check.ok is ok for check in checks)) for ok in OUTCOMES]
    return " ".join(
        _(":{color}-badge[:material/{icon}: {count} of {count_2} checks {word}]").format(
            color=color, icon=icon, count=count, count_2=len(checks), word=_(word)
        )
        for color, icon, word, count in counted
        if count
    )


@by_file(spinner=N_("Measuring the noise …"))
def _measure(baseline: Version, version: Version) -> DriftSummary:
    names = baseline.name, version.name
    return compare_summary(compare(baseline.reading, version.reading, names=names))


def _tell(drift: DriftSummary, baseline: str) -> str:
    if drift.refused is not None:
        return _("Not compared with {baseline}: {refused}").format(
            baseline=baseline, refused=drift.refused
        )
    peaks = {role: find_peak(drift, role) for role in (TokenRole.PATCH, TokenRole.CLS)}
    parts = []
    for role, peak in peaks.items():
        if peak is None:
            continue
        times = (
            ""
            if peak.ratio is None
            else _(", {ratio} × chance").format(ratio=show_digits(peak.ratio, 3))
        )
        much = _("drift {drift}{times}").format(drift=show_digits(peak.drift, 2), times=times)
        if peak.noise_floor is not None and not peak.beyond:
            much = _("no more than chance gives")
        parts.append(
            _("{role} tokens in layer {layer} ({much})").format(
                role=ROLE_LABELS[role], layer=peak.layer, much=much
            )
        )
    template = _("Moved most from {baseline}: {parts}.")
    if any(peak is not None and peak.ratio is not None for peak in peaks.values()):
        template = _("Furthest beyond chance, compared with {baseline}: {parts}.")
    return template.format(baseline=baseline, parts=_(" and ").join(parts))
