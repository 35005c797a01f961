"""Our extraction against the specification's algorithm: ``python -m benchmarks.specification``.

The specification's algorithm, written from its description: keep every block output of a batch,
then per layer, representation and role sum the values and their squares in float64, take the
largest magnitude, and copy each of the three to the host. Ours is what `analysis` runs, extras
included, after which nothing is copied.

Both sides take turns in one process. Peak memory is read for each alone; weights are shared.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.run.devices import enter_precision
from analysis.vocabulary import LAYER_NORM_EPS
from benchmarks.tax import build_backbone, make_steps, take_turns


class SpecificationSums:
    """Float64 sums on the host per layer, representation and role."""

    def __init__(self) -> None:
        self.sums: dict[tuple[int, str, str], list[Tensor]] = {}

    def add(self, backbone: DinoVisionTransformer, outputs: list[Tensor]) -> None:
        """Add the outputs of all layers for one batch, each ``[B, 1 + S + N, C]``."""
        for layer, tokens in enumerate(outputs):
            representations = {
                "pre": tokens,
                "per_layer_ln": F.layer_norm(tokens, tokens.shape[-1:], eps=LAYER_NORM_EPS),
                "global_ln": backbone.apply_norm(tokens),
            }
            for name, values in representations.items():
                self._add_role(layer, name, "cls", values[:, :1])
                self._add_role(layer, name, "patch", values[:, backbone.n_prefix_tokens :])

    def _add_role(self, layer: int, representation: str, role: str, values: Tensor) -> None:
        rows = values.flatten(0, 1).float()
        total = rows.sum(0, dtype=torch.float64).cpu()
        squares = rows.double().square().sum(0).cpu()
        peak = rows.abs().amax(0).cpu()
        key = layer, representation, role
        if key not in self.sums:
            self.sums[key] = [total, squares, peak]
            return
        held = self.sums[key]
        held[0] += total
        held[1] += squares
        torch.maximum(held[2], peak, out=held[2])


def specification_step(
    backbone: DinoVisionTransformer, pixels: Tensor, precision: str
) -> Callable[[], None]:
    """Return a function that runs one batch as the specification describes it."""
    sums = SpecificationSums()

    def step() -> None:
        with enter_precision(precision, pixels.device):
            outputs = list(backbone.forward_blocks(pixels))[1:]
            sums.add(backbone, outputs)

    return step


def our_step(
    backbone: DinoVisionTransformer, pixels: Tensor, precision: str, *, compiled: bool = False
) -> Callable[[], None]:
    """Return a function that runs one batch as `analysis` does, extras included."""
    extras = make_steps(backbone, pixels, compiled=compiled)["extras"]

    def step() -> None:
        context: AbstractContextManager[object] = enter_precision(precision, pixels.device)
        with context:
            extras()

    return step


def peak_gib(step: Callable[[], None]) -> float:
    """Return the most device memory in use during one run, in GiB."""
    torch.cuda.synchronize()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    step()
    torch.cuda.synchronize()
    return torch.cuda.max_memory_allocated() / 2**30


def measure(name: str, size: tuple[int, int], images: int, rounds: int) -> dict[str, dict]:
    """Return images/s and peak GiB of every way, and ratios to the specification's two."""
    backbone = build_backbone(name, "cuda")
    pixels = torch.randn(images, 3, size[1], size[0], device="cuda")
    makers = {
        "specification fp32": lambda: specification_step(backbone, pixels, "fp32"),
        "ours fp32": lambda: our_step(backbone, pixels, "fp32"),
        "specification bf16": lambda: specification_step(backbone, pixels, "bf16"),
        "ours bf16 eager": lambda: our_step(backbone, pixels, "bf16"),
        "ours bf16 compiled": lambda: our_step(backbone, pixels, "bf16", compiled=True),
    }

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    with torch.inference_mode():
        steps = {way: make() for way, make in makers.items()}
        fp32 = {way: steps.pop(way) for way in list(steps) if way.endswith("fp32")}
        seconds = take_turns(fp32, max(rounds // 3, 3), clock=clock, warmup=1)
        seconds |= take_turns(steps, rounds, clock=clock, warmup=2, repeats=4)
        del steps, fp32
        # One collector alive at a time: memory is counted for its way alone.
        peaks = {way: peak_gib(make()) for way, make in makers.items()}
    return {
        way: {
            "images/s": images / seconds[way],
            "x specification fp32": seconds["specification fp32"] / seconds[way],
            "x specification bf16": seconds["specification bf16"] / seconds[way],
            "peak GiB": peaks[way],
        }
        for way in seconds
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="dinov3_vith16plus")
    parser.add_argument("--size", type=int, nargs=2, default=(960, 480), metavar=("W", "H"))
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    width, height = arguments.size
    rows = measure(arguments.backbone, (width, height), arguments.batch_size, arguments.rounds)
    columns = list(rows["ours fp32"])
    print(f"{'':20}" + "".join(f"{column:>22}" for column in columns))
    for way, row in rows.items():
        print(f"{way:20}" + "".join(f"{row[column]:22.2f}" for column in columns))
    if arguments.out:
        about = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
        about |= {"backbone": arguments.backbone, "size": f"{width}x{height}"}
        about |= {"batch": arguments.batch_size}
        arguments.out.write_text(json.dumps(about | {"rows": rows}, indent=2))


if __name__ == "__main__":
    main()
