"""Whole jobs of few images, second by second: ``python -m benchmarks.start --out results.json``.

The command line on random ViT-H+ weights and JPEG files of 2000x1000, from the command to the saved
payload: on a machine without bytecode and kernels, and again; the specification's algorithm, also a
process from command to file, in the same run; and from the click in the dashboard's form, with a
process kept ready. Then the cruise, against the limit of the card: the matrix products and the
attention of these shapes, and nothing else. `--images` without a number leaves out the jobs.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from multiprocessing import Pool
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional as F

from analysis.collect.backbone.low_precision import cast_linears
from analysis.collect.backbone.variants import get_variant
from analysis.collect.run.devices import enter_precision
from benchmarks.tax import build_backbone, make_steps, take_turns
from benchmarks.whole_job import draw_photograph, make_project

BACKBONE, SIZE, BATCH = "dinov3_vith16plus", (960, 480), 8
SHAPES = (((960, 480), 8), ((256, 256), 64))


def run(command: list[str], environment: dict[str, str]) -> float:
    """Run a command and return its seconds."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", *command], env=environment, check=True)
    return time.perf_counter() - start


def run_ours(project: Path, name: str, images: int, environment: dict[str, str]) -> dict[str, Any]:
    """Run our command line; return its seconds and those of its phases."""
    output, progress = project / f"{name}.pt", project / f"{name}-progress.json"
    command = ["analysis", "--project-dir", str(project), "--quiet", "--head-weights", "none"]
    command += ["--batch-size", str(BATCH), "--max-images", str(images)]
    command += ["--output", str(output), "--progress", str(progress)]
    wall = run(command, environment)
    return {"seconds": wall, "phases": json.loads(progress.read_text())["phases"]}


def run_click(project: Path, images: int, environment: dict[str, str]) -> dict[str, Any]:
    """Return the seconds from the click to the payload, with a process kept ready and without."""
    results = project / "click.json"
    command = ["benchmarks.click", "--project-dir", str(project), "--repeats", "3"]
    run([*command, "--images", str(images), "--out", str(results)], environment)
    return json.loads(results.read_text())


def limit(backbone: str, size: tuple[int, int], batch: int) -> float:
    """Return images/s of a batch's matrix products in bf16 and of the fastest attention."""
    variant = get_variant(backbone)
    tokens = 1 + variant.n_storage_tokens + (size[0] // 16) * (size[1] // 16)
    c, h = variant.embed_dim, variant.ffn_hidden
    shapes = ((c, 3 * c), (c, c), *[(c, h)] * (1 if variant.ffn == "mlp" else 2), (h, c))
    kind: dict[str, Any] = {"device": "cuda", "dtype": torch.bfloat16}
    inputs = {width: torch.randn(batch * tokens, width, **kind) for width in (c, h)}
    weights = [(torch.randn(out, n, **kind) * 0.02, torch.randn(out, **kind)) for n, out in shapes]
    qkv = torch.randn(3, batch, variant.n_heads, tokens, variant.head_dim, **kind)

    def step() -> None:
        for _ in range(variant.depth):
            for weight, bias in weights:
                F.linear(inputs[weight.shape[1]], weight, bias)
            F.scaled_dot_product_attention(qkv[0], qkv[1], qkv[2])

    return batch / take_turns({"": step}, 8, clock=clock, warmup=2, repeats=4)[""]


def clock() -> float:
    torch.cuda.synchronize()
    return time.perf_counter()


def cruise(name: str, size: tuple[int, int], batch: int, rounds: int) -> dict[str, float]:
    """Return images/s of the compiled and the fused pass, and the part of the card's limit."""
    with torch.inference_mode(), enter_precision("bf16", torch.device("cuda")):
        backbone = build_backbone(name, "cuda")
        pixels = torch.randn(batch, 3, size[1], size[0], device="cuda")
        compiled = make_steps(backbone, pixels, compiled=True)
        low = copy.deepcopy(backbone)
        cast_linears(low, torch.bfloat16)
        fused = make_steps(low, pixels, fused=True)
        steps = {"compiled forward": compiled["forward"], "compiled, extras": compiled["extras"]}
        steps |= {f"fused, {mode}": fused[mode] for mode in ("forward", "no-extras", "extras")}
        seconds = take_turns(steps, rounds, clock=clock, warmup=2, repeats=6)
        rates = {name: batch / value for name, value in seconds.items()}
        del compiled, fused, steps, backbone, low
        most = limit(name, size, batch)
    return rates | {"limit": most, "fused, extras / limit": rates["fused, extras"] / most}


def time_jobs(images: list[int], files: int, save: Callable[[str, Any], None]) -> None:
    """Time whole jobs of so many images, the first number in every way."""
    with tempfile.TemporaryDirectory() as temporary:
        folder, photographs = Path(temporary), Path(temporary) / "photographs"
        photographs.mkdir()
        jobs = [(photographs / f"{number:05d}.jpg", number) for number in range(files)]
        with Pool() as pool:
            pool.starmap(draw_photograph, jobs)
        project = folder / "project"
        make_project(project, BACKBONE, SIZE, photographs, max(images))
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        environment |= {"PYTHONPYCACHEPREFIX": str(folder / "bytecode"), "PYTHONWARNINGS": "ignore"}
        environment |= {"TRITON_CACHE_DIR": str(folder / "kernels")}
        first, *others = images
        save(f"ours, {first}, no bytecode, no kernels", run_ours(project, "a", first, environment))
        kernels_anew = environment | {"TRITON_CACHE_DIR": str(folder / "anew")}
        save(f"ours, {first}, no kernels", run_ours(project, "b", first, kernels_anew))
        for count in (first, *others):
            repeats = 5 if count == first else 1
            warm = [run_ours(project, "c", count, environment) for _ in range(repeats)]
            save(f"ours, {count}, warm", warm)
        save(f"ours, {first}, from the click", run_click(project, first, environment))
        for precision in ("bf16", "fp32"):
            command = ["benchmarks.specification_job", "--project-dir", str(project)]
            command += ["--images", str(first), "--batch-size", str(BATCH)]
            command += ["--precision", precision, "--out", str(folder / "sums.pt")]
            save(f"specification, {first}, {precision}", run(command, environment))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default=BACKBONE, help="of the cruise")
    parser.add_argument("--rounds", type=int, default=10, help="of the cruise")
    parser.add_argument("--images", type=int, nargs="*", default=(357, 1600))
    parser.add_argument("--files", type=int, default=320, help="different photographs")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    report: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    report |= {"cores": len(os.sched_getaffinity(0)), "backbone of the cruise": arguments.backbone}

    def save(name: str, value: Any) -> None:
        report[name] = value
        print(name, value, flush=True)
        if arguments.out:
            arguments.out.write_text(json.dumps(report, indent=2))

    if arguments.images:
        time_jobs(arguments.images, arguments.files, save)
    for size, batch in SHAPES:
        rates = cruise(arguments.backbone, size, batch, arguments.rounds)
        save("{}x{}".format(*size) + f" batch {batch}, images/s", rates)
        torch.compiler.reset()


if __name__ == "__main__":
    main()
