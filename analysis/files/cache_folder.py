"""Where what can be computed again is kept: arrays of payloads, maps, uploaded pictures."""

from __future__ import annotations

import os
from pathlib import Path

from platformdirs import user_cache_path

CACHE_ENV = "DASHBOARD_CACHE"
"""Where the cache is kept, instead of the user's cache folder."""


def cache_folder() -> Path:
    """Return the folder of the cache; it need not exist."""
    chosen = os.environ.get(CACHE_ENV)
    if chosen:
        return Path(chosen).expanduser()
    return user_cache_path("dinov3-feature-stats", appauthor=False)
