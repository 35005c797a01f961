"""Distributions that scipy has no function for: a quadratic form, and the inverse of trigamma."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

_NODES = 400
"""Of the integral over a quarter circle."""
_BLOCK = 1 << 21
"""Numbers at a time in the integral of `positive_quadratic_form`."""


def two_sided_t(t: ArrayLike, df: ArrayLike) -> Floats:
    """Return the probability that Student's t is at least as far from 0 as `t`.

    Args:
        t: Any shape; infinite is allowed, NaN gives NaN.
        df: Degrees of freedom above 0, of a shape that broadcasts with `t`.
    """
    from scipy import special  # a fifth of a second, which the first page does not need

    return np.asarray(2 * special.stdtr(df, -np.abs(t)))


def f_quantile(probability: float, df1: ArrayLike, df2: ArrayLike) -> Floats:
    """Return the value that F with these degrees of freedom stays below with a probability."""
    from scipy import special  # a fifth of a second, which the first page does not need

    return np.asarray(special.fdtri(df1, df2, probability))


def positive_quadratic_form(weights: Floats) -> Floats:
    """Return the probability that weighted sums of squares of standard normals are above 0.

    By the integral of Imhof 1961 (Computing the distribution of quadratic forms), to about 1e-7
    for four weights or more.

    Args:
        weights: ``[..., terms]``, of any sign; 1 where all of a sum are 0.

    Returns:
        ``[...]``.
    """
    flat = weights.reshape(-1, weights.shape[-1])
    result = np.where((flat < 0).any(axis=1), 0.0, 1.0)
    mixed = np.flatnonzero((flat < 0).any(axis=1) & (flat > 0).any(axis=1))
    block = max(_BLOCK // (_NODES * max(flat.shape[1], 1)), 1)
    for start in range(0, len(mixed), block):
        chosen = mixed[start : start + block]
        result[chosen] = _integrate(flat[chosen])
    return result.reshape(weights.shape[:-1])


@cache
def _gauss() -> tuple[Floats, Floats]:
    """Return the nodes between -1 and 1, and their weights."""
    return np.polynomial.legendre.leggauss(_NODES)


def _integrate(weights: Floats) -> Floats:
    # u = tan² maps the half line to a quarter circle, where the integrand is smooth.
    nodes, node_weights = _gauss()
    angle = (nodes + 1) * (math.pi / 4)
    u = np.tan(angle) ** 2
    stretch = node_weights * 2 * np.tan(angle) / np.cos(angle) ** 2 * (math.pi / 4)
    largest = np.abs(weights).max(axis=1, keepdims=True)
    scaled = (weights / largest)[:, None, :] * u[:, None]
    phase = np.arctan(scaled).sum(axis=-1) / 2
    size = np.exp(np.log1p(scaled**2).sum(axis=-1) / 4)
    integral = (stretch * np.sin(phase) / (u * size)).sum(axis=-1)
    return np.clip(0.5 + integral / math.pi, 0.0, 1.0)


def inverse_trigamma(value: ArrayLike) -> Floats:
    """Return the x above 0 with ``trigamma(x) == value``, for values above 0.

    Newton's method on 1 / trigamma, which is convex and nearly linear (Smyth 2004, appendix).
    """
    from scipy import special  # a fifth of a second, which the first page does not need

    wanted: Any = np.asarray(value, dtype=np.float64)
    within = np.clip(wanted, 1e-6, 1e7)
    x = 0.5 + 1 / within
    for _ in range(20):
        estimate = special.polygamma(1, x)
        step = estimate * (1 - estimate / within) / special.polygamma(2, x)
        x = x + step
        if (np.abs(step) < 1e-10 * x).all():
            break
    x = np.where(wanted > 1e7, 1 / np.sqrt(wanted), x)
    return np.where(wanted < 1e-6, 1 / wanted, x)
