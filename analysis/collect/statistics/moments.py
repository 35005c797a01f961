"""Mean, variance and range per channel, accumulated batch by batch and mergeable in any order.

The last axis is the channel, the one before it is pooled. Standard deviations are of the
population (ddof 0), so ``m2 = count * std**2`` and saved statistics can be merged again. State is
float64 and holds ``m2``, the sum of squared deviations from the mean, never a plain sum of
squares: with a mean of ten thousand standard deviations the latter has no digits left.

Formula of every merge: Chan, Golub & LeVeque, "Algorithms for computing the sample variance"
(The American Statistician, 1983). Covariances and quantiles are not kept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from analysis.errors import StatisticsError


@dataclass(frozen=True)
class ChannelStats:
    """Statistics of one layer, representation and role, as the payload holds them."""

    count: int
    """Tokens pooled."""
    mean: Tensor
    """float32 ``(channels,)`` on the CPU."""
    std: Tensor
    """float32 ``(channels,)`` on the CPU, population standard deviation."""
    max_abs: Tensor
    """float32 ``(channels,)`` on the CPU."""

    def as_dict(self) -> dict[str, int | Tensor]:
        """Return the payload's dictionary: plain keys, no copies."""
        return {
            "count": self.count,
            "mean": self.mean,
            "std": self.std,
            "max_abs": self.max_abs,
        }


class ChannelMoments:
    """Running count, mean, squared deviations and signed range of ``channels`` channels.

    Attributes:
        count: int64 scalar tensor, tokens folded so far.
        mean: float64 ``(channels,)``; zero while the count is zero.
        m2: float64 ``(channels,)``, sum of squared deviations from the mean.
        min: float64 ``(channels,)``, ``+inf`` while the count is zero.
        max: float64 ``(channels,)``, ``-inf`` while the count is zero.
    """

    def __init__(self, channels: int, device: torch.device | str = "cpu") -> None:
        self.count = torch.zeros((), dtype=torch.int64, device=device)
        self.mean = torch.zeros(channels, dtype=torch.float64, device=device)
        self.m2 = torch.zeros_like(self.mean)
        self.min = torch.full_like(self.mean, torch.inf)
        self.max = torch.full_like(self.mean, -torch.inf)

    def update(self, tokens: Tensor) -> ChannelMoments:
        """Fold one batch of tokens, accumulating in float64.

        Args:
            tokens: Activations ``(tokens, channels)``, any float dtype. An empty batch changes
                nothing, and a token with a non-finite value is left out.

        Raises:
            ValueError: If `tokens` is not two-dimensional, or has another number of channels.
        """
        if tokens.ndim != 2 or tokens.shape[1] != self.mean.numel():
            expected = f"(tokens, {self.mean.numel()})"
            raise ValueError(f"expected tokens of shape {expected}, got {tuple(tokens.shape)}")
        if tokens.shape[0] == 0:
            return self
        tokens = tokens.to(self.mean.device, torch.float64)
        finite = tokens.isfinite().all(1, keepdim=True)
        batch = ChannelMoments(self.mean.numel(), self.mean.device)
        batch.count = finite.sum()
        tokens = tokens.where(finite, 0.0)
        shift = tokens.sum(0) / batch.count.clamp(min=1)
        deviations = (tokens - shift) * finite
        residue = deviations.sum(0) / batch.count.clamp(min=1)
        batch.mean = shift + residue
        batch.m2 = (deviations.square().sum(0) - batch.count * residue.square()).clamp(min=0)
        batch.min = tokens.where(finite, torch.inf).amin(0)
        batch.max = tokens.where(finite, -torch.inf).amax(0)
        return self.merge(batch)

    def merge(self, other: ChannelMoments) -> ChannelMoments:
        """Fold what `other` has seen; `other` stays as it is and shares no memory with this."""
        device = self.mean.device
        merge_moments(
            (self.count, self.mean, self.m2),
            (other.count.to(device), other.mean.to(device), other.m2.to(device)),
        )
        self.min = torch.minimum(self.min, other.min.to(device))
        self.max = torch.maximum(self.max, other.max.to(device))
        return self

    def affine(self, gamma: Tensor, beta: Tensor) -> ChannelMoments:
        """Return the moments of ``gamma * x + beta`` without another look at the tokens.

        Args:
            gamma: Scale ``(channels,)``; a negative one swaps minimum and maximum.
            beta: Offset ``(channels,)``.
        """
        gamma = gamma.to(self.mean.device, torch.float64)
        beta = beta.to(self.mean.device, torch.float64)
        image = ChannelMoments(self.mean.numel(), self.mean.device).merge(self)
        seen = self.count > 0
        ends = gamma * self.min + beta, gamma * self.max + beta
        image.mean = torch.where(seen, gamma * self.mean + beta, self.mean)
        image.m2 = gamma.square() * self.m2
        image.min = torch.where(seen, torch.minimum(*ends), self.min)
        image.max = torch.where(seen, torch.maximum(*ends), self.max)
        return image

    def finalize(self) -> ChannelStats:
        """Return what has been accumulated, rounded to float32; may be called at any time.

        Raises:
            StatisticsError: If no token has been folded: there is no number to report.
        """
        count = int(self.count)
        if count == 0:
            raise StatisticsError("no finite token was measured, so there is no statistic to give")
        std = (self.m2 / count).clamp(min=0).sqrt()
        max_abs = torch.maximum(self.min.abs(), self.max.abs())
        return ChannelStats(count, *(part.float().cpu() for part in (self.mean, std, max_abs)))


Moments = tuple[Tensor, Tensor, Tensor]
"""Count int64 ``(...)``, mean and m2 float64 ``(..., channels)`` of many sets at once."""


def merge_moments(into: Moments, other: Moments) -> None:
    """Fold `other` into `into` in place, set by set; an empty set changes nothing.

    Args:
        into: Receiver. The counts' shape may broadcast against the means' leading shape.
        other: Operand of the same shapes on the same device, left unchanged.
    """
    count, mean, m2 = into
    other_count, other_mean, other_m2 = other
    share = (other_count.double() / (count + other_count).clamp(min=1)).unsqueeze(-1)
    cross = count.double().unsqueeze(-1) * share
    delta = other_mean - mean
    mean.addcmul_(delta, share)
    m2.add_(other_m2).addcmul_(delta.square_(), cross)
    count.add_(other_count)


def pool_moments(parts: Moments, membership: Tensor) -> Moments:
    """Merge many sets into few at once, in the closed form of the pairwise rule.

    Args:
        parts: Count ``(..., parts)``, mean and m2 ``(..., parts, channels)``. All float64 values
            must be finite, those of empty parts included.
        membership: float64 ``(sets, parts)``, one where a part belongs to a set, else zero; every
            part belongs to at most one set.

    Returns:
        Count int64 ``(..., sets)``, mean and m2 float64 ``(..., sets, channels)``.
    """
    count, mean, m2 = parts
    weight = count.double().unsqueeze(-1)
    pooled_weight = membership @ weight
    pooled_mean = membership @ (weight * mean) / pooled_weight.clamp(min=1)
    deviation = mean - membership.mT @ pooled_mean
    pooled_m2 = membership @ torch.addcmul(m2, weight, deviation.square_())
    return pooled_weight.squeeze(-1).long(), pooled_mean, pooled_m2


class RowMoments(NamedTuple):
    """Moments of every token over its channels, float32 ``(images, tokens)`` each.

    Measured once, by the LayerNorm of the network, and used by the statistics too.
    """

    mean: Tensor
    """Rounded to float32."""
    residue: Tensor
    """The exact mean less the rounded one."""
    variance: Tensor
    """Population variance."""
    peak: Tensor
    """Largest magnitude."""
