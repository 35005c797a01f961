"""The accumulators of all layers, as a few stacked tensors on the compute device.

Axes, in the order used everywhere: ``slots`` (with extras, slot 0 is the tokens that enter block 0;
then the block outputs), ``representations`` (`pre`, `per_layer_ln`), ``roles`` (cls, patch,
storage_0, ...), ``cells``, ``channels``. A *cell* is a set of tokens that is pooled: for cls one
per image group, then the same for patch, then one per storage token. Differences between groups
are the noise floor of a comparison; the total is the merge of the cells.

A batch has such a state of its own, with one group per image: `add_batch` pools these into the
groups of the run. States of two ranks, or of a resumed run, merge by `merge`.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from analysis.collect.statistics.moments import Moments, merge_moments, pool_moments
from analysis.errors import StatisticsError
from analysis.vocabulary import EXCEED_LEVELS, NORM_EDGES

NORM_BINS = len(NORM_EDGES) + 1
"""Token norms: one bin between two edges, one below and one above."""

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
        exceed: int64 ``(slots, roles, levels, channels)`` tokens of `pre` beyond `EXCEED_LEVELS`.
        norm_hist: int64 ``(slots, representations, roles, bins)`` token norms.
        top_sum: float64 ``(slots, 4)``, sum over images of the three largest magnitudes and the
            median magnitude.
        top_images: int64 ``(slots,)`` images in `top_sum`.
        watched: int64 ``(slots, watched)``, channels whose magnitude is kept patch by patch; a
            choice, no accumulator.
        footprint_sum: float64 ``(slots, patches, watched)``, magnitudes of `pre` in these channels.
        footprint_count: int64 ``(slots, patches)`` tokens in `footprint_sum`.
        image_count: int64 ``(slots, 2)`` images with a token of cls, of patch.
        image_mean, image_m2: float64 ``(slots, representations, 2, channels)``, mean over images of
            the image's mean, and sum of squared deviations from it; each image counts once.

    Those from `peak` to `image_m2` have no slots when ``extras`` is False.

    Args:
        depth, channels, n_storage, device, extras: As of `StatisticsCollector`.
        groups: Image groups; in the state of a batch, its images.
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
        groups: int,
        watched: Tensor | None = None,
        patches: int = 0,
    ) -> None:
        slots, roles = depth + extras, 2 + n_storage
        cells = 2 * groups + n_storage
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
        self.exceed = zeros(extra_slots, roles, len(EXCEED_LEVELS), channels, dtype=torch.int64)
        self.norm_hist = zeros(extra_slots, 2, roles, NORM_BINS, dtype=torch.int64)
        self.top_sum = zeros(extra_slots, 4, dtype=torch.float64)
        self.top_images = zeros(extra_slots, dtype=torch.int64)
        chosen = 0 if watched is None or not extras else watched.shape[1]
        self.watched = zeros(extra_slots, chosen, dtype=torch.int64)
        if chosen and watched is not None:
            self.watched[self.first_block :] = watched
        patches = patches if chosen else 0
        self.footprint_sum = zeros(extra_slots, patches, chosen, dtype=torch.float64)
        self.footprint_count = zeros(*self.footprint_sum.shape[:2], dtype=torch.int64)
        self.image_count = zeros(extra_slots, 2, dtype=torch.int64)
        self.image_mean = zeros(extra_slots, 2, 2, channels, dtype=torch.float64)
        self.image_m2 = torch.zeros_like(self.image_mean)
        self.clear()

    @property
    def first_block(self) -> int:
        """Slot of block 0: 1 if slot 0 holds the tokens that enter it, else 0."""
        return len(self.count) - len(self.nonfinite)

    @property
    def groups(self) -> int:
        """Number of image groups."""
        return (self.count.shape[1] - self.low.shape[2] + 2) // 2

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
        merge_moments(
            (self.count.unsqueeze(1), self.mean, self.m2),
            (theirs["count"].unsqueeze(1), theirs["mean"], theirs["m2"]),
        )
        merge_moments(
            (self.image_count.unsqueeze(1), self.image_mean, self.image_m2),
            (theirs["image_count"].unsqueeze(1), theirs["image_mean"], theirs["image_m2"]),
        )
        self._merge_unpooled(theirs)

    def add_batch(self, batch: CollectorState, groups: Tensor, group_of: Tensor) -> None:
        """Pool the images of a batch into their groups.

        Only the groups that the batch has images of are read and written: as many groups as wanted
        cost a batch no time.

        Args:
            batch: The batch's state, one group per image, on the same device.
            groups: int64 ``(n,)``, the different groups of its images.
            group_of: int64 ``(images,)``, each image's position in `groups`.
        """
        images, totals = _by_group(batch), _by_group(self)
        some = torch.arange(len(groups), device=groups.device).unsqueeze(1)
        pooled = pool_moments(images, (some == group_of).double())
        axes = (-1, -2, -2)  # of the groups, in count, mean and m2
        old = [part.index_select(axis, groups) for part, axis in zip(totals, axes, strict=True)]
        merge_moments((old[0], old[1], old[2]), pooled)
        for part, axis, merged in zip(totals, axes, old, strict=True):
            part.index_copy_(axis, groups, merged)
        merge_moments(_of_storage(self), _of_storage(batch))
        if self.image_count.shape[0]:
            count, mean, m2 = images
            every = torch.ones(1, count.shape[-1], dtype=torch.float64, device=count.device)
            count, mean, m2 = pool_moments((count > 0, mean, torch.zeros_like(m2)), every)
            merge_moments(
                (self.image_count.unsqueeze(1), self.image_mean, self.image_m2),
                (count.squeeze(-1), mean.squeeze(-2), m2.squeeze(-2)),
            )
        self._merge_unpooled(vars(batch))

    def _merge_unpooled(self, theirs: Mapping[str, Tensor]) -> None:
        """Merge what has no cells: ranges, their places, and sums."""
        self._merge_peak(theirs["peak"], theirs["low"], theirs["high"])
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


def _by_group(state: CollectorState) -> Moments:
    """Return views of the cells of cls and patch, with an axis of the two before the groups."""
    cells = 2 * state.groups
    count = state.count[:, :cells].unflatten(1, (2, -1)).unsqueeze(1)
    mean, m2 = (part[:, :, :cells].unflatten(2, (2, -1)) for part in (state.mean, state.m2))
    return count, mean, m2


def _of_storage(state: CollectorState) -> Moments:
    """Return views of the cells of the storage tokens."""
    first = 2 * state.groups
    return state.count[:, first:].unsqueeze(1), state.mean[:, :, first:], state.m2[:, :, first:]
