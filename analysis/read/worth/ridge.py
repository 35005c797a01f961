"""Ridge regression in its dual form: all folds of a cell from one eigendecomposition.

With few images and many channels the n x n matrix of inner products is all that ridge regression
needs. Let K be that matrix, centred, and Q = (K + alpha I)^-1 on the complement of the constant
vector, which an intercept leaves free. Then for any set F of images that is held out:

- the errors of the prediction on F are Q_FF^-1 (Q y)_F;
- the Q of the remaining images T is Q_TT - Q_TF Q_FF^-1 Q_FT (Schur complement);
- the leave-one-out errors among T are (Q_T y_T)_i / (Q_T)_ii, by which alpha is chosen without F.

These are the numbers of `sklearn.linear_model.RidgeCV` fitted fold by fold. Source: Rifkin and
Lippert, "Notes on regularized least squares", 2007.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

ALPHAS = tuple(10.0 ** np.arange(-3, 5))
"""Penalties that are tried, in units of the mean eigenvalue."""


def centred_gram(vectors: NDArray[np.floating]) -> Array:
    """Return the inner products of the images' deviations from their mean, ``[n, n]``.

    Args:
        vectors: ``[n, channels]``.
    """
    centred = vectors - vectors.mean(axis=0, dtype=np.float64)
    largest = np.abs(centred).max(initial=0.0)
    unit = largest if largest > 0 else 1.0  # float32 squares overflow beyond 1e19
    part = (centred / unit).astype(np.float32)
    gram = (part @ part.T).astype(np.float64) * unit**2
    gram -= gram.mean(axis=0)
    return gram - gram.mean(axis=1, keepdims=True)


def held_out_errors(
    gram: Array,
    outputs: Array,
    folds: Sequence[NDArray[np.intp]],
    alphas: Sequence[float] | None = None,
) -> list[Array]:
    """Return the errors of ridge regression on images that it was not fitted on.

    The penalty of each fold and target is chosen by leave-one-out on the other images alone.

    Args:
        gram: ``[n, n]``, centred.
        outputs: ``[n, targets, outputs]``; the outputs of a target share one penalty.
        folds: Positions of the images of each fold.
        alphas: Penalties to try; `ALPHAS` times the mean eigenvalue where None.

    Returns:
        ``[fold images, targets, outputs]`` for each fold.
    """
    n = len(gram)
    if alphas is None:
        mean = np.trace(gram) / n
        alphas = [mean * alpha for alpha in ALPHAS] if mean > 0 else [1.0]
    values, basis = np.linalg.eigh(gram)
    # the direction of the constant vector belongs to the intercept
    basis -= basis.mean(axis=0)
    flat = outputs.reshape(n, -1)
    projected = basis.T @ flat
    best = [np.full(outputs.shape[1], np.inf) for _ in folds]
    errors = [np.zeros((len(fold), *outputs.shape[1:])) for fold in folds]
    others = [np.setdiff1d(np.arange(n), fold) for fold in folds]
    for alpha in alphas:
        weights = 1 / (np.maximum(values, 0) + alpha)
        q = (basis * weights) @ basis.T
        qy = basis @ (weights[:, None] * projected)
        for place, (out, rest) in enumerate(zip(folds, others, strict=True)):
            across = q[np.ix_(rest, out)]
            inverse = np.linalg.inv(q[np.ix_(out, out)])
            error = inverse @ qy[out]
            diagonal = np.diagonal(q)[rest] - np.einsum("ij,ij->i", across, across @ inverse)
            left_out = (qy[rest] - across @ error) / diagonal[:, None]
            loss = np.square(left_out).reshape(len(rest), *outputs.shape[1:]).sum(axis=(0, 2))
            better = loss < best[place]
            best[place][better] = loss[better]
            errors[place][:, better] = error.reshape(len(out), *outputs.shape[1:])[:, better]
    return errors
