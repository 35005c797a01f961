"""What the statistics should be: float64 numpy over all tokens at once, nothing incremental."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.moments import ChannelStats
from analysis.collect.statistics.norm import NormParameters

Array = NDArray[np.float64]

STORAGE = 4
EPS = 1e-5
ROLES = ("cls", "patch", "storage_0", "storage_1", "storage_2", "storage_3")


@dataclass
class Expected:
    """Mean, population std and maximal magnitude, float64 ``(channels,)``."""

    count: int
    mean: Array
    std: Array
    max_abs: Array


def expect(tokens: Array) -> Expected:
    """Return the statistics of tokens ``(n, channels)``."""
    tokens = tokens.astype(np.float64)
    return Expected(len(tokens), tokens.mean(0), tokens.std(0), np.abs(tokens).max(0))


def assert_agrees(stats: ChannelStats, expected: Expected, tolerance: float) -> None:
    """Compare in the measure of the design: |Δmean|/rms, |Δstd|/std, |Δmax|/max per channel."""
    assert stats.count == expected.count
    rms = np.sqrt(expected.mean**2 + expected.std**2)
    for name, scale in (("mean", rms), ("std", expected.std), ("max_abs", expected.max_abs)):
        error = np.abs(getattr(stats, name).double().numpy() - getattr(expected, name))
        worst = (error / np.maximum(scale, 1e-300)).max()
        assert worst <= tolerance, f"{name} is off by {worst:.2e}"


def layer_norm(tokens: Array) -> Array:
    """LayerNorm over the last axis without affine parameters."""
    tokens = tokens.astype(np.float64)
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + EPS)


def by_role(outputs: Array, role: str) -> Array:
    """Return a role's tokens ``(images, tokens, channels)`` of block outputs of that rank."""
    index = {"cls": slice(0, 1), "patch": slice(1 + STORAGE, None)}
    index |= {f"storage_{i}": slice(1 + i, 2 + i) for i in range(STORAGE)}
    return outputs[:, index[role]]


def make_outputs(
    depth: int = 2, images: int = 11, patches: int = 24, channels: int = 40, seed: int = 0
) -> torch.Tensor:
    """Return fp32 block outputs ``(1 + depth, images, tokens, channels)``, the embedding first.

    Built to be awkward as trained backbones are: offsets that differ per channel, a channel of
    large magnitude on every token, a few massive tokens, storage tokens unlike all others.
    """
    generator = torch.Generator().manual_seed(seed)
    shape = (1 + depth, images, 1 + STORAGE + patches, channels)
    outputs = torch.randn(shape, generator=generator)
    outputs *= torch.linspace(0.2, 5, channels)
    outputs += torch.randn(1 + depth, 1, 1, channels, generator=generator) * 4
    outputs += torch.randn(1 + depth, images, 1, 1, generator=generator)
    outputs[..., 3] += 150
    outputs[:, 1::3, 7, 5] = 900
    outputs[:, :, 1 : 1 + STORAGE] -= 60 * torch.arange(1, 1 + STORAGE).view(-1, 1)
    return outputs


def make_collector(
    outputs: torch.Tensor,
    *,
    extras: bool,
    engine: Literal["torch", "triton"] = "torch",
    watched: tuple[int, int] = (-1, 0),
    image_groups: torch.Tensor | None = None,
) -> StatisticsCollector:
    """Return a collector for the outputs that watches two channels, with extras."""
    depth, channels = len(outputs) - 1, outputs.shape[-1]
    return StatisticsCollector(
        depth,
        channels,
        STORAGE,
        "cpu",
        extras=extras,
        engine=engine,
        image_groups=image_groups,
        watched=torch.tensor([watched]).expand(depth, -1) % channels,
        grid=(1, outputs.shape[2] - 1 - STORAGE),
    )


def collect(
    outputs: torch.Tensor,
    batches: list[list[int]],
    *,
    extras: bool = False,
    into: StatisticsCollector | None = None,
) -> StatisticsCollector:
    """Run a collector over images given by index, batch by batch; -1 stands for a padding row."""
    collector = into or make_collector(outputs, extras=extras)
    for images in batches:
        indices = torch.tensor(images)
        collector.begin_batch(indices.clamp(min=0), indices >= 0)
        for layer in range(-1, collector.depth):
            collector.observe(layer, outputs[layer + 1, indices.clamp(min=0)])
        collector.commit_batch()
    return collector


def assert_same_statistics(
    left: StatisticsCollector,
    right: StatisticsCollector,
    tolerance: float = 1e-6,
    normalized_tolerance: float | None = None,
) -> None:
    """Counts exactly, statistics to `tolerance` in the measure of the design.

    LayerNorm itself is computed in float32: two ways to do so differ by `normalized_tolerance`.
    """
    norm = NormParameters(torch.ones(left.channels), torch.zeros(left.channels))
    theirs = right.finalize(norm)
    for layer, names in left.finalize(norm).layers.items():
        for name, roles in names.items():
            for role, stats in roles.items():
                other = theirs.layers[layer][name][role]
                arrays = (getattr(other, f).double().numpy() for f in ("mean", "std", "max_abs"))
                allowed = tolerance if name == "pre" else normalized_tolerance or tolerance
                assert_agrees(stats, Expected(other.count, *arrays), allowed)
    for key in ("count", "nonfinite"):
        assert torch.equal(left.state_dict()[key], right.state_dict()[key]), key
