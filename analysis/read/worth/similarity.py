"""How alike two sets of vectors of the same images are, and how many directions one takes.

All numbers come from the n x n matrix of inner products of the images, whatever the channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.read.worth.grams import keep_known, pair_images, read_grams, thin
from analysis.vocabulary import Representation, TokenRole

Array = NDArray[np.float64]

HALVES = 20
"""Random halves of the images that an interval is made of."""
NEIGHBOURS = 10
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

    Of the images that both keep and that have finite vectors everywhere, at most `MOST_IMAGES`.

    Args:
        a: As `read_features` returns them.
        b: Those of another version; `a` itself where None.
        representation: Of the vectors.
        role: Of the tokens.
        left_out: How many channels of largest variance of each layer are left out.

    Raises:
        InputError: If the two have fewer than eight images in common.
    """
    kind = Representation(representation), TokenRole(role)
    b = b or a
    images_a, images_b = map(thin, pair_images(a, b))
    first = read_grams(a, *kind, images_a, left_out=left_out)
    if b is a:
        _unused, (first,) = keep_known(first)
        return compare_grams(first, first)
    _unused, (first, second) = keep_known(first, read_grams(b, *kind, images_b, left_out=left_out))
    return compare_grams(first, second)


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
            _(
                "Similarity needs the same {min_images} or more images on both "
                "sides; there are {n} and {count}. Make both payloads with the "
                "same image list and --image-features."
            ).format(min_images=MIN_IMAGES, n=n, count=len(b[0]))
        )
    k = min(NEIGHBOURS, n // 4)
    near_a = [_nearest(gram, k) for gram in a]
    near_b = near_a if b is a else [_nearest(gram, k) for gram in b]
    rng = np.random.default_rng(seed)
    whole_a = _stack(a)
    whole_b = whole_a if b is a else _stack(b)
    first = whole_a.astype(np.float32)
    second = first if b is a else whole_b.astype(np.float32)
    by_half = []
    for _unused in range(HALVES):
        half = np.sort(rng.permutation(n)[: max(n // 2, 4)])
        part = first[:, half[:, None], half]
        by_half.append(_debiased_cka(part, part if b is a else second[:, half[:, None], half]))
    return Similarity(
        _debiased_cka(whole_a, whole_b),
        np.std(by_half, axis=0),
        (_flatten(near_a) @ _flatten(near_b).T / (n * k)).astype(np.float64),
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


def _debiased_cka(a: NDArray[np.floating], b: NDArray[np.floating]) -> Array:
    """Return CKA of the unbiased HSIC (Song et al., 2012; Nguyen et al., 2021).

    Args:
        a: ``[layers A, n, n]``.
        b: ``[layers B, n, n]``.
    """
    flat_a = _u_centre(a).reshape(len(a), -1)
    flat_b = flat_a if a is b else _u_centre(b).reshape(len(b), -1)
    power = np.outer(*(np.einsum("li,li->l", flat, flat) for flat in (flat_a, flat_b)))
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(power > 0, flat_a @ flat_b.T / np.sqrt(power), np.nan).astype(np.float64)


def _u_centre(grams: NDArray[np.floating]) -> NDArray[np.floating]:
    """Return the U-centred matrices, whose diagonals are 0 (Szekely and Rizzo, 2014)."""
    n = grams.shape[1]
    places = np.arange(n)
    part = grams.copy()
    part[:, places, places] = 0
    rows = part.sum(axis=1)
    part -= (rows[:, :, None] + rows[:, None]) / (n - 2)
    part += rows.sum(axis=1)[:, None, None] / ((n - 1) * (n - 2))
    part[:, places, places] = 0
    return part


def _stack(grams: Sequence[Array]) -> Array:
    """Return the matrices as one array, each in units of its largest entry: CKA has no scale."""
    stacked = np.array(grams)
    scale = np.abs(stacked).max(axis=(1, 2), keepdims=True)
    return stacked / np.where(scale > 0, scale, 1)


def _flatten(near: Sequence[NDArray[np.bool_]]) -> NDArray[np.float32]:
    return np.array([part.ravel() for part in near], np.float32)


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
