"""A payload as a page shows it: its reference, its name and what was read of it."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.payload.discovery import PayloadRef
from analysis.payload.extras import ExtraTable
from analysis.payload.reading import Reading
from analysis.payload.table import StatsTable


@dataclass(frozen=True)
class Version:
    """One payload that is looked at."""

    ref: PayloadRef
    name: str
    """Short, unique among those looked at."""
    reading: Reading
    partial: bool = False
    """Whether it is what a living job has counted so far."""

    @property
    def table(self) -> StatsTable:
        """The statistics of every layer, representation and role."""
        return self.reading.table

    @property
    def extras(self) -> ExtraTable:
        """The optional parts.

        Raises:
            PayloadError: If they are there but not as specified; the frame of the page says so.
        """
        return self.reading.extras
