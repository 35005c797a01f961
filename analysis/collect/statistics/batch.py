"""The statistics of one batch, kept apart from the running state until its last block.

An engine (`torch_engine`, or `triton_engine` on a GPU) fills one slot of `Batch.state` per block
output, and a few small tensors per token or image. `Batch.settle` turns those of all layers into
counts, histograms and tops at once: per layer, launching the many small operations would cost more
than the measuring. `triton_commit` does the same by kernels.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from analysis.collect.statistics.state import NORM_BINS, CollectorState
from analysis.vocabulary import NORM_EDGES

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
    """One batch of images: which they are, and what has been measured of their tokens.

    Args:
        make_state: Makes an empty state for a number of images, one group for each.

    Attributes:
        indices: int64 ``(images,)``, global image index.
        valid: bool ``(images,)``, False for padding.
        state: Accumulators of this batch alone, with one group per image.
        observed: Layers seen so far.
        norms: float32 ``(slots, representations, images, tokens)``, L2 norm of each token; NaN
            for a token that is left out.
        keys: int64 ``(slots, roles, channels)``, largest magnitude of `pre` (its float32 bits,
            high half) and its place; by magnitude, then earliest place; negative where none.
        largest: float32 ``(slots, images, candidates)``, magnitudes that include the three
            largest of each image.
        medians: float32 ``(slots, images)``, median magnitude of each image's sample; anything
            where all tokens are left out.
        footprint: float32 ``(slots, images, patches, watched)``, magnitude of the watched channels;
            NaN where a token is left out.

    The last four have no slots unless ``state`` holds extras.
    """

    def __init__(self, make_state: Callable[[int], CollectorState]) -> None:
        self._make_state = make_state
        self.state = state = make_state(1)
        self.observed: set[int] = set()
        self.norms = torch.empty(0, device=state.count.device)
        self.largest = self.medians = self.footprint = self.norms
        self.norm_edges = torch.tensor(NORM_EDGES, device=state.count.device).float()
        self.keys = state.count.new_empty(state.peak.shape[:3])

    @property
    def extras(self) -> bool:
        """Whether what the payload's extras hold is measured too."""
        return bool(self.keys.shape[0])

    def begin(self, indices: Tensor, valid: Tensor) -> None:
        """Forget the batch before and name the images of the next one."""
        self.indices, self.valid = self.send(indices), self.send(valid)
        self.observed.clear()
        if self.state.groups == len(indices):
            self.state.clear()
        else:  # once, and again for an odd last batch or after running out of memory
            self.state = self._make_state(len(indices))
        self.keys.fill_(-1)

    def send(self, tensor: Tensor) -> Tensor:
        """Copy to the device without waiting for it."""
        device = self.state.count.device
        if device.type == "cuda" and tensor.device.type == "cpu":
            tensor = tensor.pin_memory()  # from other memory the host would wait for the device
        return tensor.to(device, non_blocking=True)

    def enter(self, layer: int, tokens: int, candidates: int) -> int:
        """Make room for a layer's output and return its slot.

        Args:
            layer: Block index, or -1 for the tokens that enter block 0.
            tokens: Tokens per image.
            candidates: Magnitudes per image to be left in `largest`.

        Raises:
            RuntimeError: If the layer has been observed in this batch already, or the number of
                tokens is not that of earlier layers or of the watched patches.
        """
        if layer in self.observed:
            raise RuntimeError(f"layer {layer} was observed twice in one batch")
        slots, representations, roles, _ = self.state.low.shape
        images, extra_slots = len(self.indices), self.keys.shape[0]
        shape = (slots, representations, images, tokens)
        if not self.observed:
            # One allocation serves all batches of a shape; only the odd last one differs.
            if self.norms.shape != shape:
                patches, watched = tokens - roles + 1, self.state.watched.shape[1]
                if watched and patches != self.state.footprint_count.shape[1]:
                    raise RuntimeError(
                        f"layer {layer} has {patches} patches per image, "
                        f"{self.state.footprint_count.shape[1]} were announced"
                    )
                self.norms = self.norms.new_empty(shape)
                self.largest = self.norms.new_empty(extra_slots, images, candidates)
                self.medians = self.norms.new_empty(extra_slots, images)
                self.footprint = self.norms.new_empty(extra_slots, images, patches, watched)
            self.norms.fill_(torch.nan)
        elif self.norms.shape != shape:
            raise RuntimeError(f"layer {layer} has {tokens} tokens per image, others differ")
        self.observed.add(layer)
        return layer + self.state.first_block

    def settle(self) -> None:
        """Complete `state` from what the layers left behind."""
        state = self.state
        roles = state.low.shape[2]
        measured = ~self.norms[:, 0].isnan()
        patches = measured[..., roles - 1 :].sum(-1, keepdim=True)
        storage = measured[..., 1 : roles - 1].sum(1)
        state.count.copy_(torch.cat((measured[..., 0], patches.squeeze(-1), storage), 1))
        left_out = self.valid.unsqueeze(1) & ~measured[state.first_block :]
        state.nonfinite.copy_(left_out.sum((1, 2)))
        if self.extras:
            self._settle_norms(measured)
            self._settle_top(measured)
            self._settle_peak()
            self._settle_footprint(measured)

    def _settle_norms(self, measured: Tensor) -> None:
        slots, representations, roles, _ = self.state.low.shape
        tokens = self.norms.shape[-1]
        device = self.norms.device
        role = torch.arange(1, tokens + 1, device=device)
        role = role.masked_fill(role > roles - 1, 1).masked_fill(role == 1, 0)
        edges = self.norm_edges
        row = torch.arange(slots * representations, device=device).view(slots, -1, 1, 1)
        bins = (row * roles + role) * NORM_BINS + torch.bucketize(self.norms, edges, right=True)
        seen = measured.unsqueeze(1).expand_as(bins)
        self.state.norm_hist.view(-1).index_add_(0, bins.flatten(), seen.flatten().long())

    def _settle_top(self, measured: Tensor) -> None:
        top = torch.cat((self.largest.topk(3).values, self.medians.unsqueeze(-1)), -1)
        images = measured.any(-1)
        top.masked_fill_(~images.unsqueeze(-1), 0.0)
        self.state.top_sum.copy_(top.sum(1, dtype=torch.float64))
        self.state.top_images.copy_(images.sum(1))

    def _settle_peak(self) -> None:
        roles, tokens = self.keys.shape[1], self.norms.shape[-1]
        place = PLACE_MASK - (self.keys & PLACE_MASK)
        missing = self.keys < 0
        image = self.indices[(place // tokens).masked_fill_(missing, 0)].masked_fill_(missing, -1)
        patch = place % tokens - (roles - 1)
        is_patch = torch.arange(roles, device=place.device).unsqueeze(1) == 1
        patch.masked_fill_(missing | ~is_patch, -1)
        self.state.peak.copy_(torch.stack((image, patch), -1))

    def _settle_footprint(self, measured: Tensor) -> None:
        if not self.state.watched.shape[1]:
            return
        singles = self.state.low.shape[2] - 1
        self.state.footprint_count.copy_(measured[..., singles:].sum(1))
        self.state.footprint_sum.copy_(self.footprint.nansum(1, dtype=torch.float64))
