"""One job on one GPU and on two: ``python -m benchmarks.several_gpus --out results.json``.

In the default mode, with fused kernels. The running rate is the first rank's over the last three
quarters of its progress reports, times the ranks; the whole rate counts the start of the workers;
the seconds are those from the command to the payload. The two payloads are compared; the number of
images is odd, so that the ranks' shares differ.
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


def load(project: Path, mode: str, images: int, ranks: int) -> dict[str, Any]:
    """Return the payload that `run_job` left."""
    return torch.load(project / f"{mode}-{images}-{ranks}.pt", weights_only=True)


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
    parser.add_argument("--images", type=int, default=3211)
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--compile", default="auto", choices=("auto", "on", "off"))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
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
        make_project(project, BACKBONE, SIZE, photographs, arguments.images)
        mode = arguments.compile
        run_job(project, arguments.images // 4, BATCH, mode)  # fills the kernels' cache for both
        for ranks in (1, arguments.ranks):
            result = run_job(project, arguments.images, BATCH, mode, ranks)
            result["images/s running"] = ranks * result.pop("images/s steady")
            report[f"{ranks} ranks"] = result
        one, many = (load(project, mode, arguments.images, ranks) for ranks in (1, arguments.ranks))
    for rate in ("running", "whole"):
        key = f"images/s {rate}"
        alone, together = (report[f"{ranks} ranks"][key] for ranks in (1, arguments.ranks))
        report[f"speedup, {rate}"] = together / alone
    seconds = [report[f"{ranks} ranks"]["wall seconds"] for ranks in (1, arguments.ranks)]
    report["speedup, command to payload"] = seconds[0] / seconds[1]
    report["counts equal"] = counts(one) == counts(many)
    report["difference"] = compare(one["layers"], many["layers"])
    for name, value in report.items():
        print(f"{name:40} {value}")
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
