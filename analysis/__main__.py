"""`python -m analysis`: the same as analyze_dinov3_features.py."""

from analysis.cli.extract import run

if __name__ == "__main__":
    run()
