"""What one batch contributes, kept apart from the running state until its last block.

`reduction` (or `kernels`) fills one slot of `Batch.state` per block output, and leaves behind a
few small tensors per token or image. `Batch.settle` turns those of all layers into counts,
histograms and tops in one go: done per layer, launching the many small operations would cost
more than the measuring.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from analysis.statistics.moments import pool_moments
from analysis.statistics.state import NORM_BINS, CollectorState
from analysis.vocabulary import IMAGE_GROUPS, LAYER_NORM_EPS

MEDIAN_SAMPLE = 4096
"""Magnitudes per image that the median is taken of, evenly spaced over tokens × channels.

The median of ``n`` independent draws lies between the ``0.5 ± e`` quantiles with probability
``1 - 2 exp(-2 n e²)`` (Hoeffding): for 4096, between the 47th and 53rd percentile of the image's
magnitudes with 99.87 %. The spacing shares no factor with the channels, so that every channel is
drawn equally often. Images with fewer values are measured whole.
"""

PLACE_MASK = 2**32 - 1
"""Low half of a peak's key: this number minus the token's place in the batch."""


def sample_stride(tokens: int, channels: int) -> int:
    """Return the spacing of the magnitudes that the median is taken of."""
    stride = math.ceil(tokens * channels / MEDIAN_SAMPLE)
    while math.gcd(stride, channels) > 1:
        stride += 1
    return stride


class Batch:
    """One batch of images: who they are, and what has been measured of their tokens.

    Attributes:
        indices: int64 ``(images,)``, global image index.
        valid: bool ``(images,)``, False for padding.
        state: Accumulators of this batch alone.
        membership: float64 ``(cells, roles * images)``, one where a role's tokens of an image
            belong to a cell.
        observed: Layers seen so far.
        norms: float32 ``(slots, representations, images, tokens)``, L2 norm of each token; NaN
            for a token that is left out.
        singles: float32 ``(slots, images, 1 + storage, channels)``, the CLS and storage tokens
            of `pre`; anything where a token is left out.
        keys: int64 ``(slots, roles, channels)``, largest magnitude of `pre` (its float32 bits,
            high half) and its place; by magnitude, then earliest place; negative where none.
        largest: float32 ``(slots, images, candidates)``, magnitudes that include the three
            largest of each image.
        samples: float32 ``(slots, images, sampled)``, the values of whose magnitudes the median
            is taken; anything where a token is left out.

    `keys`, `largest` and `samples` have no slots unless ``state`` holds extras.
    """

    def __init__(self, state: CollectorState) -> None:
        self.state = state
        self.observed: set[int] = set()
        self.norms = torch.empty(0, device=state.count.device)
        self.singles = self.largest = self.samples = self.norms
        self.keys = state.count.new_empty(state.peak.shape[:3])

    def begin(self, indices: Tensor, valid: Tensor) -> None:
        """Forget the batch before and name the images of the next one."""
        device = self.state.count.device
        self.indices = indices.to(device, non_blocking=True)
        self.valid = valid.to(device, non_blocking=True)
        self.membership = self._membership()
        self.observed.clear()
        self.state.clear()
        self.keys.fill_(-1)

    def _membership(self) -> Tensor:
        roles, cells = self.state.low.shape[2], self.state.count.shape[1]
        role = torch.arange(roles, device=self.indices.device).unsqueeze(1)
        grouped = role * IMAGE_GROUPS + self.indices % IMAGE_GROUPS
        single = (2 * IMAGE_GROUPS + role - 2).expand_as(grouped)
        cell = torch.where(role < 2, grouped, single).flatten()
        return (torch.arange(cells, device=cell.device).unsqueeze(1) == cell).double()

    def enter(self, layer: int, tokens: int, candidates: int) -> int:
        """Make room for a layer's output and return its slot.

        Args:
            layer: Block index, or -1 for the tokens that enter block 0.
            tokens: Tokens per image.
            candidates: Magnitudes per image to be left in `largest`.

        Raises:
            RuntimeError: If the layer has been observed in this batch already, or earlier layers
                had other numbers of tokens.
        """
        if layer in self.observed:
            raise RuntimeError(f"layer {layer} was observed twice in one batch")
        slots, representations, roles, channels = self.state.low.shape
        images, extra_slots = len(self.indices), self.keys.shape[0]
        shape = (slots, representations, images, tokens)
        if not self.observed:
            # One allocation serves all batches of a shape; only the odd last one differs.
            if self.norms.shape != shape:
                sampled = len(range(0, tokens * channels, sample_stride(tokens, channels)))
                self.norms = self.norms.new_empty(shape)
                self.singles = self.norms.new_empty(slots, images, roles - 1, channels)
                self.largest = self.norms.new_empty(extra_slots, images, candidates)
                self.samples = self.norms.new_empty(extra_slots, images, sampled)
            self.norms.fill_(torch.nan)
        elif self.norms.shape != shape:
            raise RuntimeError(f"layer {layer} has {tokens} tokens per image, others differ")
        self.observed.add(layer)
        return layer % slots

    def settle(self) -> None:
        """Complete `state` from what the layers left behind."""
        state = self.state
        roles = state.low.shape[2]
        measured = ~self.norms[:, 0].isnan()
        patches = measured[..., roles - 1 :].sum(-1, keepdim=True)
        counts = torch.cat((measured[..., :1], patches, measured[..., 1 : roles - 1]), -1)
        counts = counts.transpose(1, 2).flatten(1).double()
        state.count.copy_(counts @ self.membership.mT)
        depth = state.nonfinite.shape[0]
        left_out = self.valid.unsqueeze(1) & ~measured[:depth]
        state.nonfinite.copy_(left_out.sum((1, 2)))
        self._settle_singles(measured[..., : roles - 1])
        if self.keys.shape[0]:
            self._settle_norms(measured)
            self._settle_top(measured)
            self._settle_peak()

    def _settle_singles(self, use: Tensor) -> None:
        """Measure the normalised CLS and storage tokens again, in float64.

        They hardly differ between images, so that the rounding of a float32 LayerNorm would show
        as their standard deviation; and there are few of them.

        Args:
            use: bool ``(slots, images, 1 + storage)``, the tokens that count.
        """
        tokens = self.singles.double().where(use.unsqueeze(-1), 0.0)
        deviations = tokens - tokens.mean(-1, keepdim=True)
        variance = deviations.square().mean(-1, keepdim=True)
        normalized = deviations * (variance + LAYER_NORM_EPS).rsqrt()

        parts = use.transpose(1, 2).flatten(1), normalized.transpose(1, 2).flatten(1, 2)
        parts = *parts, torch.zeros_like(parts[1])
        cells, roles = self._single_cells(), self._single_roles()
        images = torch.arange(len(self.indices), device=roles.device)
        columns = (roles.unsqueeze(1) * len(images) + images).flatten()
        _, mean, m2 = pool_moments(parts, self.membership[cells][:, columns])
        self.state.mean[:, 1, cells], self.state.m2[:, 1, cells] = mean, m2
        seen, normalized = use.unsqueeze(-1), normalized.float()
        self.state.low[:, 1, roles] = normalized.where(seen, torch.inf).amin(1)
        self.state.high[:, 1, roles] = normalized.where(seen, -torch.inf).amax(1)

    def _single_roles(self) -> Tensor:
        roles = torch.arange(self.state.low.shape[2], device=self.norms.device)
        return torch.cat((roles[:1], roles[2:]))

    def _single_cells(self) -> Tensor:
        cells = torch.arange(self.state.count.shape[1], device=self.norms.device)
        return torch.cat((cells[:IMAGE_GROUPS], cells[2 * IMAGE_GROUPS :]))

    def _settle_norms(self, measured: Tensor) -> None:
        slots, representations, roles, _ = self.state.low.shape
        tokens = self.norms.shape[-1]
        device = self.norms.device
        role = torch.arange(tokens, device=device) + 1
        role = torch.where(role > roles - 1, 1, role)
        role[0] = 0
        edges = torch.logspace(-1, 5, NORM_BINS - 1, dtype=torch.float64, device=device).float()
        row = torch.arange(slots * representations, device=device).view(slots, -1, 1, 1)
        bins = (row * roles + role) * NORM_BINS + torch.bucketize(self.norms, edges, right=True)
        seen = measured.unsqueeze(1).expand_as(bins)
        self.state.norm_hist.view(-1).index_add_(0, bins.flatten(), seen.flatten().long())

    def _settle_top(self, measured: Tensor) -> None:
        channels, tokens = self.keys.shape[2], measured.shape[2]
        stride = sample_stride(tokens, channels)
        token = torch.arange(self.samples.shape[2], device=measured.device) * stride // channels
        samples = self.samples.abs().where(measured[..., token], torch.nan)
        top = torch.cat((self.largest.topk(3).values, samples.nanmedian(-1, True).values), -1)
        images = measured.any(-1)
        self.state.top_sum.copy_(top.where(images.unsqueeze(-1), 0.0).sum(1, dtype=torch.float64))
        self.state.top_images.copy_(images.sum(1))

    def _settle_peak(self) -> None:
        roles, tokens = self.keys.shape[1], self.norms.shape[-1]
        place = PLACE_MASK - (self.keys & PLACE_MASK)
        found = self.keys >= 0
        image = self.indices[torch.where(found, place // tokens, 0)].where(found, -1)
        patch = place % tokens - (roles - 1)
        is_patch = torch.arange(roles, device=place.device).unsqueeze(1) == 1
        patch = patch.where(found & is_patch, -1)
        self.state.peak.copy_(torch.stack((image, patch), -1))
