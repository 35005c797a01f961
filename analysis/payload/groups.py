"""The statistics of the image groups of one layer, representation and role.

Images are divided into up to 32 groups (blocks of the list, or by a column of its table; in older
payloads eight, image i in group i mod 8), which are like small, independent data sets: how far
they disagree says how far a statistic would move on other images. Tokens of one image are no such
thing; they resemble each other, and an error computed from their number is far too small.

Groups without an image count 0: `present` drops them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.vocabulary import Representation, TokenRole

Floats = NDArray[np.float64]

TINY_VARIANCE = 1e-12
"""Floor of a variance that is divided by or whose logarithm is taken."""
_FLOAT32_RESOLUTION = float(np.finfo(np.float32).eps)


@dataclass(frozen=True)
class GroupStats:
    """Mean and std of every channel, group by group; of one cell or, stacked, of several."""

    count: NDArray[np.int64]
    """``[..., groups]``: tokens."""
    mean: Floats
    """``[..., groups, channels]``."""
    std: Floats
    """``[..., groups, channels]``: population standard deviation of the group's tokens."""
    _merged: dict[int, GroupStats] = field(default_factory=dict, repr=False, compare=False)

    @property
    def channels(self) -> int:
        """Number of channels."""
        return self.mean.shape[-1]

    def present(self) -> GroupStats:
        """Return only the groups that hold tokens; of a single cell."""
        some = self.count > 0
        return self if some.all() else GroupStats(self.count[some], self.mean[some], self.std[some])

    def merge(self, number: int) -> GroupStats:
        """Return at most `number` groups, each of neighbours; every group here holds tokens."""
        if self.count.shape[-1] <= number:
            return self
        if number not in self._merged:
            self._merged[number] = self._merge(number)
        return self._merged[number]

    def _merge(self, number: int) -> GroupStats:
        groups = self.count.shape[-1]
        starts = -(-np.arange(number) * groups // number)
        count = np.add.reduceat(self.count, starts, axis=-1)
        share = (self.count / np.repeat(count, np.diff([*starts, groups]), axis=-1))[..., None]
        if groups % number == 0:  # the same sums, several times faster
            blocks = (*self.count.shape[:-1], number, groups // number, self.channels)
            mean = (share * self.mean).reshape(blocks).sum(axis=-2)
            second = self.mean.reshape(blocks) - mean[..., None, :]
            second *= second
            second += np.square(self.std).reshape(blocks)
            second *= share.reshape(*blocks[:-1], 1)
            return GroupStats(count, mean, np.sqrt(second.sum(axis=-2)))
        mean = np.add.reduceat(share * self.mean, starts, axis=-2)
        apart = self.mean - np.repeat(mean, np.diff([*starts, groups]), axis=-2)
        variance = np.add.reduceat(share * (self.std**2 + apart**2), starts, axis=-2)
        return GroupStats(count, mean, np.sqrt(variance))

    def affine(self, gamma: NDArray[np.floating], beta: NDArray[np.floating]) -> GroupStats:
        """Return the groups of ``gamma * x + beta``, each ``[channels]``."""
        return GroupStats(self.count, gamma * self.mean + beta, np.abs(gamma) * self.std)

    def pool(self, weights: Floats | None = None) -> tuple[Floats, Floats]:
        """Return mean and std of all groups together, ``[..., channels]`` each.

        Args:
            weights: ``[..., groups]``, how much each group counts; its tokens where None.
        """
        return self._pooled if weights is None else self._pool(weights)

    @cached_property
    def _pooled(self) -> tuple[Floats, Floats]:
        return self._pool(self._share())

    def _pool(self, share: Floats) -> tuple[Floats, Floats]:
        mean = (share[..., None, :] @ self.mean)[..., 0, :]
        # Centred on a value near all group means: no difference of large squares.
        center = self.mean.mean(axis=-2, keepdims=True)
        squares = self.mean - center
        squares *= squares
        squares += self.std**2
        second = (share[..., None, :] @ squares)[..., 0, :]
        return mean, np.sqrt(np.maximum(second - (mean - center[..., 0, :]) ** 2, 0))

    @cached_property
    def log_std_values(self) -> Floats:
        """One nearly independent value per group whose average is the log of the pooled std.

        These are the pseudo-values of the delete-a-group jackknife for unequal groups (Busing,
        Meijer & van der Leeden 1999, Delete-m jackknife for unequal m), about
        ``[..., groups, channels]``: from the std of all tokens and of all but one group's. Unlike
        the logs of the groups' own stds they hold the variation between groups too, and exist
        where a group is a single token. The pseudo-values of the mean are the group means.
        """
        share = self._share()[..., None]
        center = self.mean.mean(axis=-2, keepdims=True)
        second = self.mean - center
        first = share * second
        second *= first
        second += share * self.std**2
        mean, square = (x.sum(axis=-2, keepdims=True) for x in (first, second))
        rest = 1 - share
        # In place: fresh arrays of this size take longer than the arithmetic.
        without = np.subtract(square, second, out=second)
        without /= rest
        np.subtract(mean, first, out=first)
        first /= rest
        without -= np.square(first, out=first)
        floor = np.maximum(TINY_VARIANCE, (_FLOAT32_RESOLUTION * (mean + center)) ** 2)
        log_all = np.log(np.maximum(square - mean**2, floor)) / 2
        log_without = np.log(np.maximum(without, floor, out=without), out=without)
        log_without /= 2
        log_rest = np.subtract(log_all, log_without, out=first)
        log_rest /= share
        log_without += log_rest
        return log_without

    def _share(self) -> Floats:
        return self.count / self.count.sum(axis=-1, keepdims=True)


def read_groups(
    extras: Mapping[str, Any] | None,
    layer: int,
    representation: Representation,
    role: TokenRole,
) -> GroupStats | None:
    """Read the groups of one layer from a payload's `extras`; None where they are not stored.

    `global_ln` is derived from `per_layer_ln` with the stored norm: the same normalised token,
    scaled and shifted per channel.

    Args:
        extras: As in the payload (tensors or arrays), or None.
        layer: The layer's number.
        representation: What of the block output.
        role: Which tokens.

    Raises:
        PayloadError: If counts, means and stds do not belong together.
    """
    derived = representation is Representation.GLOBAL_LN
    stored = Representation.PER_LAYER_LN if derived else representation
    cell = _descend(extras, "layers", layer, "groups", stored.value, role.value)
    if cell is None:
        return None
    where = f"extras.layers.{layer}.groups.{stored}.{role}"
    try:
        count, mean, std = (np.asarray(cell[key]) for key in ("count", "mean", "std"))
    except KeyError as error:
        raise PayloadError(f"{where}: {error} is missing. Make the payload anew.") from error
    if mean.ndim != 2 or std.shape != mean.shape or count.shape != mean.shape[:1]:
        raise PayloadError(
            f"{where}: count {count.shape}, mean {mean.shape} and std {std.shape} do not belong "
            "together; expected [groups], [groups, channels] and [groups, channels]. Make the "
            "payload anew."
        )
    groups = GroupStats(count.astype(np.int64), mean.astype(np.float64), std.astype(np.float64))
    if not derived:
        return groups
    norm = _descend(extras, "norm")
    if norm is None:
        return None
    untied = role is TokenRole.CLS and norm.get("cls_gamma") is not None
    gamma, beta = ("cls_gamma", "cls_beta") if untied else ("gamma", "beta")
    return groups.affine(np.asarray(norm[gamma], np.float64), np.asarray(norm[beta], np.float64))


def _descend(parent: Any, *keys: str | int) -> Any:
    for key in keys:
        parent = parent.get(key) if isinstance(parent, Mapping) else None
    return parent
