"""Divide the image list into groups whose differences measure the noise of the statistics.

By default groups are contiguous blocks of the list, so that neighbours, which lists sorted by site
or date make alike, stay together: images of one site in different groups would make the groups
agree more than new sites would. With `analysis.group_by` the images of one value of a CSV column
stay together instead. The division depends on the list alone, not on batches or ranks.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.errors import ConfigError
from analysis.language import _

MOST_GROUPS = 32
"""With 32 groups a difference of 5 standard errors is found nearly as often as per image."""


def divide_list(images: int) -> NDArray[np.int64]:
    """Return the group of every image: contiguous blocks whose sizes differ by one at most.

    Returns:
        int64 ``[images]``, ascending; as many groups as images where these are fewer than 32.
    """
    return np.arange(images) * min(images, MOST_GROUPS) // images


def divide_by_values(values: Sequence[str], column: str) -> NDArray[np.int64]:
    """Return the group of every image, one group per value or per few neighbouring values.

    More than 32 values are sorted (as numbers where all of them are, else as text) and runs of
    them joined, so that the groups have about as many images each.

    Args:
        values: The image's value of the column, ``[images]``.
        column: Its name, for the message.

    Raises:
        ConfigError: If all images have the same value, which leaves one group and no noise.
    """
    sizes = Counter(values)
    if len(sizes) < 2:
        raise ConfigError(
            _(
                "analysis.group_by: {column} has the one value {values_1!r} for "
                "all {count} images; name a column with more values, or leave the "
                "key out"
            ).format(column=column, values_1=values[0], count=len(values))
        )
    order = sorted(sizes, key=_sorting_key(list(sizes)))
    middle, before = {}, 0
    for value in order:
        middle[value] = before + sizes[value] / 2
        before += sizes[value]
    if len(order) > MOST_GROUPS:
        blocks = [int(middle[value] * MOST_GROUPS / len(values)) for value in order]
    else:
        blocks = list(range(len(order)))
    _unused, numbers = np.unique(blocks, return_inverse=True)  # no group without an image
    group_of = dict(zip(order, numbers.tolist(), strict=True))
    return np.array([group_of[value] for value in values], dtype=np.int64)


def _sorting_key(values: Sequence[str]) -> type[float] | type[str]:
    try:
        return float if np.isfinite([float(value) for value in values]).all() else str
    except ValueError:
        return str
