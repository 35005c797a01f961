"""What maps are asked for: which pictures, through which network; and where results lie.

No pandas either: the process that computes maps starts faster without.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from analysis.files.cache_folder import cache_folder
from analysis.files.digest import digest_picture

FORMAT = 2
"""Part of the name of every result; to be raised when the meaning of its arrays changes."""


class Arm(StrEnum):
    """Which network a picture runs through."""

    ADAPTER = "adapter"
    """With the adapter of the head."""
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
            ImageError: If the file cannot be read, or is a pipe or a device.
        """
        return cls(path, digest_picture(str(path)))


@dataclass(frozen=True)
class MapRequest:
    """All that decides the maps of some pictures."""

    backbone: str
    weights: Path
    weights_sha256: str | None
    """What the weights must be; None where the payload does not know or others were chosen."""
    head: Path | None
    """The head with the adapter; None for a frozen backbone."""
    adapter_sha256: str | None
    """What the adapter must be; None likewise."""
    config: dict[str, Any]
    image_size: tuple[int, int]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    channels: tuple[int, ...] | None
    """Channels to keep, ascending; None keeps all."""
    pictures: tuple[Picture, ...]
    is_as_measured: bool = True
    """Whether neither weights nor head were chosen in place of the payload's."""
    weights_key: str | None = None
    """Which backbone of a weights file with several; None for the usual one."""

    @property
    def arms(self) -> tuple[Arm, ...]:
        """Return the networks to run, in the order in which they are shown."""
        return (Arm.ADAPTER, Arm.FROZEN) if self.head else (Arm.FROZEN,)

    def result_path(self, picture: Picture, arm: Arm) -> Path:
        """Return where the maps of a picture lie once they are computed."""
        adapter = [self.adapter_sha256, _state(self.head)] if arm is Arm.ADAPTER else None
        weights = [self.weights_sha256, _state(self.weights)]
        size = [*self.image_size, *self.mean, *self.std]
        channels = self.channels and list(self.channels)
        parts = [FORMAT, picture.sha256, self.backbone, weights, adapter, size, channels]
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
            is_as_measured=raw["is_as_measured"],
            weights_key=raw["weights_key"],
        )


def maps_folder() -> Path:
    """Return the folder that results are kept in; it need not exist."""
    return cache_folder() / "maps"


def uploads_folder() -> Path:
    """Return the folder that uploaded pictures are kept in by their content."""
    return maps_folder() / "uploads"


def _state(path: Path | None) -> list[Any] | None:
    if path is None:
        return None
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]


def _digest(parts: list[Any]) -> str:
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
