"""The vectors of single images beside a payload, where there are some."""

from __future__ import annotations

from analysis.errors import PayloadError
from analysis.payload.features import Features, read_features
from pages.components.shared.version import Version


def find_features(version: Version) -> Features | None:
    """Return the vectors of single images of a version; None where it has none of its own."""
    try:
        return read_features(version.ref.path, version.table)
    except PayloadError:
        return None
