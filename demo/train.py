"""Trains the demo backbone on painted quadrats, then an adapter for each of two other seasons.

The backbone sees spring and summer: it learns the cover shares of every patch and the biomass of
the picture. It starts from `demo.backbone.random_backbone`, so the massive channels are planted;
the loss does not mention them, and whether they stay is measured. Each adapter (LoRA on `qkv`)
starts from the trained backbone in fp16 as it is saved, and learns one season of its own.
"""

from __future__ import annotations

import argparse
import copy
import json
import multiprocessing
import os
import platform
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import peft
import torch

from demo.backbone import SEED, random_backbone
from demo.biomass import TARGETS
from demo.card import write_card
from demo.collection import Collection
from demo.heads import WEIGHTS_NAME, add_lora, new_backbone, round_to_half, save_backbone, save_head
from demo.learning import QuadratHead, Schedule, learn
from demo.measuring import measure_adapter, measure_fit, measure_massive_channels
from demo.painting import paint_many

HOME = ("spring", "summer")
ADAPTERS = {"autumn": "head", "winter": "head_winter"}
"""Season of each adapter, and the folder of its head file."""

GOAL = 0.9
"""R² that every target should reach on pictures that were not trained on."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `python -m demo train`."""
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--images", type=int, default=10000, help="pictures of spring and summer")
    parser.add_argument("--steps", type=int, default=5000, help="of the backbone")
    parser.add_argument("--adapter-steps", type=int, default=1400, help="of each adapter")
    parser.add_argument("--batch-tokens", type=int, default=32768, help="patches per step")
    parser.add_argument("--workers", type=int, default=len(os.sched_getaffinity(0)))


def train_repeatably(options: argparse.Namespace, out: Path) -> int:
    """`train` with every kernel in its deterministic form, for a process that does nothing else.

    The same seed, options, machine and packages then give the same files, bit by bit.
    """
    os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"  # read when CUDA starts
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("high")
    return train(options, out)


def train(options: argparse.Namespace, out: Path) -> int:
    """Paint, train, measure and save; returns 0 if every check was met, else 3.

    The files, laid out in ``out`` as in `weights/` with a model card, are written even where a
    check fails: `metrics.json` says which.
    """
    device = torch.device(options.device)
    if device.type == "cuda":
        torch.zeros(1, device=device)  # a missing GPU shows before the painting
    torch.manual_seed(SEED)
    began = time.monotonic()
    held_out = max(2, min(500, options.images // 10))

    with _pool(options.workers) as pool:

        def paint(seed: int, count: int, seasons: tuple[str, ...]) -> Collection:
            arrays = paint_many(pool, seed, count, seasons)
            return Collection(*(torch.from_numpy(array).to(device) for array in arrays))

        training = {"home": paint(SEED + 1, options.images, HOME)}
        testing = {"home": paint(SEED + 2, held_out, HOME)}
        for season in ADAPTERS:
            training[season] = paint(SEED + 3, options.images // 5, (season,))
            testing[season] = paint(SEED + 4, held_out, (season,))
    painted = time.monotonic() - began
    print(f"painted {sum(map(len, training.values()))} pictures in {painted:.0f} s", flush=True)

    schedule = Schedule(options.steps, options.batch_tokens, 1e-3)
    backbone, head = random_backbone().to(device), QuadratHead(192).to(device)
    backbone.mask_token.requires_grad_(False)
    run = learn(backbone, head, training["home"], schedule, seed=SEED, name="backbone")
    save_backbone(backbone, out / WEIGHTS_NAME)
    backbone = new_backbone().to(device)
    backbone.load_state_dict(torch.load(out / WEIGHTS_NAME, weights_only=True))
    metrics: dict[str, Any] = {
        "machine": _machine(device),
        "seed": SEED,
        "pictures": {name: len(some) for name, some in training.items()},
        "held_out_pictures": held_out,
        "backbone": {
            "run": run,
            "r2": {name: measure_fit(backbone, head, some) for name, some in testing.items()},
            "massive_channels": measure_massive_channels(backbone, testing["home"]),
        },
    }
    schedule = Schedule(options.adapter_steps, options.batch_tokens, 1e-3, 0.0)
    for season, folder in ADAPTERS.items():
        torch.manual_seed(SEED)
        own_backbone, own_head = copy.deepcopy(backbone), copy.deepcopy(head)
        adapted = add_lora(own_backbone)
        run = learn(own_backbone, own_head, training[season], schedule, seed=SEED, name=season)
        round_to_half(own_backbone)
        round_to_half(own_head)
        metrics[season] = {
            "run": run,
            "r2": measure_fit(own_backbone, own_head, testing[season]),
            "relative_change": measure_adapter(adapted, own_backbone, testing[season]),
        }
        path = out / folder / "infer_head.pt"
        save_head(adapted, own_head.state_dict(), path, season=season, trained_steps=schedule.steps)
    metrics["machine"]["minutes"] = (time.monotonic() - began) / 60
    failures = _check(metrics)
    metrics["failed_checks"] = failures
    report = json.dumps(json.loads(json.dumps(metrics), parse_float=_rounded), indent=1)
    (out / "metrics.json").write_text(report + "\n", encoding="utf-8")
    print(report)
    (out / "README.md").write_text(write_card(json.loads(report)), encoding="utf-8")
    return 3 if failures else 0


def _pool(workers: int) -> AbstractContextManager[ProcessPoolExecutor | None]:
    """Open processes that paint, or nothing where one is enough: this process is one already.

    An executor, which raises when a process dies, where `multiprocessing.Pool` waits for ever.
    """
    if workers == 1:
        return nullcontext()
    # Not fork: the parent holds CUDA already.
    return ProcessPoolExecutor(workers, mp_context=multiprocessing.get_context("spawn"))


def _rounded(number: str) -> float:
    return round(float(number), 4)


def _machine(device: torch.device) -> dict[str, Any]:
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.machine()
    return {"device": name, "torch": torch.__version__, "peft": peft.__version__}


def _check(metrics: dict[str, Any]) -> list[str]:
    """Name every measured value that misses what the model card promises."""
    failures: list[str] = []
    fits = {"home": metrics["backbone"]["r2"]["home"]}
    fits |= {season: metrics[season]["r2"] for season in ADAPTERS}
    for name, fit in fits.items():
        failures += [
            f"R² of {target} in {name}: {fit[target]:.3f}, wanted {GOAL}"
            for target in TARGETS
            if fit[target] < GOAL
        ]
    ratios = [row["ratio"] for row in metrics["backbone"]["massive_channels"]]
    if min(ratios[3:11]) < 50:
        failures.append(f"massive channels: {min(ratios[3:11]):.0f} times the median, wanted 50")
    for season in ADAPTERS:
        if max(metrics[season]["relative_change"]) < 0.02:
            failures.append(f"the adapter of {season} changes no block by 2 %")
    return failures
