"""An extraction on the GPU against the CPU: ``python -m benchmarks.gpu_payload --out FILE``.

The command line with default flags, extras and image features included, on random ViT-S weights. In
fp32 the payloads must agree to rounding; bf16 is reported. Then the share of the speed that the
features of single images leave (ViT-H+, bf16), run in turns with `--image-features 0`.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch

from analysis.payload.features import features_path, read_features
from benchmarks.precision import compare
from benchmarks.whole_job import draw_photograph, make_project

BOUND = 5e-3
"""Largest relative deviation of a statistic in fp32: the std of a channel that hardly varies."""


def extract(project: Path, name: str, *flags: str) -> dict[str, Any]:
    """Run the command line and return the payload."""
    output, progress = project / f"{name}.pt", project / f"{name}-progress.json"
    command = [sys.executable, "-m", "analysis", f"--project-dir={project}", "--quiet"]
    command += ["--head-weights=none", f"--output={output}", f"--progress={progress}", *flags]
    subprocess.run(command, check=True)
    return torch.load(output, weights_only=True)


def compare_features(project: Path, one: str, other: str) -> float:
    """Return the largest difference of two features files, in standard deviations."""
    files = [read_features(project / f"{name}.pt") for name in (one, other)]
    largest = 0.0
    for layer in files[0].table.layers.tolist():
        for role, representation in (("cls", "pre"), ("patch", "pre"), ("patch", "per_layer_ln")):
            a, b = (
                np.asarray(file.standardized(layer, role, representation), np.float64)  # type: ignore[arg-type]
                for file in files
            )
            largest = max(largest, float(np.abs(a - b).max()))
    return largest


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--images", type=int, default=48)
    parser.add_argument("--large", type=int, default=480, help="images of ViT-H+; 0 leaves it out")
    parser.add_argument("--files", type=int, default=48)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    on_gpu = arguments.device != "cpu"
    report: dict[str, Any] = {
        "card": torch.cuda.get_device_name() if on_gpu else "none",
        "torch": torch.__version__,
    }
    with tempfile.TemporaryDirectory() as temporary:
        photographs, small = Path(temporary) / "photographs", Path(temporary) / "small"
        photographs.mkdir()
        with Pool() as pool:
            jobs = [(photographs / f"{n:05d}.jpg", n) for n in range(arguments.files)]
            pool.starmap(draw_photograph, jobs)
        make_project(small, "dinov3_vits16", (256, 256), photographs, arguments.images)
        exact = extract(small, "cpu", "--device=cpu", "--precision=fp32")
        for precision in ("fp32", "bf16"):
            found = extract(
                small, precision, f"--device={arguments.device}", f"--precision={precision}"
            )
            report[precision] = compare(exact["layers"], found["layers"])
            if features_path(small / "cpu.pt").exists():
                report[f"{precision}, features"] = compare_features(small, "cpu", precision)
        if arguments.large:
            large = Path(temporary) / "large"
            make_project(large, "dinov3_vith16plus", (960, 480), photographs, arguments.large)
            rates: dict[str, list[float]] = {"0": [], "auto": []}
            for _ in range(3):
                for kept, found in rates.items():
                    run = extract(large, f"kept-{kept}", f"--image-features={kept}")["meta"]["run"]
                    found.append(run["images_per_second"])
            report["images/s with --image-features"] = rates
            report["features keep"] = float(np.median(rates["auto"]) / np.median(rates["0"]))
    print(json.dumps(report, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))
    worst = max(value for key, value in report["fp32"].items() if key.endswith("max"))
    sys.exit(worst > BOUND)


if __name__ == "__main__":
    main()
