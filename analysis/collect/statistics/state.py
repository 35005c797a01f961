"""The accumulators of all layers, as a few stacked tensors on the compute device.

Axes, in the order used everywhere: ``slots`` (block outputs 0..depth-1; with extras one more, the
tokens that enter block 0, which index -1 reaches), ``representations`` (`pre`, `per_layer_ln`),
``roles`` (cls, patch, storage_0, ...), ``cells``, ``channels``. A *cell* is what is pooled: one
per image group (image index modulo `IMAGE_GROUPS`) for cls and for patch, one for each storage
token. Group differences are the noise floor of a comparison; the total is the merge of the cells.

One merge law serves a batch, a rank and a resumed run alike.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analysis.collect.statistics.moments import merge_moments
from analysis.errors import StatisticsError
from analysis.vocabulary import IMAGE_GROUPS

THRESHOLDS = (6.0, 20.0, 100.0)
"""Magnitudes whose exceedances are counted per channel."""

NORM_BINS = 66
"""Token norms: 64 bins between the 65 edges, one below and one above."""


SUMS = (
    "nonfinite",
    "exceed",
    "norm_hist",
    "top_sum",
    "top_images",
    "footprint_sum",
    "footprint_count",
)
"""Accumulators that merge by addition."""
CHOSEN = "watched"
"""Chosen before the run, not accumulated: `clear` and `merge` leave it as it is."""


class CollectorState:
    """Accumulators of every layer, representation, cell and channel.

    Attributes:
        count: int64 ``(slots, cells)`` tokens.
        mean, m2: float64 ``(slots, representations, cells, channels)``.
        low, high: float32 ``(slots, representations, roles, channels)``, signed range;
            ``+inf`` and ``-inf`` where nothing was seen.
        nonfinite: int64 ``(depth,)`` tokens of a block output left out for a non-finite value.
        peak: int32 ``(slots, roles, channels, 2)`` image index and patch index (-1 for single
            tokens) of the largest magnitude of `pre`; equal magnitudes go to the lower index.
        exceed: int64 ``(slots, roles, thresholds, channels)`` tokens of `pre` beyond `THRESHOLDS`.
        norm_hist: int64 ``(slots, representations, roles, bins)`` token norms.
        top_sum: float64 ``(slots, 4)``, sum over images of the three largest magnitudes and the
            median magnitude.
        top_images: int64 ``(slots,)`` images in `top_sum`.
        watched: int64 ``(slots, watched)``, channels whose magnitude is kept patch by patch; a
            choice, no accumulator.
        footprint_sum: float64 ``(slots, patches, watched)``, magnitudes of `pre` in these channels.
        footprint_count: int64 ``(slots, patches)`` tokens in `footprint_sum`.

    Those from `peak` to `footprint_count` have no slots when ``extras`` is False.

    Args:
        depth, channels, n_storage, device, extras: As of `StatisticsCollector`.
        watched: int64 ``(depth, watched)``, or None to watch no channel.
        patches: Patches per image, for the watched channels.
    """

    def __init__(
        self,
        depth: int,
        channels: int,
        n_storage: int,
        device: torch.device | str,
        *,
        extras: bool,
        watched: Tensor | None = None,
        patches: int = 0,
    ) -> None:
        slots, roles = depth + extras, 2 + n_storage
        cells = 2 * IMAGE_GROUPS + n_storage
        extra_slots = slots if extras else 0

        def zeros(*shape: int, dtype: torch.dtype) -> Tensor:
            return torch.zeros(shape, dtype=dtype, device=device)

        self.count = zeros(slots, cells, dtype=torch.int64)
        self.mean = zeros(slots, 2, cells, channels, dtype=torch.float64)
        self.m2 = torch.zeros_like(self.mean)
        self.low = zeros(slots, 2, roles, channels, dtype=torch.float32)
        self.high = torch.zeros_like(self.low)
        self.nonfinite = zeros(depth, dtype=torch.int64)
        self.peak = zeros(extra_slots, roles, channels, 2, dtype=torch.int32)
        self.exceed = zeros(extra_slots, roles, len(THRESHOLDS), channels, dtype=torch.int64)
        self.norm_hist = zeros(extra_slots, 2, roles, NORM_BINS, dtype=torch.int64)
        self.top_sum = zeros(extra_slots, 4, dtype=torch.float64)
        self.top_images = zeros(extra_slots, dtype=torch.int64)
        chosen = 0 if watched is None or not extras else watched.shape[1]
        self.watched = zeros(extra_slots, chosen, dtype=torch.int64)
        if chosen and watched is not None:
            self.watched[:depth] = watched
        patches = patches if chosen else 0
        self.footprint_sum = zeros(extra_slots, patches, chosen, dtype=torch.float64)
        self.footprint_count = zeros(*self.footprint_sum.shape[:2], dtype=torch.int64)
        self.clear()

    def clear(self) -> None:
        """Forget everything, keeping the memory."""
        for name, tensor in vars(self).items():
            if name != CHOSEN:
                tensor.zero_()
        self.low.fill_(torch.inf)
        self.high.fill_(-torch.inf)
        self.peak.fill_(-1)

    def merge(self, other: CollectorState) -> None:
        """Fold `other`, which stays as it is; both must have the same shapes.

        Args:
            other: State on any device; it is read there and folded here.
        """
        theirs = {name: part.to(self.count.device) for name, part in vars(other).items()}
        self._merge_peak(theirs["peak"], theirs["low"], theirs["high"])
        merge_moments(
            (self.count.unsqueeze(1), self.mean, self.m2),
            (theirs["count"].unsqueeze(1), theirs["mean"], theirs["m2"]),
        )
        torch.minimum(self.low, theirs["low"], out=self.low)
        torch.maximum(self.high, theirs["high"], out=self.high)
        for name in SUMS:
            getattr(self, name).add_(theirs[name])

    def _merge_peak(self, peak: Tensor, low: Tensor, high: Tensor) -> None:
        """Keep the place of the larger magnitude; must run before the ranges are merged."""
        slots = peak.shape[0]
        ours = torch.maximum(-self.low[:slots, 0], self.high[:slots, 0])
        theirs = torch.maximum(-low[:slots, 0], high[:slots, 0])
        earlier = (peak[..., 0] < self.peak[..., 0]) | (
            (peak[..., 0] == self.peak[..., 0]) & (peak[..., 1] < self.peak[..., 1])
        )
        take = (theirs > ours) | ((theirs == ours) & earlier)
        self.peak.copy_(torch.where(take.unsqueeze(-1), peak, self.peak))

    def state_dict(self) -> dict[str, Tensor]:
        """Return every accumulator by name, without copying."""
        return dict(vars(self))

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Overwrite every accumulator.

        Args:
            state: What `state_dict` returned, on any device.

        Raises:
            StatisticsError: If a name is missing or unknown, or a shape or dtype differs.
        """
        own = vars(self)
        if wrong := sorted(own.keys() ^ state.keys()):
            raise StatisticsError(f"saved statistics lack or add {wrong}; start the run anew")
        for name, tensor in own.items():
            saved = state[name]
            if saved.shape != tensor.shape or saved.dtype != tensor.dtype:
                raise StatisticsError(
                    f"saved statistics hold {name} as {saved.dtype} {tuple(saved.shape)}, this run "
                    f"needs {tensor.dtype} {tuple(tensor.shape)}: they belong to another backbone "
                    "or other flags; start the run anew"
                )
        for name, tensor in own.items():
            tensor.copy_(state[name])
