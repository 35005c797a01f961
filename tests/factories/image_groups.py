"""Image groups drawn from a model: image effect + token effect, in units of the channel's std.

A token is sqrt(ρ) · (effect of its image) + sqrt(1 - ρ) · (its own), both standard normal, so that
two tokens of an image correlate by ρ. Mean and std of a group need no tokens: the group's mean is
that of its image means, normal with variance ρ + (1 - ρ) / tokens; the squared deviations within
images sum to (1 - ρ) χ² with images · (tokens - 1) degrees of freedom, independent of the means.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from analysis.payload.groups import GroupStats

Floats = NDArray[np.float64]
IMAGE_GROUPS = 8
"""As in payloads of the first versions: image index modulo this number."""
TOKENS = 200


def images_per_group(images: int) -> NDArray[np.int64]:
    """Return how many of the images belong to each group, ``[8]``."""
    return np.bincount(np.arange(images) % IMAGE_GROUPS, minlength=IMAGE_GROUPS)


def draw_image_means(
    rng: np.random.Generator, images: int, channels: int, correlation: float
) -> Floats:
    """Draw the mean over its tokens of every image, ``[images, channels]``."""
    scale = np.sqrt(correlation + (1 - correlation) / TOKENS)
    return scale * rng.standard_normal((images, channels))


def draw_within(rng: np.random.Generator, images: int, channels: int, correlation: float) -> Floats:
    """Draw the squared deviations from the image means, summed over groups, ``[8, channels]``."""
    df = images_per_group(images)[:, None] * (TOKENS - 1)
    return (1 - correlation) * rng.chisquare(np.maximum(df, 1e-9), (IMAGE_GROUPS, channels))


def group_images(image_means: Floats, within: Floats) -> GroupStats:
    """Return the groups of images with these means and squared deviations."""
    images = images_per_group(len(image_means))
    mean, variance = np.zeros((2, IMAGE_GROUPS, image_means.shape[1]))
    for group in np.flatnonzero(images):
        mean[group] = image_means[group::IMAGE_GROUPS].mean(axis=0)
        variance[group] = image_means[group::IMAGE_GROUPS].var(axis=0)
        variance[group] += within[group] / (images[group] * TOKENS)
    return GroupStats(images * TOKENS, mean, np.sqrt(variance))


def draw_groups(
    rng: np.random.Generator, images: int, channels: int, correlation: float
) -> GroupStats:
    """Draw the groups of one version from images of its own; at least two images a group."""
    count = images_per_group(images)[:, None]
    variance = correlation + (1 - correlation) / TOKENS
    mean = np.sqrt(variance / count) * rng.standard_normal((IMAGE_GROUPS, channels))
    between = TOKENS * variance * rng.chisquare(count - 1, (IMAGE_GROUPS, channels))
    within = draw_within(rng, images, channels, correlation)
    return GroupStats(count[:, 0] * TOKENS, mean, np.sqrt((between + within) / (count * TOKENS)))


def draw_paired(
    rng: np.random.Generator,
    images: int,
    channels: int,
    correlation: float,
    *,
    change: float | Floats = 0.1,
    shift: float | Floats = 0.0,
) -> tuple[GroupStats, GroupStats]:
    """Draw two versions on the same images.

    Args:
        rng: Where chance comes from.
        images: Number of images.
        channels: Number of channels.
        correlation: Of two tokens of an image.
        change: Std over images of the difference between the versions, half of its variance
            given to each, so that without a shift neither is special; per channel or for all.
        shift: Mean of the difference.
    """
    shared = draw_image_means(rng, images, channels, correlation)
    within = draw_within(rng, images, channels, correlation)
    a, b = np.sqrt(0.5) * change * rng.standard_normal((2, images, channels))
    return group_images(shared + a, within), group_images(shared + b + shift, within)
