"""What one version is held against where a page says in one sentence how far it moved."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.errors import PayloadError
from analysis.payload.discovery import PayloadRef
from analysis.read.compare.twins import find_frozen_twin
from pages.components.frame import picker
from pages.components.shared import cache
from pages.components.shared.version import Version


def find(version: Version, picked: Sequence[Version]) -> Version | None:
    """Return another version that is looked at, else the pinned baseline, else the frozen twin.

    None where there is none of them, or it cannot be read.
    """
    others = [other for other in picked if other.ref.key != version.ref.key]
    if others or version.partial:
        return next(iter(others), None)
    ref = choose(version.ref, cache.find_payloads())
    if ref is None:
        return None
    try:
        return Version(ref, picker.name_refs([version.ref, ref])[1], cache.read(ref))
    except (PayloadError, OSError):
        return None


def choose(ref: PayloadRef, refs: Sequence[PayloadRef]) -> PayloadRef | None:
    """Return the pinned baseline, else the frozen twin; None where `refs` has neither of them."""
    others = [other for other in refs if other.key != ref.key]
    pinned = cache.read_annotations().baseline
    twin = find_frozen_twin(ref, others) if ref.facts.used_lora else None
    return next((other for other in others if other.path == pinned), twin)
