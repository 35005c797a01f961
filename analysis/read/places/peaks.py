"""Where channels peak: the image and patch of the largest |x|, and which channels share it."""

from __future__ import annotations

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import _

MANY = 0.5
"""Share of the top channels on one patch from which on that patch explains them."""


def group_peaks(
    channels: NDArray[np.integer],
    places: NDArray[np.integer],
    paths: list[str] | None = None,
    columns: int | None = None,
) -> pd.DataFrame:
    """Return the places where some channels peak, most shared first.

    Args:
        channels: ``[k]``, best first.
        places: ``[C, 2]``: image and patch index of every channel; patch -1 where tokens have no
            place.
        paths: Of the images, by index.
        columns: Patches in a row of a picture; None where the grid is not known.

    Returns:
        One row per place: image, patch, path, count, channels (as text, in the given order), and
        row and column of the patch where the grid is known.
    """
    pairs = pd.DataFrame(places[channels].astype(int), columns=["image", "patch"])
    pairs["channels"] = np.asarray(channels).astype(str)
    grouped = pairs.groupby(["image", "patch"], sort=False)["channels"]
    frame = grouped.agg(["size", ", ".join]).reset_index()
    frame.columns = ["image", "patch", "count", "channels"]
    known = paths or []
    frame["path"] = [known[i] if 0 <= i < len(known) else "" for i in frame["image"]]
    if columns:
        frame["row"], frame["column"] = frame["patch"] // columns, frame["patch"] % columns
    return frame.sort_values("count", ascending=False, kind="stable").reset_index(drop=True)


def describe_peaks(frame: pd.DataFrame) -> str:
    """Return in one sentence whether few places explain the peaks that `group_peaks` found."""
    total, first = int(frame["count"].sum()), frame.iloc[0]
    placed = first["patch"] >= 0
    kind, kinds = (_("patch"), _("patches")) if placed else (_("image"), _("images"))
    if total == 1:
        return _("One channel, one {kind}.").format(kind=kind)
    if first["count"] == 1:
        return _("Each of the top {total} channels peaks in another {kind}.").format(
            total=total, kind=kind
        )
    where = first["path"] or _("image {image}").format(image=first["image"])
    if placed:
        known = "row" in first
        patch = f"({first['row']}, {first['column']})" if known else str(first["patch"])
        where = _("patch {patch} of {where}").format(patch=patch, where=where)
    sentence = _("{count} of the top {total} channels peak in {where}").format(
        count=first["count"], total=total, where=where
    )
    if first["count"] >= MANY * total:
        return _("{sentence}: one token makes most of them large.").format(sentence=sentence)
    return _("{sentence}; together they peak in {count} different {kinds}.").format(
        sentence=sentence, count=len(frame), kinds=kinds
    )
