"""The vectors of single images as tables, for other tools."""

from __future__ import annotations

import numpy as np
import pandas as pd

from analysis.payload.features import Features
from analysis.vocabulary import Cell


def tabulate_columns(features: Features) -> pd.DataFrame:
    """Return one row per kept image: its place in the list, path, targets and categories."""
    frame = pd.DataFrame({"image": features.images})
    if features.paths:
        frame["path"] = np.array(features.paths)
    for name, values in {**features.targets, **features.categories}.items():
        if name not in frame:
            frame[name] = values
    return frame


def tabulate_vectors(features: Features, cell: Cell) -> pd.DataFrame:
    """Return the same with the vector of each image in a cell: columns ``channel_0``, ...

    Raises:
        PayloadError: If the payload lacks the layer.
    """
    vectors = features.vectors(cell)
    names = [f"channel_{channel}" for channel in range(vectors.shape[1])]
    return pd.concat([tabulate_columns(features), pd.DataFrame(vectors, columns=names)], axis=1)
