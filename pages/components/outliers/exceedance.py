"""How many tokens are beyond a level, and which channels need more than eight bits."""

from __future__ import annotations

from analysis.payload.extras import Part
from analysis.read.exceed import measure_exceedance
from analysis.show.views import outliers as views
from analysis.vocabulary import TokenRole
from pages.components.shared import absent, channel_links, downloads
from pages.components.shared.version import Version


def show(version: Version, layer: int, role: TokenRole) -> None:
    """Show the share of tokens beyond each level, or why it is not known."""
    with absent.say():
        counts = version.extras.require(Part.EXCEED, version.extras.exceed(role))
        table = version.table
        found = measure_exceedance(counts, table.counts[:, role.position])
        view = views.exceedance(table, version.name, (layer, role), found, downloads.mode())
        channel_links.follow(downloads.show(view))
