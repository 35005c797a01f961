"""Collect layerwise channel statistics of a DINOv3 backbone (see README.md)."""

from analysis.cli.extract import run

if __name__ == "__main__":
    run()
