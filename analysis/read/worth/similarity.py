"""How alike two sets of vectors of the same images are, and how many directions one takes.

All numbers come from the n x n matrix of inner products of the images, whatever the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.payload.features import Features
from analysis.read.worth.ridge import centred_gram
from analysis.vocabulary import Cell, Representation, TokenRole

Array = NDArray[np.float64]

HALVES = 40
"""Random halves of the images that an interval is made of."""
NEIGHBOURS = 10
LEFT_OUT = 5
"""Channels of largest variance that are left out for a second look."""
MIN_IMAGES = 8


@dataclass(frozen=True, eq=False)
class Similarity:
    """Layers of one set of vectors against layers of another."""

    cka: Array
    """``[layers A, layers B]``: debiased linear CKA; about 0 for unrelated vectors."""
    error: Array
    """``[layers A, layers B]``: standard error, from random halves of the images."""
    overlap: Array
    """``[layers A, layers B]``: share of the nearest neighbours that are the same."""
    chance: float
    """Overlap of unrelated vectors."""
    images: int


def similarity(
    a: Features,
    b: Features | None = None,
    *,
    representation: Representation | str = Representation.PRE,
    role: TokenRole | str = TokenRole.PATCH,
    left_out: int = 0,
) -> Similarity:
    """Compare every layer of one payload's images with every layer of another's.

    Args:
        a: As `read_features` returns them.
        b: Those of another version of the same images; `a` itself where None.
        representation: Of the vectors.
        role: Of the tokens.
        left_out: How many channels of largest variance of each layer are left out.

    Raises:
        InputError: If the two keep different images.
    """
    if b is not None and a.paths != b.paths:
        raise InputError(
            f"{a.path} and {b.path} keep different images. "
            "Make both payloads with the same image list and --image-features."
        )
    cells = Representation(representation), TokenRole(role)
    first = grams_of(read_layers(a, *cells), left_out=left_out)
    second = first if b is None else grams_of(read_layers(b, *cells), left_out=left_out)
    return compare_grams(first, second)


def read_layers(
    features: Features, representation: Representation, role: TokenRole
) -> list[NDArray[np.float32]]:
    """Return the vectors of all images, ``[images, channels]``, for every layer."""
    layers = map(int, features.table.layers)
    return [features.vectors(Cell(layer, representation, role)) for layer in layers]


def compare_grams(a: Sequence[Array], b: Sequence[Array], *, seed: int = 0) -> Similarity:
    """Compare every layer of A with every layer of B.

    The standard error is the spread of CKA over random halves of the images, drawn without
    repeats. A bootstrap with repeats would not do: an image that is drawn twice is a pair of equal
    images in both sets, which looks like similarity.

    Args:
        a: Per layer the centred inner products of the images, as `centred_gram` returns them.
        b: The same of the other set, of the same images in the same order.
        seed: Of the halves.

    Raises:
        InputError: If the two are of different images or of fewer than eight.
    """
    n = len(a[0])
    if n < MIN_IMAGES or any(len(gram) != n for gram in [*a, *b]):
        raise InputError(
            f"Similarity needs the same {MIN_IMAGES} or more images on both sides; there are "
            f"{n} and {len(b[0])}. Make both payloads with the same image list."
        )
    k = min(NEIGHBOURS, n // 4)
    near_a, near_b = ([_nearest(gram, k) for gram in grams] for grams in (a, b))
    rng = np.random.default_rng(seed)
    halves = [np.sort(rng.permutation(n)[: max(n // 2, 4)]) for _ in range(HALVES)]
    return Similarity(
        _debiased_cka(a, b),
        np.std([_debiased_cka(_part(a, half), _part(b, half)) for half in halves], axis=0),
        np.array([[(x & y).sum() / (n * k) for y in near_b] for x in near_a]),
        k / (n - 1),
        n,
    )


def biased_cka(a: Array, b: Array) -> float:
    """Return linear CKA (Kornblith et al., 2019) of two centred matrices of inner products.

    Near 1 for any two sets of few images in many channels; `compare_grams` gives the debiased one.
    """
    return float((a * b).sum() / np.sqrt((a * a).sum() * (b * b).sum()))


def variance_spectrum(gram: Array) -> Array:
    """Return the share of the variance along each principal component, ``[n - 1]``, descending."""
    values = np.maximum(np.linalg.eigvalsh(gram)[:0:-1], 0)
    total = values.sum()
    return values / total if total > 0 else np.full(len(values), np.nan)


def effective_rank(spectrum: Array) -> float:
    """Return exp of the entropy of the shares of variance (Roy and Vetterli, 2007)."""
    if not np.isfinite(spectrum).all():
        return np.nan
    shares = spectrum[spectrum > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))


def leave_out_largest(vectors: NDArray[np.floating], count: int = LEFT_OUT) -> NDArray[np.floating]:
    """Return the vectors without the channels of largest variance over the images.

    Args:
        vectors: ``[images, channels]``.
        count: How many channels.
    """
    order = np.argsort(vectors.var(axis=0, dtype=np.float64), kind="stable")
    return vectors[:, np.sort(order[: len(order) - count])]


def _debiased_cka(a: Sequence[Array], b: Sequence[Array]) -> Array:
    """Return CKA of the unbiased HSIC (Song et al., 2012; Nguyen et al., 2021)."""
    flat_a = np.array([_u_centre(gram).ravel() for gram in a])
    flat_b = flat_a if a is b else np.array([_u_centre(gram).ravel() for gram in b])
    power = np.outer(np.square(flat_a).sum(1), np.square(flat_b).sum(1))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(power > 0, flat_a @ flat_b.T / np.sqrt(power), np.nan)


def _u_centre(gram: Array) -> Array:
    """Return the U-centred matrix, whose diagonal is 0 (Szekely and Rizzo, 2014)."""
    n = len(gram)
    part = gram.copy()
    np.fill_diagonal(part, 0)
    rows = part.sum(axis=0)
    part -= (rows[:, None] + rows) / (n - 2)
    part += rows.sum() / ((n - 1) * (n - 2))
    np.fill_diagonal(part, 0)
    scale = np.abs(part).max()
    return part / scale if scale > 0 else part


def _part(grams: Sequence[Array], images: NDArray[np.intp]) -> list[Array]:
    return [gram[np.ix_(images, images)] for gram in grams]


def squared_distances(gram: Array) -> Array:
    """Return the squared distances between images, ``[n, n]``."""
    sizes = np.diagonal(gram)
    return np.maximum(sizes[:, None] + sizes - 2 * gram, 0)


def _nearest(gram: Array, k: int) -> NDArray[np.bool_]:
    """Return which images are among the k nearest of each, ``[n, n]``."""
    distances = squared_distances(gram)
    np.fill_diagonal(distances, np.inf)
    near = np.zeros(gram.shape, np.bool_)
    np.put_along_axis(near, np.argpartition(distances, k - 1, axis=1)[:, :k], True, axis=1)
    return near


def grams_of(vectors: Sequence[NDArray[np.floating]], *, left_out: int = 0) -> list[Array]:
    """Return the matrix of inner products of every layer.

    Args:
        vectors: ``[images, channels]`` per layer.
        left_out: How many channels of largest variance are left out.
    """
    return [centred_gram(leave_out_largest(v, left_out) if left_out else v) for v in vectors]
