"""Time the first look at a payload with extras, and the second, beside an earlier commit.

Each look is a process of its own. Before the clock runs it has imported torch and loaded a tiny
file with it, which takes about two seconds that do not depend on the payload. Both commits read the
same files in turn, so that the load of the machine meets both.

    git archive 5e40304 --prefix=before/ | tar -x -C ..
    python -m benchmarks.cold_look --before ../before --json benchmarks/results/cold-look.json
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks.pages.project import make_project
from tests import ROOT

SIZES = {
    "demo (12 x 192)": (12, 192),
    "ViT-L (24 x 1024)": (24, 1024),
    "7B (40 x 4096)": (40, 4096),
}
"""Blocks and channels."""

_LOOK_BEFORE = """
from analysis.extra_tables import load_extras
from analysis.tables import load_table
def look(path):
    return load_table(path).values.sum(), load_extras(path).top().sum()
"""
_LOOK_NOW = """
from analysis.payload.reading import open_payload
def look(path):
    reading = open_payload(path)
    return reading.table.values.sum(), reading.extras.top().sum()
"""
_MEASURE = """
import sys, time
{import_torch}
{look}
if "torch" in sys.modules:
    import io
    torch.save({{"x": torch.zeros(1)}}, buffer := io.BytesIO())
    buffer.seek(0)
    torch.load(buffer, weights_only=True)
began = time.perf_counter()
found = look(sys.argv[1])
print(time.perf_counter() - began, *found)
"""


def time_look(tree: Path, look: str, payload: Path, cache: Path, *, first: bool) -> list[float]:
    """Return the seconds of one look by the code of a tree, and two sums of what it read."""
    imported = "import torch, analysis.%s" % (
        "payload.file" if (tree / "analysis/payload/file.py").exists() else "payload"
    )
    code = _MEASURE.format(import_torch=imported if first else "", look=look)
    done = subprocess.run(
        [sys.executable, "-c", code, str(payload)],
        cwd=tree,
        env=os.environ | {"DASHBOARD_CACHE": str(cache)},
        capture_output=True,
        text=True,
        check=True,
    )
    return [float(word) for word in done.stdout.split()]


def compare(before: Path, payload: Path, rounds: int) -> dict[str, float]:
    """Return the median seconds of first and second looks by both trees, and their ratios."""
    trees = {"before": (before, _LOOK_BEFORE), "now": (ROOT, _LOOK_NOW)}
    seconds: dict[str, list[float]] = {}
    sums: set[tuple[float, ...]] = set()
    for _ in range(rounds):
        for name, (tree, look) in trees.items():
            with tempfile.TemporaryDirectory() as cache:
                for which in ("first", "second"):
                    first = which == "first"
                    took, *found = time_look(tree, look, payload, Path(cache), first=first)
                    seconds.setdefault(f"{which}_{name}_s", []).append(took)
                    sums.add(tuple(found))
    if len(sums) > 1:
        raise SystemExit(f"{payload}: the two commits read different numbers: {sums}")
    median = {name: statistics.median(values) for name, values in seconds.items()}
    ratios = {
        f"{which}_ratio": median[f"{which}_now_s"] / median[f"{which}_before_s"]
        for which in ("first", "second")
    }
    return {name: round(value, 4) for name, value in (median | ratios).items()}


def main() -> None:
    """Make a payload of each size and compare the two trees on it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--before", type=Path, required=True, help="tree of the earlier commit")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path, help="where the result is written")
    arguments = parser.parse_args()
    result: dict[str, object] = {"rounds": arguments.rounds}
    for name, (layers, channels) in SIZES.items():
        with tempfile.TemporaryDirectory() as folder:
            make_project(Path(folder), layers, channels, versions=1)
            (payload,) = Path(folder).glob("outputs/*/feature_stats/*.pt")
            row = {"payload_bytes": payload.stat().st_size}
            result[name] = row | compare(arguments.before, payload, arguments.rounds)
            print(name, result[name], flush=True)
    if arguments.json:
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
