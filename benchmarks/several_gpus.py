"""One job on one GPU and on two: ``python -m benchmarks.several_gpus --out results.json``.

Both runs are made at two lengths; the rate is what the longer one adds, so that starting, loading
and compiling drop out. The two payloads of the longer runs are compared, the number of images is
odd, so that the ranks' shares differ.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import torch

from benchmarks.precision import compare
from benchmarks.whole_job import draw_photograph, make_project, run_job

BACKBONE, SIZE, BATCH = "dinov3_vith16plus", (960, 480), 8


def load(project: Path, images: int, ranks: int) -> dict[str, Any]:
    """Return the payload that `run_job` left."""
    return torch.load(project / f"on-{images}-{ranks}.pt", weights_only=True)


def counts(payload: dict[str, Any]) -> list[int]:
    """Return every count of a payload's layers."""
    return [
        cell["count"]
        for names in payload["layers"].values()
        for roles in names.values()
        for cell in roles.values()
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=320, help="different photographs")
    parser.add_argument("--images", type=int, nargs=2, default=(803, 3211), help="short, long")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    short, long = arguments.images
    report: dict[str, Any] = {
        "cards": [torch.cuda.get_device_name(n) for n in range(torch.cuda.device_count())],
        "torch": torch.__version__,
        "cores": len(os.sched_getaffinity(0)),
    }
    with tempfile.TemporaryDirectory() as temporary:
        photographs, project = Path(temporary) / "photographs", Path(temporary) / "project"
        photographs.mkdir()
        jobs = [(photographs / f"{number:05d}.jpg", number) for number in range(arguments.files)]
        with Pool() as pool:
            pool.starmap(draw_photograph, jobs)
        make_project(project, BACKBONE, SIZE, photographs, long)
        for ranks in (1, arguments.ranks):
            seconds = {}
            for images in (short, long):
                result = run_job(project, images, BATCH, "on", ranks)
                seconds[images] = result["seconds in the run"]
                report[f"{ranks} ranks, {images} images"] = result
                print(ranks, images, {key: round(value, 2) for key, value in result.items()})
            rate = (long - short) / (seconds[long] - seconds[short])
            report[f"{ranks} ranks, images/s"] = rate
        one, many = (load(project, long, ranks) for ranks in (1, arguments.ranks))
    alone, together = (report[f"{ranks} ranks, images/s"] for ranks in (1, arguments.ranks))
    report["speedup"] = together / alone
    report["counts equal"] = counts(one) == counts(many)
    report["difference"] = compare(one["layers"], many["layers"])
    for name, value in report.items():
        print(f"{name:40} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
