"""Layerwise channel statistics of DINOv3 backbones: collect them once, read them everywhere.

`collect` runs the network over the images (torch) and writes one file, the `payload`. `read` makes
numbers of payloads (numpy, pandas), `show` makes figures and reports of numbers (plotly). `jobs`
runs `collect` in the background. Nothing here imports Streamlit; docs/architecture.md has the
rules.

From Python, for a model of your own: ``from analysis import extract, save_payload, load_payload,
compare``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from analysis.vocabulary import TOOL_VERSION

if TYPE_CHECKING:
    from analysis.api import (
        InterventionRequest,
        compare,
        extract,
        intervene,
        load_payload,
        save_payload,
    )
    from analysis.payload.features import read_features
    from analysis.read.worth.probe import probe
    from analysis.read.worth.similarity import similarity

_FROM_API = (
    "InterventionRequest",
    "compare",
    "extract",
    "intervene",
    "load_payload",
    "save_payload",
)
__all__ = [
    "InterventionRequest",
    "__version__",
    "compare",
    "extract",
    "intervene",
    "load_payload",
    "probe",
    "read_features",
    "save_payload",
    "similarity",
]
__version__ = TOOL_VERSION


def __getattr__(name: str) -> Any:
    """Import a name of the Python interface on first use; those of image vectors need no torch."""
    if name == "read_features":
        from analysis.payload.features import read_features

        return read_features
    if name == "probe":
        from analysis.read.worth.probe import probe

        return probe
    if name == "similarity":
        from analysis.read.worth.similarity import similarity

        return similarity
    if name in _FROM_API:
        from analysis import api

        return getattr(api, name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
