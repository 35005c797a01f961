"""How far the mean and std of a channel would move on other images, told from image groups."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.payload.groups import Floats, GroupStats


def estimate_errors(groups: GroupStats) -> tuple[Floats, Floats]:
    """Return the standard error of every channel's mean, and the relative one of its std.

    Both are ``[channels]``, and NaN where fewer than two groups hold tokens. The groups are small
    independent data sets, so the error of their weighted average follows from how far they are
    apart: ``sqrt(G / (G - 1) * sum(share² * (value - average)²))``. For the std the values are the
    groups' pseudo-values of its logarithm.
    """
    present = groups.present()
    if len(present.count) < 2:
        unknown = np.full(groups.channels, np.nan)
        return unknown, unknown
    share = present.count / present.count.sum()
    return _spread(present.mean, share), _spread(present.log_std_values, share)


def tabulate_errors(groups: GroupStats, channels: np.ndarray) -> pd.DataFrame:
    """Return mean and std of some channels with their errors, one row each."""
    mean, std = groups.present().pool()
    mean_error, std_error = estimate_errors(groups)
    return pd.DataFrame(
        {
            "channel": channels,
            "mean": mean[channels],
            "mean_error": mean_error[channels],
            "std": std[channels],
            "std_error": (std * std_error)[channels],
        }
    )


def _spread(values: Floats, share: Floats) -> Floats:
    apart = values - share @ values
    return np.sqrt(len(share) / (len(share) - 1) * (share**2 @ apart**2))
