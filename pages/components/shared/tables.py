"""Tables on the screen: what each column is called, how its numbers look, what it means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

NUMBER = "%.4g"
TIMES = "%.1f×"
MEAN_HELP = "Over all tokens, signed."
STD_HELP = "Standard deviation over all tokens."


def choose_format(values: ArrayLike) -> str:
    """Return the format of a column of sizes: its largest has 4 digits, the others its decimals.

    >>> choose_format([307.0, 16.4]), choose_format([0.27, float("nan")]), choose_format([])
    ('%.1f', '%.4f', '%.4g')
    """
    sizes = np.abs(np.asarray(values, dtype=np.float64))
    largest = sizes.max(initial=0.0, where=np.isfinite(sizes))
    if largest < 1e-3:
        return NUMBER
    return f"%.{max(0, 3 - int(np.floor(np.log10(largest))))}f"


def read_row(event: Any, frame: pd.DataFrame) -> int | None:
    """Return the channel of the row that is selected in a table, None where none is."""
    rows = [row for row in event["selection"]["rows"] if row < len(frame)]
    return int(frame["channel"].iloc[rows[0]]) if rows else None
