"""How many tokens are beyond a level, and which channels need more than eight bits."""

from __future__ import annotations

from analysis.payload.extras import Part
from analysis.read.exceed import Exceedance
from analysis.show.views import outliers as views
from analysis.vocabulary import TokenRole
from pages.components.shared import absent, channel_links, derived, downloads
from pages.components.shared.version import Version


def show(version: Version, layer: int, role: TokenRole) -> None:
    """Show the share of tokens beyond each level, or why it is not known."""
    with absent.say():
        extras, table = version.extras, version.table
        counts = extras.require(Part.EXCEED, extras.exceed_of_layer(layer, role))
        met = extras.require(Part.EXCEED, derived.count_layers_beyond(version.reading, role))
        found = Exceedance(counts / table.count(layer, role), met, table.num_layers)
        view = views.exceedance(table, version.name, (layer, role), found, downloads.mode())
        channel_links.follow(downloads.show(view))
