"""The words of the payload: one name per idea, used in code, files, pages and documentation.

The order of each enumeration is the order of the matching axis wherever statistics are held as
one array ``[layer, representation, role, statistic, channel]``. In files the members are written
as plain `str`, never as enum members, so that `torch.load(weights_only=True)` reads them.
"""

from __future__ import annotations

from enum import StrEnum


class Representation(StrEnum):
    """What is measured of a block output."""

    PRE = "pre"
    """The block output itself (residual stream, before any norm)."""
    PER_LAYER_LN = "per_layer_ln"
    """A fresh LayerNorm without affine parameters, applied to this layer alone."""
    GLOBAL_LN = "global_ln"
    """The model's shared output LayerNorm (`norm`; `cls_norm` for CLS where untied)."""


class TokenRole(StrEnum):
    """Which tokens of an image are pooled. Storage tokens (registers) belong to neither."""

    CLS = "cls"
    PATCH = "patch"


class Statistic(StrEnum):
    """What is kept per channel."""

    MEAN = "mean"
    STD = "std"
    """Population standard deviation (ddof 0)."""
    MAX_ABS = "max_abs"


LAYER_NORM_EPS = 1e-5
"""Epsilon of every LayerNorm of the released models, and of `per_layer_ln`."""

IMAGE_GROUPS = 8
"""Running moments are kept per image group: image index modulo this number."""

TOOL_VERSION = "0.1.0"
"""Of this package, as written into payloads."""

SCHEMA_VERSION = 1
"""Version of `meta["run"]`, `extras` and the JSON beside a payload."""

FEATURE_STATS_DIR = "feature_stats"
"""Name of the folder that payloads are written to and discovered in."""

PAYLOAD_NAME = "dinov3_feature_stats.pt"
"""File name of a payload at its default path."""


REPRESENTATIONS = tuple(Representation)


ROLES = tuple(TokenRole)


STATISTICS = tuple(Statistic)
