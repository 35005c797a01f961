"""Tables on the screen: what each column is called, how its numbers look, what it means."""

from __future__ import annotations

from typing import Any

import pandas as pd

NUMBER = "%.4g"
TIMES = "%.1f×"
MEAN_HELP = "Over all tokens, signed."
STD_HELP = "Standard deviation over all tokens."


def read_row(event: Any, frame: pd.DataFrame) -> int | None:
    """Return the channel of the row that is selected in a table, None where none is."""
    rows = [row for row in event["selection"]["rows"] if row < len(frame)]
    return int(frame["channel"].iloc[rows[0]]) if rows else None
