"""`python -m analysis`: the same as analyze_dinov3_features.py."""

import sys

from analysis.cli import main

if __name__ == "__main__":
    sys.exit(main())
