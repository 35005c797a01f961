"""What maps are asked for: which pictures, through which network, as the payload was measured.

The network is the payload's: its weights, its adapter, its image size. Files are looked for where
the payload says, and below the allowed roots; their digests are compared before anything is shown.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import CheckpointError, ConfigError, PayloadError
from analysis.maps.photographs import find_recorded
from analysis.table_cache import cache_folder
from analysis.tables import StatsTable
from analysis.vocabulary import Representation, Statistic, TokenRole

MAX_IMAGES = 6
"""Pictures of one request: a handful."""

MAX_BYTES = 64 * 2**20
"""Size of one result; of a network that needs more, not all channels are kept."""


class Arm(StrEnum):
    """Which network a picture runs through."""

    ADAPTER = "adapter"
    """The one that was measured."""
    FROZEN = "frozen"
    """The same backbone without its adapter."""


@dataclass(frozen=True)
class Picture:
    """One image to map."""

    path: Path
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Picture:
        """Return a picture by its file's content.

        Raises:
            OSError: If the file cannot be read.
        """
        with path.open("rb") as file:
            return cls(path, hashlib.file_digest(file, "sha256").hexdigest())


@dataclass(frozen=True)
class MapRequest:
    """All that decides the maps of some pictures."""

    backbone: str
    weights: Path
    weights_sha256: str | None
    """As the payload says; None where it does not know."""
    head: Path | None
    """The head whose adapter was measured; None for a frozen backbone."""
    adapter_sha256: str | None
    config: dict[str, Any]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[int, ...] | None
    """Channels to keep, ascending; None keeps all."""
    pictures: tuple[Picture, ...]

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return the networks to run: the measured one first, and without an adapter only it."""
        return (Arm.ADAPTER, Arm.FROZEN) if self.head else (Arm.FROZEN,)

    def result_path(self, picture: Picture, arm: Arm) -> Path:
        """Return where the maps of a picture lie once they are computed."""
        adapter = [self.adapter_sha256, _state(self.head)] if arm is Arm.ADAPTER else None
        weights = [self.weights_sha256, _state(self.weights)]
        size = [*self.image_size, *self.mean, *self.std]
        channels = self.channels and list(self.channels)
        parts = [picture.sha256, self.backbone, weights, adapter, size, channels]
        return maps_folder() / f"{_digest(parts)}.npz"

    def missing(self) -> list[tuple[Picture, Arm]]:
        """Return what is not computed yet."""
        return [
            (picture, arm)
            for arm in self.arms
            for picture in self.pictures
            if not self.result_path(picture, arm).exists()
        ]

    @property
    def key(self) -> str:
        """Return a name that equal requests share."""
        return _digest([self.result_path(p, arm).name for arm in self.arms for p in self.pictures])

    @property
    def network_key(self) -> str:
        """Return a name that requests to the same networks share."""
        weights, head = [self.weights_sha256, _state(self.weights)], _state(self.head)
        return _digest([self.backbone, weights, self.adapter_sha256, head])

    def to_json(self) -> str:
        """Return the request as text for `from_json`."""
        return json.dumps(asdict(self), default=str)

    @classmethod
    def from_json(cls, text: str) -> MapRequest:
        """Return the request that `to_json` wrote."""
        raw = json.loads(text)
        pictures = tuple(Picture(Path(p["path"]), p["sha256"]) for p in raw.pop("pictures"))
        width, height = raw.pop("image_size")
        return cls(
            backbone=raw["backbone"],
            weights=Path(raw["weights"]),
            weights_sha256=raw["weights_sha256"],
            head=Path(raw["head"]) if raw["head"] else None,
            adapter_sha256=raw["adapter_sha256"],
            config=raw["config"],
            image_size=(width, height),
            mean=tuple(raw["mean"]),
            std=tuple(raw["std"]),
            channels=None if raw["channels"] is None else tuple(raw["channels"]),
            pictures=pictures,
        )


def maps_folder() -> Path:
    """Return the folder that results are kept in; it need not exist."""
    return cache_folder() / "maps"


def uploads_folder() -> Path:
    """Return the folder that uploaded pictures are kept in by their content."""
    return maps_folder() / "uploads"


def plan_maps(
    table: StatsTable,
    pictures: Sequence[Picture],
    channel: int,
    roots: Sequence[Path] | None = None,
) -> MapRequest:
    """Return the request for some pictures through the network of a payload.

    Args:
        table: The payload.
        pictures: At most `MAX_IMAGES`.
        channel: Kept in any case.
        roots: As from `allowed_roots`, which None stands for.

    Raises:
        PayloadError: If the payload does not say how its images were prepared.
        ConfigError: If there are too many pictures.
        CheckpointError: If weights or head cannot be read here.
    """
    run, backbone = table.run, table.backbone
    if len(pictures) > MAX_IMAGES:
        raise ConfigError(f"{len(pictures)} images are too many; choose up to {MAX_IMAGES}.")
    try:
        width, height = (int(side) for side in run["image_size"])
        mean, std = (tuple(map(float, run["normalization"][key])) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        raise PayloadError(
            "This payload does not say how its images were prepared (meta.run), so its network "
            "cannot be run the same way. Extract this version again."
        ) from None
    project_dir = str(table.meta.get("project_dir", ""))
    weights = _find(backbone.get("dino_weights_pt"), project_dir, "weights", roots)
    used_lora = bool(backbone.get("used_lora"))
    head = backbone.get("first_head_path")
    return MapRequest(
        backbone=str(backbone.get("backbone_name")),
        weights=weights,
        weights_sha256=run.get("weights_sha256"),
        head=_find(head, project_dir, "head", roots) if used_lora else None,
        adapter_sha256=run.get("adapter_sha256") if used_lora else None,
        config=table.config,
        image_size=(width, height),
        mean=mean,
        std=std,
        channels=choose_channels(table, channel, _count_tokens(run)),
        pictures=tuple(dict.fromkeys(pictures)),
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


def _find(recorded: Any, project_dir: str, what: str, roots: Sequence[Path] | None) -> Path:
    found = find_recorded(str(recorded), project_dir, roots) if recorded else None
    if found is None:
        raise CheckpointError(
            f"The {what} of this payload cannot be read here: {recorded}. Put the file at the same "
            "place in this project dir, or extract this version here."
        )
    return found


def _state(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
