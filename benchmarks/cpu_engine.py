"""Statistics on the CPU against the forward alone: ``python -m benchmarks.cpu_engine``.

Goals on two cores, ViT-S at 256x256: at least 0.93 of the forward's rate without extras, 0.85 with.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from pathlib import Path

import torch

from benchmarks.tax import build_backbone, describe, make_steps, take_turns


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="dinov3_vits16")
    parser.add_argument("--size", type=int, nargs=2, default=(256, 256), metavar=("W", "H"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--cpu-time", action="store_true", help="for a busy machine; one thread")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    torch.set_num_threads(arguments.threads)
    backbone = build_backbone(arguments.backbone, "cpu")
    width, height = arguments.size
    pixels = torch.randn(arguments.batch_size, 3, height, width)
    steps = make_steps(backbone, pixels)
    clock = time.thread_time if arguments.cpu_time else time.perf_counter
    with torch.inference_mode():
        seconds = take_turns(steps, arguments.rounds, clock=clock, warmup=2)
    result = describe(seconds, arguments.batch_size)
    for name, value in result.items():
        print(f"{name:20} {value:8.3f}")
    if arguments.out:
        about = {"machine": platform.processor() or platform.machine(), "torch": torch.__version__}
        settings = {name: str(value) for name, value in vars(arguments).items() if name != "out"}
        arguments.out.write_text(json.dumps(about | {"settings": settings} | result, indent=2))


if __name__ == "__main__":
    main()
