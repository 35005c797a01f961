"""Remember lists of images: a form plans at every change, and 10^5 files take seconds to ask."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Lock

from analysis.collect.plan.image_list import ImageList, list_images
from analysis.collect.plan.settings import Settings

KEPT = 8
QUICK = 2_000
FRESH_S = 60.0
"""How long a list is believed: a picture may be replaced without a change of any folder."""

Key = tuple[object, ...]

_lists: dict[Key, tuple[float, ImageList]] = {}
_guard = Lock()


def remember_images(settings: Settings, split: str, max_images: int) -> ImageList:
    """List the images as `list_images` does, or return a long list of at most a minute ago.

    The images are listed anew when the config, the CSV or the images' folder has changed; lists of
    up to `QUICK` images always, since asking each of their files takes a few milliseconds.

    Raises:
        InputError: As `list_images`.
    """
    files = [settings.config_path, settings.data_root]
    files += [settings.train_csv] if settings.train_csv else []
    files += [mixed.csv for mixed in settings.mixed_sets]
    key: Key = (*map(_state, files), split, settings.fold, max_images)
    now = time.monotonic()
    with _guard:
        made, images = _lists.get(key, (0.0, None))
    if images is None or now - made > FRESH_S:
        images = list_images(settings, split, max_images)
        with _guard:
            if len(images.entries) <= QUICK:
                return images
            _lists[key] = now, images
            while len(_lists) > KEPT:
                del _lists[min(_lists, key=lambda entries: _lists[entries][0])]
    return images


def _state(path: Path) -> tuple[str, int, int] | str:
    try:
        state = path.stat()
    except OSError:
        return str(path)
    return str(path), state.st_size, state.st_mtime_ns
