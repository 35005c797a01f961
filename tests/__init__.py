"""Tests: the same tree as the code's, and whole runs in `browser`, `hostile` and `demo`."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
"""The repository's root."""
