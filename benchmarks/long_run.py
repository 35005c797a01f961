"""Cost and memory over a long run: ``python -m benchmarks.long_run --out results.json``.

A CSV of 100,000 rows over 500 small files, ViT-S at 256x256. While the command line runs, its
progress, the memory of its processes and that of the GPU are looked at; the table has one row per
decade of images.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image

from benchmarks.whole_job import make_project

BACKBONE, SIZE, BATCH = "dinov3_vits16", (256, 256), 64


def draw_picture(path: Path, seed: int) -> None:
    """Write a small picture that is not all noise."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 255, (24, 24, 3), dtype=np.uint8))
    coarse.resize((288, 288), Image.Resampling.BILINEAR).save(path, quality=85)


def resident_gib(pid: int) -> float:
    """Return the proportional memory of a process and its children; shared pages count once."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    kib = 0
    for process in (str(pid), *children):
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                kib += int(line.split()[1])
    return kib / 2**20


def watch(command: list[str], progress: Path) -> list[dict[str, float]]:
    """Run the command and return what was seen of it: images done, time, memory."""
    process = subprocess.Popen(command, env=os.environ | {"PYTHONWARNINGS": "ignore"})
    seen: list[dict[str, float]] = []
    while process.poll() is None:
        time.sleep(0.2)
        try:
            now = json.loads(progress.read_text())
            memory = resident_gib(process.pid)
        except (OSError, ValueError):
            continue
        free, total = torch.cuda.mem_get_info()
        if now["state"] == "running" and now["done"]:
            entry = {"done": now["done"], "updated": now["updated"]}
            seen.append(entry | {"host GiB": memory, "device GiB": (total - free) / 2**30})
    if process.returncode:
        raise RuntimeError(f"the job ended with exit code {process.returncode}")
    return seen


def summarize(seen: list[dict[str, float]], images: int) -> dict[str, dict[str, float]]:
    """Return rate and memory per decade of images: 10^2 to 10^3, ..., up to the end."""
    table = {}
    start = 100
    while start < images:
        part = [entry for entry in seen if start <= entry["done"] <= min(10 * start, images)]
        if len(part) > 1 and part[-1]["updated"] > part[0]["updated"]:
            done = part[-1]["done"] - part[0]["done"]
            table[f"{start} to {10 * start}"] = {
                "milliseconds per image": 1e3 * (part[-1]["updated"] - part[0]["updated"]) / done,
                "host GiB": max(entry["host GiB"] for entry in part),
                "device GiB": max(entry["device GiB"] for entry in part),
            }
        start *= 10
    return table


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=100_000)
    parser.add_argument("--files", type=int, default=500)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {
        "card": torch.cuda.get_device_name(),
        "torch": torch.__version__,
        "cores": len(os.sched_getaffinity(0)),
    }
    with tempfile.TemporaryDirectory() as temporary:
        pictures, project = Path(temporary) / "pictures", Path(temporary) / "project"
        pictures.mkdir()
        jobs = [(pictures / f"{number:05d}.jpg", number) for number in range(arguments.files)]
        with Pool() as pool:
            pool.starmap(draw_picture, jobs)
        make_project(project, BACKBONE, SIZE, pictures, arguments.images)
        progress = project / "progress.json"
        command = [sys.executable, "-m", "analysis", "--project-dir", str(project), "--quiet"]
        command += ["--batch-size", str(BATCH), "--head-weights", "none", "--compile", "off"]
        command += ["--progress", str(progress), "--output", str(project / "long.pt")]
        seen = watch(command, progress)
        run = torch.load(project / "long.pt", weights_only=True)["meta"]["run"]
    report["images/s"] = run["images_per_second"]
    report["by decade"] = summarize(seen, arguments.images)
    half = len(seen) // 2
    for key in ("host GiB", "device GiB"):
        first, last = (max(entry[key] for entry in part) for part in (seen[:half], seen[half:]))
        report[f"{key}, first half"], report[f"{key}, second half"] = first, last
    for name, value in report.items():
        print(f"{name:28} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
