"""Many quadrats at once, painted by all cores. Does not import torch: every worker imports this."""

from __future__ import annotations

import io
from collections.abc import Sequence
from concurrent.futures import Executor

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from demo.quadrats import make_quadrat

SIZE = (480, 240)
"""Width and height of every picture."""

_Job = tuple[int, int, tuple[str, ...]]
_Painted = tuple[int, NDArray[np.uint8], NDArray[np.uint8]]


def paint_many(
    pool: Executor | None, seed: int, count: int, seasons: Sequence[str]
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint ``count`` quadrats; the same for any number of processes.

    Args:
        pool: Its processes paint; None paints in this one.
        seed: Of all pictures.
        count: Number of pictures.
        seasons: The season of every picture is one of these.

    Returns:
        Pixels ``[count, height, width, 3]`` as read back from JPEG, as every photograph is, and
        cover codes ``[count, height, width]``.
    """
    width, height = SIZE
    pixels = np.empty((count, height, width, 3), np.uint8)
    cover = np.empty((count, height, width), np.uint8)
    jobs = [(seed, index, tuple(seasons)) for index in range(count)]
    painted = pool.map(_paint, jobs, chunksize=8) if pool else map(_paint, jobs)
    for index, picture, codes in painted:
        pixels[index], cover[index] = picture, codes
    return pixels, cover


def _paint(job: _Job) -> _Painted:
    seed, index, seasons = job
    quadrat = make_quadrat(seed, index, size=SIZE, seasons=seasons)
    file = io.BytesIO()
    Image.fromarray(quadrat.pixels).save(file, "JPEG", quality=80 + index % 16)
    with Image.open(file) as image:
        return index, np.asarray(image, np.uint8), quadrat.cover
