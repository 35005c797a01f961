"""Compare the tensors that a file holds with those that a network needs, and name the faults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LIMIT = 10
"""Names that a message lists before it only counts."""


def compare_tensors(
    found: Mapping[str, Sequence[int]], wanted: Mapping[str, Sequence[int]]
) -> str | None:
    """Name every tensor that is missing, has no place, or has another shape.

    Args:
        found: Shapes by name, of the file.
        wanted: Shapes by name, of the network, in the names of the file.

    Returns:
        One sentence without a full stop, at most ten names and the total per kind of fault; None
        if everything fits.
    """
    faults = {
        "missing": [name for name in wanted if name not in found],
        "without a place": [name for name in found if name not in wanted],
        "of another shape": [
            f"{name} {list(found[name])} instead of {list(shape)}"
            for name, shape in wanted.items()
            if name in found and list(found[name]) != list(shape)
        ],
    }
    parts = [
        f"{len(names)} {fault}: {name_some(names)}" for fault, names in faults.items() if names
    ]
    return "; ".join(parts) or None


def name_some(names: Sequence[str]) -> str:
    """Join names with commas: the first ten, and the total if there are more."""
    text = ", ".join(names[:LIMIT])
    return text if len(names) <= LIMIT else f"{text}, ... ({len(names)} in all)"
