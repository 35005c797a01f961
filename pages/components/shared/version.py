"""A payload as a page shows it: its reference, its name and its numbers."""

from __future__ import annotations

from dataclasses import dataclass

from analysis.payload.discovery import PayloadRef
from analysis.payload.table import StatsTable
from pages.components.shared import cache


@dataclass(frozen=True)
class Version:
    """One payload that is looked at."""

    ref: PayloadRef
    name: str
    """Short, unique among those looked at."""
    table: StatsTable
    partial: bool = False
    """Whether it is what a living job has counted so far."""


def is_upload(ref: PayloadRef) -> bool:
    """Return whether a payload was uploaded: its folder means nothing to anybody."""
    return ref.path.is_relative_to(cache.upload_folder())
