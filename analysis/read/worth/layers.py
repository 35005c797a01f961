"""What the images look like at every layer: how many directions they take, and a map of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.worth.grams import (
    LEFT_OUT,
    Array,
    Positions,
    keep_known,
    pair_images,
    read_grams,
    thin,
)
from analysis.read.worth.images import (
    Plane,
    measure_isolation,
    measure_movement,
    principal_plane,
)
from analysis.read.worth.ridge import centred_gram
from analysis.read.worth.similarity import effective_rank, variance_spectrum
from analysis.vocabulary import Cell, Representation, TokenRole

NEIGHBOURS = 5
MIN_IMAGES = 3
MOST_NEIGHBOURS = 4000
"""Images that nearest neighbours are looked for among."""


@dataclass(frozen=True, eq=False)
class Spectra:
    """How the variance between images is spread over directions, layer by layer."""

    whole: Array
    """``[layers, n - 1]``: share of the variance along each principal component, descending."""
    rest: Array
    """The same without the channels of largest variance."""
    images: int

    @property
    def ranks(self) -> tuple[Array, Array]:
        """Return the effective rank of every layer, of all channels and of the rest."""
        whole, rest = (
            np.array([effective_rank(spectrum) for spectrum in part])
            for part in (self.whole, self.rest)
        )
        return whole, rest


@dataclass(frozen=True, eq=False)
class Planes:
    """Images along the two directions of largest variance, layer by layer."""

    images: Positions
    """``[n]``: which of the kept images."""
    points: Array
    """``[layers, n, 2]``; signs go on from layer to layer."""
    shares: Array
    """``[layers, 2]``: share of the variance along each."""


@dataclass(frozen=True, eq=False)
class Ranked:
    """A number for each image at one layer."""

    images: Positions
    """``[n]``: which of the kept images."""
    values: Array
    """``[n]``; images without a finite vector are left out."""
    common: float = np.nan
    """What all images have in common, which the values leave out."""

    @property
    def order(self) -> Positions:
        """Return the places of the values, largest first."""
        return np.argsort(-self.values, kind="stable")


def measure_spectra(features: Features, representation: Representation, role: TokenRole) -> Spectra:
    """Return the variance spectrum of every layer, with and without its largest channels.

    Raises:
        InputError: If fewer than three images have finite vectors.
    """
    images = thin(np.arange(len(features.images)))
    known, (whole, rest) = keep_known(
        read_grams(features, representation, role, images),
        read_grams(features, representation, role, images, left_out=LEFT_OUT),
    )
    _check_count(features, len(known))
    return Spectra(_list_spectra(whole), _list_spectra(rest), len(known))


def _list_spectra(grams: Sequence[Array]) -> Array:
    return np.array([variance_spectrum(gram) for gram in grams])


def measure_planes(features: Features, representation: Representation, role: TokenRole) -> Planes:
    """Return the map of the images at every layer.

    Raises:
        InputError: If fewer than three images have finite vectors.
    """
    images = thin(np.arange(len(features.images)))
    known, (grams,) = keep_known(read_grams(features, representation, role, images))
    _check_count(features, len(known))
    planes = follow_planes(grams)
    return Planes(
        images[known],
        np.array([plane.points for plane in planes]),
        np.array([plane.shares for plane in planes]),
    )


def follow_planes(grams: Sequence[Array]) -> list[Plane]:
    """Return the plane of every layer; the signs of each follow the layer before."""
    planes: list[Plane] = []
    for gram in grams:
        planes.append(principal_plane(gram, planes[-1] if planes else None))
    return planes


def rank_by_movement(before: Features, after: Features, cell: Cell) -> Ranked:
    """Return how far each common image moved between two versions, in spreads between images.

    Args:
        before: The baseline.
        after: The version; positions are those of its images.
        cell: The layer, representation and role.

    Raises:
        InputError: If the two have different channels or fewer than three images in common.
        PayloadError: If one of them lacks the layer.
    """
    if before.table.channels != after.table.channels:
        raise InputError(
            _(
                "Images can only have moved between versions of one backbone: "
                "these have {channels} and {table_channels} channels. Choose "
                "another version."
            ).format(channels=before.table.channels, table_channels=after.table.channels)
        )
    images, others = pair_images(after, before)
    second, first = after.vectors(cell)[images], before.vectors(cell)[others]
    known = np.isfinite(first).all(axis=1) & np.isfinite(second).all(axis=1)
    if known.sum() < MIN_IMAGES:
        raise InputError(
            _(
                "The two have {known_sum} images with vectors in common; "
                "{min_images} are needed. Make both payloads with the same image "
                "list and --image-features."
            ).format(known_sum=known.sum(), min_images=MIN_IMAGES)
        )
    movement = measure_movement(first[known], second[known])
    return Ranked(images[known], movement.own, movement.common)


def rank_by_isolation(features: Features, cell: Cell) -> Ranked:
    """Return how far each image is from its nearest neighbours, over the median image's.

    Raises:
        InputError: If fewer than three images have a finite vector.
    """
    images = thin(np.arange(len(features.images)), MOST_NEIGHBOURS)
    vectors = features.vectors(cell)[images]
    known = np.isfinite(vectors).all(axis=1)
    _check_count(features, int(known.sum()))
    gram = centred_gram(vectors[known])
    return Ranked(images[known], measure_isolation(gram, NEIGHBOURS))


def _check_count(features: Features, images: int) -> None:
    if images < MIN_IMAGES:
        raise InputError(
            _(
                "{path}: {images} images have vectors here; {min_images} are "
                "needed. Keep more images (--image-features)."
            ).format(path=features.path, images=images, min_images=MIN_IMAGES)
        )
