"""How far each layer moved, beside what chance alone gives."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.read.compare.comparison import Comparison
from analysis.read.compare.findings import Finding
from analysis.show.views import versions as views
from pages.components.shared import downloads


def show_drift(comparison: Comparison, findings: Sequence[Finding], negligible: float) -> None:
    """Show the drift of every layer and its noise floor; negligible drifts are grey."""
    sentence = next((each.sentence for each in findings if each.figure == "drift"), "")
    view = views.drift(comparison, sentence=sentence, negligible=negligible, mode=downloads.mode())
    downloads.show(view)


def show_flagged(comparison: Comparison) -> None:
    """Show how many channels of every layer exceed the noise, where that is known."""
    view = views.flagged(comparison, mode=downloads.mode())
    if view is not None:
        downloads.show(view)
