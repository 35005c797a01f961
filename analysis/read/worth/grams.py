"""The images of one or two payloads as matrices of inner products, layer by layer."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.payload.features import Features
from analysis.read.worth.ridge import centred_gram
from analysis.vocabulary import Cell, Representation, TokenRole

Array = NDArray[np.float64]
Positions = NDArray[np.intp]

LEFT_OUT = 5
"""Channels of largest variance that are left out for a second look."""

MOST_IMAGES = 600
"""Images that layers are compared on; of more, as many evenly spaced ones are taken."""


def pair_images(a: Features, b: Features) -> tuple[Positions, Positions]:
    """Return the positions of the images that both payloads keep, in the order of the first."""
    if a is b:
        return np.arange(len(a.images)), np.arange(len(a.images))
    named = bool(a.paths) and bool(b.paths)
    names_a, names_b = ((x.paths if named else x.images.tolist()) for x in (a, b))
    places = {name: place for place, name in enumerate(names_b)}
    pairs = [(place, places[name]) for place, name in enumerate(names_a) if name in places]
    first, second = np.array(pairs, np.intp).reshape(-1, 2).T
    return first, second


def thin(images: Positions, most: int = MOST_IMAGES) -> Positions:
    """Return at most so many of these images, evenly spaced."""
    if len(images) <= most:
        return images
    return images[np.linspace(0, len(images) - 1, most).round().astype(np.intp)]


def read_grams(
    features: Features,
    representation: Representation,
    role: TokenRole,
    images: Positions | None = None,
    *,
    left_out: int = 0,
) -> list[Array]:
    """Return the centred inner products of the images for every layer, ``[n, n]`` each.

    Rows and columns of an image without a finite vector are NaN.

    Args:
        features: As `read_features` returns them.
        representation: Of the vectors.
        role: Of the tokens.
        images: Positions of the images; all where None.
        left_out: How many channels of largest variance of each layer are left out.
    """
    chosen = slice(None) if images is None else images
    grams = []
    for layer in features.table.layers.tolist():
        vectors = features.vectors(Cell(layer, representation, role))[chosen]
        grams.append(gram_of(vectors, left_out=left_out))
    return grams


def gram_of(vectors: NDArray[np.floating], *, left_out: int = 0) -> Array:
    """Return the centred inner products of images, NaN for those without a finite vector.

    Args:
        vectors: ``[n, channels]``.
        left_out: How many channels of largest variance are left out.
    """
    known = np.flatnonzero(np.isfinite(vectors).all(axis=1))
    part = vectors if len(known) == len(vectors) else vectors[known]
    gram = centred_gram(leave_out_largest(part, left_out) if left_out else part)
    if part is vectors:
        return gram
    whole = np.full((len(vectors), len(vectors)), np.nan)
    whole[np.ix_(known, known)] = gram
    return whole


def keep_known(*sets: Sequence[Array]) -> tuple[Positions, list[list[Array]]]:
    """Return the images whose products are known in every matrix, and the matrices of these.

    Args:
        *sets: Matrices of the same images; those that lose an image are centred anew.
    """
    diagonals = np.array([np.diagonal(gram) for grams in sets for gram in grams])
    known = np.flatnonzero(np.isfinite(diagonals).all(axis=0))
    if len(known) == diagonals.shape[1]:
        return known, [list(grams) for grams in sets]
    return known, [[_centre(gram[np.ix_(known, known)]) for gram in grams] for grams in sets]


def leave_out_largest(vectors: NDArray[np.floating], count: int = LEFT_OUT) -> NDArray[np.floating]:
    """Return the vectors without the channels of largest variance over the images.

    Args:
        vectors: ``[images, channels]``.
        count: How many channels; one always stays.
    """
    count = min(count, vectors.shape[1] - 1)
    order = np.argsort(vectors.var(axis=0, dtype=np.float64), kind="stable")
    return vectors[:, np.sort(order[: len(order) - count])]


def _centre(gram: Array) -> Array:
    gram = gram - gram.mean(axis=0)
    return gram - gram.mean(axis=1, keepdims=True)
