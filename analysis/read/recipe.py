"""What versions have in common that differ only in a fold or a seed: their recipe."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from typing import Any

from analysis.read.flat_config import flatten_config

FOLD = re.compile(r"(?i)(?<![a-z])(?:fold|seed)[-_ =.]?\d+(?![a-z0-9])")
"""A fold or seed in a text: `fold3`, `seed=7`."""

_KEY = re.compile(r"(?i)(?:.*[._-])?(?:fold|seed)(?:[_-](?:id|idx|index|number))?")
"""A key of a config that names one: `seed`, `data.fold`, `cv.fold_index`."""

_OWN = ("version",)
"""Keys that differ between any two versions."""


def hash_recipe(config: Mapping[str, Any]) -> str | None:
    """Return sixteen hex digits of a training config without its folds and seeds.

    Texts lose theirs too, so that paths such as `runs/winter-fold1` agree.

    Returns:
        None where no key of the config names a fold or a seed.
    """
    flat = flatten_config(config)
    varied = {key for key in flat if _KEY.fullmatch(key)}
    if not varied:
        return None
    kept = {
        key: FOLD.sub("", value) if isinstance(value, str) else value
        for key, value in flat.items()
        if key not in varied and key not in _OWN
    }
    text = json.dumps(kept, sort_keys=True, default=str)
    return hashlib.sha256(text.encode(errors="surrogatepass")).hexdigest()[:16]
