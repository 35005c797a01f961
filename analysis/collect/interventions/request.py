"""What a person asks of an intervention. No torch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from enum import StrEnum


class TokenKind(StrEnum):
    """Tokens of an image, in the order in which they stand."""

    CLS = "cls"
    REGISTERS = "registers"
    PATCHES = "patches"


class Action(StrEnum):
    """What a channel is set to."""

    MEAN = "mean"
    """The channel's mean over the data set, of the same layer and kind of token."""
    ZERO = "zero"
    IMAGE_MEAN = "image-mean"
    """The channel's mean over the same image's tokens of the same kind."""


ALL_TOKENS = tuple(TokenKind)


@dataclass(frozen=True)
class InterventionRequest:
    """What a person asks for."""

    layer: int | None = None
    """First block whose output is changed; a sweep starts at every layer."""
    channels: tuple[int, ...] | None = None
    """None takes the `top` channels."""
    top: int = 4
    """The largest max |x| of the patch tokens: of the layer, or of any layer for a sweep."""
    tokens: tuple[TokenKind, ...] = ALL_TOKENS
    action: Action = Action.MEAN
    hold: bool = True
    max_images: int = 64
    draws: int = 10
    """Random sets of channels that serve as control."""
    sweep: bool = False
    """Each channel on its own, from each layer on."""

    def to_json(self) -> str:
        """Return the request as text for `from_json`; equal requests give equal text."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> InterventionRequest:
        """Return the request that `to_json` wrote."""
        raw = json.loads(text)
        raw["tokens"] = tuple(TokenKind(kind) for kind in raw["tokens"])
        raw["action"] = Action(raw["action"])
        if raw["channels"] is not None:
            raw["channels"] = tuple(int(channel) for channel in raw["channels"])
        return cls(**raw)
