"""Which images payloads have in common, by the paths that they hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from analysis.errors import PayloadError
from analysis.payload.reading import Reading


@dataclass(frozen=True)
class CommonImages:
    """Images that were measured in every payload."""

    common: int
    """Paths that all of them hold."""
    most: int
    """Images of the payload with the most."""

    @property
    def any(self) -> bool:
        """Whether there is one."""
        return self.common > 0


def count_common_images(readings: Sequence[Reading]) -> CommonImages | None:
    """Count the images in common; None where a payload holds no list of them.

    Paths are relative to the data root, so equal names in other folders count as the same image;
    the dataset fingerprint, which knows file sizes too, is asked first.
    """
    prints = {reading.table.run.get("dataset_fingerprint") for reading in readings}
    most = max(reading.table.num_images for reading in readings)
    if len(prints) == 1 and None not in prints:
        return CommonImages(most, most)
    try:
        lists = [reading.extras.image_paths for reading in readings]
    except PayloadError:  # told where the extras are shown
        return None
    if not all(lists):
        return None
    sets = [set(paths) for paths in lists]
    return CommonImages(len(set.intersection(*sets)), max(map(len, sets)))
