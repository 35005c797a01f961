"""Layerwise channel statistics of DINOv3 backbones: collect them once, read them everywhere.

The package has two halves that meet in one file, the payload. `analysis.collect` and what it
imports run the network (torch); `analysis.tables`, `analysis.outliers`, `analysis.versions`,
`analysis.checks` and `analysis.figures` read what it wrote (numpy, pandas, plotly). Nothing here
imports Streamlit, and importing this package imports neither half.

From Python, for a model of your own: ``from analysis import extract, save_payload, load_payload,
compare``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from analysis.api import compare, extract, load_payload, save_payload

__all__ = ["__version__", "compare", "extract", "load_payload", "save_payload"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    """Import the Python interface, and torch with it, on first use."""
    if name in ("compare", "extract", "load_payload", "save_payload"):
        from analysis import api

        return getattr(api, name)
    raise AttributeError(f"module 'analysis' has no attribute {name!r}")
