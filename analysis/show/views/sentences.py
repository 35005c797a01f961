"""What a figure shows, in one sentence with its numbers: for an audience and for screen readers.

Sentences name the largest or smallest value that is drawn, and claim nothing beyond it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from analysis.language import _
from analysis.read.compare.top_channels import TopComparison
from analysis.read.digits import show_digits
from analysis.show.figures import theme
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, TokenRole

STATISTIC_DIGITS = 4
"""Significant digits of a mean, std or max |x|, the same as in a hover."""

_NAMED = 5
"""Channels that a sentence names."""


def name_largest_cell(
    label: str,
    layers: NDArray[np.integer],
    values: NDArray[np.number],
    cells: Iterable[tuple[Representation, TokenRole]] = (),
    *,
    smallest: bool = False,
    digits: int = 3,
) -> str:
    """Return where a number of every cell is largest; empty where none is known.

    Args:
        label: What the number is, as "drift".
        layers: ``[layers]``.
        values: ``[layers, 3, 2]``.
        cells: Representations and roles that are drawn; all where empty.
        smallest: Name the smallest instead.
        digits: Significant ones of the number; whole numbers have all of theirs.

    >>> name_largest_cell(_("drift"), np.array([4]), np.array([[[0, 1], [0.5, 0], [0, 0.25]]]))
    'The largest drift is 1.00, in layer 4 (block output, patch tokens).'
    """
    drawn = list(cells) or [(each, role) for each in REPRESENTATIONS for role in ROLES]
    courses = [
        (theme.describe_cell(*cell), values[:, cell[0].position, cell[1].position])
        for cell in drawn
    ]
    return name_largest(label, layers, courses, end=_(" tokens"), smallest=smallest, digits=digits)


def name_largest(
    label: str,
    layers: NDArray[np.integer],
    courses: Sequence[tuple[str, NDArray[np.number]]],
    *,
    end: str = "",
    smallest: bool = False,
    digits: int = 3,
) -> str:
    """Return where some courses through the layers are largest; empty where nothing is known.

    Args:
        label: What is drawn.
        layers: ``[layers]``.
        courses: Name and ``[layers]`` of each.
        end: Stands after the name.
        smallest: Name the smallest instead.
        digits: Significant ones of the number; whole numbers have all of theirs.
    """
    if not courses:
        return ""
    known = np.asarray([course for _unused, course in courses], dtype=np.float64)
    if not np.isfinite(known).any():
        return ""
    known = np.where(np.isfinite(known), known, np.inf if smallest else -np.inf)
    line, place = divmod(int((np.argmin if smallest else np.argmax)(known)), known.shape[1])
    named = courses[line][0]
    where = _(" ({place})").format(place=named + end) if named else ""
    template = (
        _("The smallest {label} is {known}, in layer {layers}{where}.")
        if smallest
        else _("The largest {label} is {known}, in layer {layers}{where}.")
    )
    whole = all(np.issubdtype(course.dtype, np.integer) for _unused, course in courses)
    value = float(known[line, place])
    return template.format(
        label=label,
        known=f"{value:,.0f}" if whole else show_digits(value, digits),
        layers=layers[place],
        where=where,
    )


def name_channels(label: str, values: NDArray[np.number], channels: Sequence[int]) -> str:
    """Return the first of some channels with their values.

    >>> name_channels("max |x|", np.array([1.0, 25, 3]), [1, 2])
    'The largest by max |x|: channel 1 (25.00), 2 (3.000).'
    """
    named = _(", ").join(
        f"{channel} ({show_digits(values[channel], STATISTIC_DIGITS)})"
        for channel in channels[:_NAMED]
    )
    return (
        _("The largest by {label}: channel {named}.").format(label=label, named=named)
        if named
        else ""
    )


def count_changes(top: TopComparison) -> str:
    """Return how many of the top channels are in both versions, and which are new or gone."""
    status = top.frame.groupby("status")["channel"].apply(list).to_dict()
    told = [_("{count} of the top channels are in both").format(count=len(status.get("kept", [])))]
    for key, word, none in (
        ("new", _("new"), _("none new")),
        ("gone", _("gone"), _("none gone")),
    ):
        found = [str(channel) for channel in status.get(key, [])]
        more = " ..." if len(found) > _NAMED else ""
        listed = _(", ").join(found[:_NAMED]) + more
        told.append(_("{word}: {listed}").format(word=word, listed=listed) if found else none)
    return _("; ").join(told) + _(".")
