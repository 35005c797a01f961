"""One block output to the moments of its layer, in plain torch on any device.

Per image and channel, float32 sums are taken of deviations from the image's own mean and turned
into float64 moments. Nothing here waits for the device: tokens
to leave out carry zero weight, except on the CPU, where looking first is free and the usual case,
none, saves a pass.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analysis.collect.statistics.batch import PLACE_MASK, Batch, sample_stride
from analysis.collect.statistics.moments import Moments, RowMoments, pool_moments
from analysis.collect.statistics.state import CollectorState
from analysis.vocabulary import EXCEED_LEVELS, LAYER_NORM_EPS

LARGEST_NORM = 1e15
"""A token of a larger norm counts as non-finite: float32 sums of its squares could overflow."""


class TorchEngine:
    """Measures block outputs into a batch.

    Args:
        batch: Receives the slots of everything.
    """

    def __init__(self, batch: Batch) -> None:
        self._batch = batch
        self._singles = torch.empty(0)

    def measure(self, tokens: Tensor, layer: int, rows: RowMoments | None = None) -> None:
        """Measure one block output.

        Args:
            tokens: ``(images, 1 + storage + patches, channels)``, any float dtype.
            layer: Block index, or -1 for the tokens that enter block 0.
            rows: Of no use here, where the normalised tokens are needed in full.
        """
        batch, state = self._batch, self._batch.state
        slot = batch.enter(layer, tokens.shape[1], candidates=3)
        singles = state.low.shape[2] - 1
        pre = tokens.float()
        self._keep_singles(pre[:, :singles], slot)
        normalized, norms = normalize_rows(pre)
        usable = batch.valid.unsqueeze(1) & (norms[0] < LARGEST_NORM)
        batch.norms[slot] = norms.where(usable, torch.nan)
        whole = tokens.device.type == "cpu" and bool(usable.all())
        if not whole:
            pre, normalized = (
                _replace_unusable(part, usable, singles) for part in (pre, normalized)
            )
        weights = None if whole else usable[:, singles:, None].float()
        count = _by_role(usable[:, :singles].long(), usable[:, singles:].sum(1))

        for representation, values in enumerate((pre, normalized)):
            single, patch = values[:, :singles], values[:, singles:]
            mean, m2 = _image_moments(patch, weights)
            # A single token is its own mean and range.
            means = _by_role(single.double(), mean)
            squares = _by_role(torch.zeros_like(single, dtype=torch.float64), m2)
            grouped = 2 * len(tokens)
            state.mean[slot, representation, :grouped] = means[:2].flatten(0, 1)
            state.m2[slot, representation, :grouped] = squares[:2].flatten(0, 1)
            _, mean, m2 = _pool_images((count[2:], means[2:], squares[2:]))
            state.mean[slot, representation, grouped:] = mean
            state.m2[slot, representation, grouped:] = m2
            low, high = _by_role(single, patch.amin(1)), _by_role(single, patch.amax(1))
            if not whole:
                seen = count.unsqueeze(-1) > 0
                low, high = low.where(seen, torch.inf), high.where(seen, -torch.inf)
            state.low[slot, representation] = low.amin(1)
            state.high[slot, representation] = high.amax(1)

        if batch.extras:
            magnitudes = pre.abs()
            if not whole:
                magnitudes.masked_fill_(~usable.unsqueeze(-1), -1.0)
            _measure_magnitudes(magnitudes, slot, batch)

    def _keep_singles(self, singles: Tensor, slot: int) -> None:
        """Keep CLS and storage tokens, ``(slots, images, 1 + storage, channels)``."""
        if len(self._batch.observed) == 1:
            slots = self._batch.state.low.shape[0]
            self._singles = singles.new_zeros(slots, *singles.shape)
        self._singles[slot] = singles

    def commit(self, totals: CollectorState, groups: Tensor) -> None:
        """Fold the batch into the running statistics, see `collector.Engine`."""
        batch = self._batch
        self._complete()
        batch.settle()
        # on the CPU, so that the number of different groups is known without waiting
        different, group_of = groups.unique(return_inverse=True)
        totals.add_batch(batch.state, batch.send(different), batch.send(group_of))

    def _complete(self) -> None:
        """Measure the normalised CLS and storage tokens again, in float64.

        They hardly differ between images, so that the rounding of a float32 LayerNorm would show
        as their standard deviation; and there are few of them.
        """
        batch, state = self._batch, self._batch.state
        roles = state.low.shape[2]
        use = ~batch.norms[:, 0, :, : roles - 1].isnan()
        seen = use.unsqueeze(-1)
        tokens = self._singles.double().where(seen, 0.0)
        deviations = tokens - tokens.mean(-1, keepdim=True)
        variance = deviations.square().mean(-1, keepdim=True)
        normalized = deviations * (variance + LAYER_NORM_EPS).rsqrt()

        images = len(batch.indices)
        state.mean[:, 1, :images], state.m2[:, 1, :images] = normalized[:, :, 0], 0.0
        storage = normalized[:, :, 1:].transpose(1, 2)
        parts = use[:, :, 1:].transpose(1, 2), storage, torch.zeros_like(storage)
        _, state.mean[:, 1, 2 * images :], state.m2[:, 1, 2 * images :] = _pool_images(parts)
        role = [0, *range(2, roles)]
        normalized = normalized.float()
        state.low[:, 1, role] = normalized.where(seen, torch.inf).amin(1)
        state.high[:, 1, role] = normalized.where(seen, -torch.inf).amax(1)


def normalize_rows(tokens: Tensor) -> tuple[Tensor, Tensor]:
    """Apply LayerNorm without affine parameters, and measure every token's norm.

    Args:
        tokens: float32 ``(..., channels)``.

    Returns:
        The normalised tokens, and their L2 norms ``(2, ...)`` before and after.
    """
    channels = tokens.shape[-1]
    mean = tokens.mean(-1, keepdim=True)
    # Centred twice, since the first mean is rounded, which shows where it dwarfs the deviations;
    # fewer passes than the fused LayerNorm, which is centred once and hides its row's variance.
    deviations = tokens - mean
    residue = deviations.mean(-1, keepdim=True)
    squares = torch.linalg.vector_norm(deviations, dim=-1, keepdim=True).square()
    variance = (squares / channels - residue.square()).clamp(min=0)
    rstd = (variance + LAYER_NORM_EPS).rsqrt()
    norm = ((variance + (mean + residue).square()) * channels).sqrt()
    normalized_norm = (variance * channels).sqrt() * rstd
    normalized = deviations.sub_(residue).mul_(rstd)
    return normalized, torch.stack((norm, normalized_norm)).squeeze(-1)


def _pool_images(parts: Moments) -> Moments:
    """Merge over images: count ``(..., images)``, mean and m2 ``(..., images, channels)``."""
    images = parts[0].shape[-1]
    every = torch.ones(1, images, dtype=torch.float64, device=parts[0].device)
    count, mean, m2 = pool_moments(parts, every)
    return count.squeeze(-1), mean.squeeze(-2), m2.squeeze(-2)


def _by_role(single: Tensor, patch: Tensor) -> Tensor:
    """Stack per-image parts ``(images, 1 + storage, ...)`` and ``(images, ...)`` by role.

    Returns:
        ``(roles, images, ...)`` in the order cls, patch, storage tokens.
    """
    return torch.cat((single[:, :1], patch.unsqueeze(1), single[:, 1:]), 1).transpose(0, 1)


def _replace_unusable(values: Tensor, usable: Tensor, singles: int) -> Tensor:
    """Put the image's first usable patch, or zeros, where a token is to be left out.

    Such a stand-in changes no minimum or maximum and is finite under a zero weight.
    """
    first = usable[:, singles:].byte().argmax(1) + singles
    images = torch.arange(len(values), device=values.device)
    stand_in = values[images, first].where(usable[images, first].unsqueeze(-1), 0.0)
    return torch.where(usable.unsqueeze(-1), values, stand_in.unsqueeze(1))


def _image_moments(values: Tensor, weights: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return mean and m2, float64 ``(images, channels)``, of values ``(images, n, channels)``.

    Args:
        values: float32, finite.
        weights: One for a token that counts, else zero, ``(images, n, 1)``; None if all count.
    """
    if weights is None:
        shift = values.mean(1, keepdim=True)
        deviations = values - shift
        n: int | Tensor = values.shape[1]
    else:
        n = weights.sum(1).clamp(min=1)
        shift = (values * weights).sum(1, keepdim=True) / n.unsqueeze(1)
        deviations = (values - shift) * weights
    residue = deviations.sum(1).double()
    squares = deviations.square_().sum(1).double()
    mean = shift.squeeze(1).double() + residue / n
    return mean, (squares - residue.square() / n).clamp(min=0)


def _measure_magnitudes(magnitudes: Tensor, slot: int, batch: Batch) -> None:
    """Measure what concerns ``|pre|``: exceedances, peaks, and candidates for the tops.

    Args:
        magnitudes: float32 ``(images, tokens, channels)``, -1 where a token is left out.
        slot: Where to put the results.
        batch: Receives them.
    """
    images, tokens, channels = magnitudes.shape
    singles = batch.keys.shape[1] - 1
    single, patch = magnitudes[:, :singles], magnitudes[:, singles:]

    beyond = torch.empty_like(magnitudes)
    for index, threshold in enumerate(EXCEED_LEVELS):
        torch.gt(magnitudes, threshold, out=beyond)
        exceeding = _by_role(beyond[:, :singles], beyond[:, singles:].sum(1))
        batch.state.exceed[slot, :, index] = exceeding.sum(1)

    largest, place = _first_maximum(patch)
    position = torch.arange(singles, device=place.device).view(1, -1, 1).expand_as(single)
    places = _by_role(position, place + singles)
    places = places + tokens * torch.arange(images, device=place.device).view(1, -1, 1)
    bits = _by_role(single, largest).contiguous().view(torch.int32).long()
    batch.keys[slot] = (bits * (PLACE_MASK + 1) + (PLACE_MASK - places)).amax(1)

    # The three largest of an image lie in the three channels of the largest maxima.
    leading = torch.maximum(single.amax(1), largest).topk(3).indices
    columns = magnitudes.gather(2, leading.unsqueeze(1).expand(-1, tokens, -1))
    batch.largest[slot] = columns.flatten(1).topk(3).values.clamp(min=0)
    sample = magnitudes.flatten(1)[:, :: sample_stride(tokens, channels)]
    batch.medians[slot] = sample.where(sample >= 0, torch.nan).nanmedian(1).values
    watched = patch[..., batch.state.watched[slot]]
    batch.footprint[slot] = watched.where(watched >= 0, torch.nan)


def _first_maximum(values: Tensor) -> tuple[Tensor, Tensor]:
    """Return maximum and first index of it, ``(images, channels)``, over ``(images, n, channels)``.

    In two steps, since argmax along a strided axis costs far more than amax: the first run of
    tokens that holds the maximum, then the place in it.
    """
    n = values.shape[1]
    length = next(d for d in range(math.isqrt(n), 0, -1) if n % d == 0)
    runs = values.unflatten(1, (-1, length))
    maxima = runs.amax(2)
    run = maxima.argmax(1)
    index = run[:, None, None].expand(-1, 1, length, -1)
    within = runs.gather(1, index).squeeze(1).argmax(1)
    return maxima.amax(1), run * length + within
