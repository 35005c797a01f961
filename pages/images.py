"""From a channel to the photographs behind it: where it peaks, and its maps."""

from pages.components.frame import picker, shell
from pages.components.images import footprint as footprint_view
from pages.components.images import maps as map_view
from pages.components.images import peaks as peak_view
from pages.components.shared import selection

VIEWS = {
    "peaks": "Where it peaks",
    "footprint": "Over the data set",
    "maps": "Over a picture, through depth",
}

shell.open_page("Images")
version = picker.read_one()
view = selection.choose("view", "Show", list(VIEWS), default="peaks", format_func=VIEWS.__getitem__)
if view == "maps":
    map_view.show(version)
elif view == "footprint":
    footprint_view.show(version)
else:
    peak_view.show(version)
