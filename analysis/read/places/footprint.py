"""Where in the pictures a channel is large: everywhere, in few patches, or in some images.

Told from what a payload holds: mean, std and max |x| over all patches of all images, the means of
the image groups, and, of a few channels, the mean |x| at every patch of the grid.

Images differ between groups as they do between each other, so the spread of the group means, times
the images of a group, estimates the variance of the image means.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, Texts, _
from analysis.payload.groups import TINY_VARIANCE, GroupStats

Floats = NDArray[np.float64]

CONSTANT = 3.0
"""|mean| over std from which on a channel is a constant: its sign never changes in practice."""

SPARSE = 10.0
"""Peak's distance from the mean, in stds, from which on a few patches make the channel large; of a
million values of a normal distribution the largest is 5 stds away."""

BETWEEN = 0.5
"""Share of the variance between images from which on the image decides more than the place."""

MIN_GROUPS = 4
"""Groups with images that an estimate needs."""

MARKED = 1.25
"""Mass of some patches over their share of the patches from which on they stand out."""

CONFIDENCE_Z = 1.2816
"""Normal quantile of the bounds of a share: 10 % on either side."""


class Footprint(StrEnum):
    """What a channel answers to."""

    CONSTANT = N_("constant bias")
    SPARSE = N_("sparse high-norm patches")
    IMAGE = N_("image-dependent")
    PLACE = N_("patch-dependent")
    UNKNOWN = N_("cannot be told")


SENTENCES = Texts(
    {
        Footprint.CONSTANT: N_("Nearly the same value at every patch of every image: a bias."),
        Footprint.SPARSE: N_("Ordinary almost everywhere, far out in few patches."),
        Footprint.IMAGE: N_("Some images have more of it than others, over most of their patches."),
        Footprint.PLACE: N_("Differs from patch to patch within an image."),
        Footprint.UNKNOWN: N_("Images or places: too few image groups are stored to tell."),
    }
)


SINGLE_SENTENCES = Texts(
    {
        Footprint.CONSTANT: N_("Nearly the same value in every image: a bias."),
        Footprint.SPARSE: N_("Ordinary in almost every image, far out in few."),
        Footprint.IMAGE: N_("Some images have more of it than others."),
    }
)
"""Of CLS and storage tokens, of which an image has one each."""


def label_kind(kind: Footprint, *, single: bool) -> str:
    """Return what a kind is called; single tokens, CLS and registers, are no patches."""
    return _("sparse peaks") if single and kind is Footprint.SPARSE else _(kind.value)


def describe_footprint(
    channels: NDArray[np.integer],
    mean: NDArray[np.floating],
    std: NDArray[np.floating],
    max_abs: NDArray[np.floating],
    groups: GroupStats | None,
    tokens_per_image: int,
    *,
    ends: NDArray[np.floating] | None = None,
    image_means: NDArray[np.floating] | None = None,
) -> pd.DataFrame:
    """Describe some channels of one kind of token of one layer.

    Args:
        channels: Which, ``[k]``.
        mean: Of all channels, ``[C]``.
        std: Of all channels, ``[C]``.
        max_abs: Of all channels, ``[C]``.
        groups: Of the same cell; None where the payload has none.
        tokens_per_image: Patches of one image; with 1, all of the variance is between images.
        ends: Signed minimum and maximum of all channels, ``[2, C]``; where None the peak is at
            least as far out as said.
        image_means: Variance over images of the image's mean, ``[C]``, which makes the share
            between images exact; estimated from `groups` where None.

    Returns:
        One row per channel: channel, mean_over_std, peak_z, between, between_low, between_high
        (NaN where it cannot be estimated), footprint.
    """
    picked = [np.asarray(values, dtype=np.float64)[channels] for values in (mean, std, max_abs)]
    center, spread, peak = np.abs(picked[0]), np.maximum(picked[1], 1e-12), picked[2]
    if tokens_per_image == 1:
        between = low = high = np.where(picked[1] > 0, 1.0, np.nan)
    elif image_means is not None:
        variance = np.where(picked[1] > 0, picked[1] ** 2, np.nan)
        between = low = high = np.clip(image_means[channels] / variance, 0, 1)
    else:
        shares = share_between(groups, tokens_per_image, len(mean))
        between, low, high = (values[channels] for values in shares)
    # Without the ends the peak lies on either side of zero: the nearer side is claimed.
    reach = np.maximum(peak - center, 0)
    if ends is not None:
        low_end, high_end = np.asarray(ends, dtype=np.float64)[:, channels]
        reach = np.maximum(high_end - picked[0], picked[0] - low_end)
    peak_z = reach / spread
    ratio = center / spread
    constant = (ratio >= CONSTANT) | (picked[1] == 0)
    kinds = np.select(
        [constant, peak_z >= SPARSE, np.isnan(between), between >= BETWEEN],
        [
            Footprint.CONSTANT.value,
            Footprint.SPARSE.value,
            Footprint.UNKNOWN.value,
            Footprint.IMAGE.value,
        ],
        Footprint.PLACE.value,
    )
    return pd.DataFrame(
        {
            "channel": np.asarray(channels, dtype=np.int32),
            "mean_over_std": ratio,
            "peak_z": peak_z,
            "between": between,
            "between_low": low,
            "between_high": high,
            "footprint": kinds,
        }
    )


def share_between(
    groups: GroupStats | None, tokens_per_image: int, channels: int
) -> tuple[Floats, Floats, Floats]:
    """Return the share of the variance that lies between images, and its 80 % bounds, ``[C]``.

    The variance of an image's mean B shows in the means of groups of m images as B / m. With g
    groups the estimate has g - 1 degrees of freedom, which is few: the bounds are those of a
    chi-square distribution (Wilson & Hilferty 1931), clipped to 0..1. NaN with fewer than
    `MIN_GROUPS` groups.
    """
    unknown = np.full(channels, np.nan)
    present = groups.present() if groups is not None and (groups.count > 0).any() else None
    if present is None or len(present.count) < MIN_GROUPS or tokens_per_image < 1:
        return unknown, unknown, unknown
    images = present.count / tokens_per_image
    mean, std = present.pool()
    freedom = len(images) - 1
    # unequal groups: each deviation is weighted by the images behind it
    variance_of_means = (images[:, None] * (present.mean - mean) ** 2).sum(axis=0) / freedom
    share = variance_of_means / np.maximum(std**2, TINY_VARIANCE)
    share[std**2 <= TINY_VARIANCE] = np.nan
    spread = np.sqrt(2 / (9 * freedom))
    quantiles = [(1 - 2 / (9 * freedom) + sign * CONFIDENCE_Z * spread) ** 3 for sign in (1, -1)]
    low, high = (np.clip(share / quantile, 0, 1) for quantile in quantiles)
    return np.clip(share, 0, 1), low, high


def summarise_footprints(frame: pd.DataFrame, *, single: bool = False) -> str:
    """Return in one sentence what the described channels answer to."""
    counts = frame["footprint"].value_counts()
    parts = [
        f"{counts[kind.value]} {label_kind(kind, single=single)}"
        for kind in Footprint
        if kind.value in counts
    ]
    return _("Of the top {count} channels: {parts}.").format(
        count=len(frame), parts=_(", ").join(parts)
    )


@dataclass(frozen=True)
class Spread:
    """How a map of mean |x| is spread over the patch grid; shares of its sum, 0 to 1."""

    row: int
    column: int
    """Of the largest patch."""
    largest_over_median: float
    """inf where more than half of the patches are 0."""
    border: float
    """Share of the map in the outermost ring of patches."""
    border_patches: float
    """Share of the patches in that ring; 1 where the grid has no inside."""
    corners: float
    """Share of the map in the four corner patches."""
    corner_patches: float


def measure_spread(mean_abs: NDArray[np.floating]) -> Spread | None:
    """Measure one map ``[rows, columns]``, patches that were not counted (NaN) left out.

    Returns:
        None where nothing was counted, or the channel is zero everywhere.
    """
    values = np.asarray(mean_abs, dtype=np.float64)
    counted = np.isfinite(values)
    total = float(np.nansum(values))
    if not counted.any() or total <= 0:
        return None
    ends = [np.isin(np.arange(size), (0, size - 1)) for size in values.shape]
    ring, corners = ends[0][:, None] | ends[1], ends[0][:, None] & ends[1]
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    largest, median = float(np.nanmax(values)), float(np.nanmedian(values))
    return Spread(
        int(row),
        int(column),
        largest / median if median > 0 else float("inf"),
        *(
            share
            for where in (ring, corners)
            for share in (float(np.nansum(values[where])) / total, _share(where, counted))
        ),
    )


def describe_spread(spread: Spread) -> str:
    """Return in words whether the image border or its corners stand out, and the largest patch."""
    if spread.border_patches >= 1:
        return _("Every patch of this grid lies at the image border.")
    facts = _(
        "the outermost ring, {border_patches:.0%} of the patches, holds "
        "{border:.0%} of the map, and the four corners, "
        "{corner_patches:.1%}, hold {corners:.1%}"
    ).format(
        border_patches=spread.border_patches,
        border=spread.border,
        corner_patches=spread.corner_patches,
        corners=spread.corners,
    )
    if spread.border >= MARKED * spread.border_patches:
        kind = _("Larger at the border")
    elif spread.corners >= MARKED * spread.corner_patches > 0:
        kind = _("Larger in the corners")
    elif spread.border * MARKED <= spread.border_patches:
        kind = _("Smaller at the border")
    else:
        kind = _("No border effect")
    peak = _("row {row}, column {column}").format(row=spread.row, column=spread.column)
    times = _("{largest_over_median:.3g} times the median patch").format(
        largest_over_median=spread.largest_over_median
    )
    return _("{kind}: {facts}. Largest at {peak}: {times}.").format(
        kind=kind, facts=facts, peak=peak, times=times
    )


def _share(where: NDArray[np.bool_], counted: NDArray[np.bool_]) -> float:
    return float((where & counted).sum() / counted.sum())
