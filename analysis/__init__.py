"""Layerwise channel statistics of DINOv3 backbones: collect them once, read them everywhere.

The package has two halves that meet in one file, the payload. `analysis.collect` and what it
imports run the network (torch); `analysis.tables`, `analysis.outliers`, `analysis.versions`,
`analysis.checks` and `analysis.figures` read what it wrote (numpy, pandas, plotly). Nothing here
imports Streamlit, and importing this package imports neither half.
"""

__version__ = "0.1.0"
