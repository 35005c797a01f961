"""Counts of a forward loop besides its statistics, of one rank and of all together."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass
class Tally:
    """What the forward loop counted besides the statistics."""

    num_images: int = 0
    num_batches: int = 0
    skipped: list[tuple[int, str]] = field(default_factory=list)
    """Image index and reason of every image that could not be read."""
    cut_images: int = 0
    """Images of more than 8 bits whose values above 255 were cut off."""
    next_batch: int = 0
    """Number of the first batch not yet counted."""
    seconds: float = 0.0
    notices: list[str] = field(default_factory=list)
    """Sentences on what the loop had to do differently than asked."""


def merge_tallies(tallies: Sequence[Tally]) -> Tally:
    """Return what all ranks counted together; they ran side by side, so the longest counts."""
    return Tally(
        num_images=sum(tally.num_images for tally in tallies),
        num_batches=sum(tally.num_batches for tally in tallies),
        skipped=sorted(item for tally in tallies for item in tally.skipped),
        cut_images=sum(tally.cut_images for tally in tallies),
        next_batch=max(tally.next_batch for tally in tallies),
        seconds=max(tally.seconds for tally in tallies),
        notices=[notice for tally in tallies for notice in tally.notices],
    )
