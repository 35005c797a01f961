"""Which network maps come from: the one that was measured, or weights and a head that were named.

The files of the measured network are looked for where the payload says, and below the allowed
roots; their digests are compared before anything is shown. Files that somebody names instead are
taken as they are, and the result says what they were.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.collect.plan.find_weights import HEAD_NAME
from analysis.collect.plan.measured_network import find_head, find_weights
from analysis.errors import ConfigError, PayloadError
from analysis.files.roots import allowed_roots, resolve_below_roots
from analysis.jobs.maps.request import MapRequest, Picture
from analysis.language import _
from analysis.payload.table import StatsTable
from analysis.vocabulary import Representation, Statistic, TokenRole

MAX_IMAGES = 6
"""Pictures of one request: a handful."""

MAX_BYTES = 64 * 2**20
"""Size of one result; of a network that needs more, not all channels are kept."""

FROZEN = "none"
"""In place of a head: the backbone without an adapter."""


def plan_maps(
    table: StatsTable,
    pictures: Sequence[Picture],
    channel: int,
    *,
    weights: str | None = None,
    head: str | None = None,
    roots: Sequence[Path] | None = None,
) -> MapRequest:
    """Return the request for some pictures through the network of a payload, or one like it.

    Args:
        table: The payload.
        pictures: At most `MAX_IMAGES`.
        channel: Kept in any case.
        weights: Weights of the same backbone to take in place of the measured ones.
        head: Head to take in place of the measured one; `FROZEN` for none.
        roots: As from `allowed_roots`, which None stands for.

    Raises:
        PayloadError: If the payload does not say how its images were prepared.
        ConfigError: If there are too many pictures, or a named path may not be read.
        CheckpointError: If weights or head cannot be read here.
    """
    run, backbone = table.run, table.backbone
    roots = allowed_roots() if roots is None else roots
    if len(pictures) > MAX_IMAGES:
        raise ConfigError(
            _("{count} images are too many; choose up to {max_images}.").format(
                count=len(pictures), max_images=MAX_IMAGES
            )
        )
    try:
        width, height = (int(side) for side in run["image_size"])
        mean, std = (tuple(map(float, run["normalization"][key])) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        raise PayloadError(
            _(
                "This payload does not say how its images were prepared "
                "(meta.run), so its network cannot be run the same way. Extract "
                "this version again."
            )
        ) from None
    used_lora = bool(backbone.get("used_lora"))
    return MapRequest(
        backbone=str(backbone.get("backbone_name")),
        weights=_named(weights, roots) if weights else find_weights(table, roots),
        weights_sha256=None if weights else run.get("weights_sha256"),
        head=_named_head(head, roots) if head else find_head(table, roots),
        adapter_sha256=run.get("adapter_sha256") if used_lora and not head else None,
        config=table.config,
        image_size=(width, height),
        mean=mean,
        std=std,
        channels=choose_channels(table, channel, _count_tokens(run)),
        pictures=tuple(dict.fromkeys(pictures)),
        is_as_measured=not weights and not head,
        weights_key=None if weights else run.get("weights_key"),
    )


def choose_channels(
    table: StatsTable, channel: int, tokens: int, max_bytes: int = MAX_BYTES
) -> tuple[int, ...] | None:
    """Return the channels to keep: None for all where they fit, else those that stand out most.

    Ranked by their largest max |x| over the layer's median channel, over all layers.
    """
    fitting = max(1, max_bytes // (2 * tokens * table.num_layers))
    if fitting >= table.channels:
        return None
    sizes = table.over_depth(Representation.PRE, TokenRole.PATCH, Statistic.MAX_ABS)
    typical = np.maximum(np.median(sizes, axis=1, keepdims=True), np.finfo(np.float32).tiny)
    best: NDArray[np.int64] = np.argsort(-(sizes / typical).max(axis=0), kind="stable")[:fitting]
    chosen = best.tolist()
    if channel not in chosen:
        chosen[-1] = channel
    return tuple(sorted(chosen))


def _count_tokens(run: dict[str, Any]) -> int:
    width, height = run.get("network_size") or run["image_size"]
    return 5 + (int(width) // 16) * (int(height) // 16)


def _named(text: str, roots: Sequence[Path]) -> Path:
    path = resolve_below_roots(text, roots)
    if not path.exists():
        raise ConfigError(_("{text}: does not exist. Choose another file.").format(text=text))
    return path


def _named_head(text: str, roots: Sequence[Path]) -> Path | None:
    if text == FROZEN:
        return None
    path = _named(text, roots)
    if path.is_dir() and not (path / "adapter_config.json").exists():
        return _named(str(path / HEAD_NAME), roots)
    return path
