"""Every channel's shift and change of spread, coloured where it is more than negligible."""

from __future__ import annotations

from analysis.show.views import versions as views
from analysis.vocabulary import Cell
from pages.components.shared import channel_links, downloads
from pages.components.shared.version import Version
from pages.components.versions import differences


def show(baseline: Version, version: Version, cell: Cell, negligible: float) -> None:
    """Show both effects over the same channels, or say why they cannot be judged."""
    comparison = differences.compare(baseline, version)
    noise = differences.examine_channels(baseline, version, cell)
    view = views.effects(comparison, cell, noise, downloads.mode(), negligible=negligible)
    channel_links.follow(downloads.show(view))
