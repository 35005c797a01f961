"""Collect layerwise channel statistics of a DINOv3 backbone (see README.md)."""

import sys

from analysis.cli import main

if __name__ == "__main__":
    sys.exit(main())
