"""How far tf32 and bf16 are from fp32: ``python -m benchmarks.precision``.

The same images through the demo project and, at 960x480, through ViT-H+ with random weights whose
blocks change their input as trained ones do. Per statistic the table has the median and the largest
of |Δmean| / rms, |Δstd| / std and |Δmax| / max over layers, representations, roles and channels.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch

from analysis.collect.images.batches import normalize_pixels
from analysis.collect.images.decode import load_image
from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.run.devices import enter_precision
from analysis.collect.run.loop import collect_payload
from analysis.collect.run.progress import ProgressReporter
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.norm import NormParameters
from benchmarks.tax import build_backbone

PRECISIONS = ("tf32", "bf16")
BLOCK_SCALE = 0.2
"""LayerScale of the random backbone; its default of 1e-5 would hide what blocks compute."""


def compare(exact: dict[Any, Any], other: dict[Any, Any]) -> dict[str, float]:
    """Return the median and the largest deviation of each statistic."""
    errors: dict[str, list[torch.Tensor]] = {"mean": [], "std": [], "max_abs": []}
    for layer, representations in exact.items():
        for representation, roles in representations.items():
            for role, cell in roles.items():
                mean, std, peak = (cell[name].double() for name in errors)
                scales = {"mean": (mean**2 + std**2).sqrt(), "std": std, "max_abs": peak}
                found = other[layer][representation][role]
                for name, scale in scales.items():
                    distance = (found[name].double() - cell[name].double()).abs()
                    errors[name].append(distance / scale.clamp(min=1e-12))
    result = {}
    for name, parts in errors.items():
        values = torch.cat(parts)
        result |= {f"{name} median": values.median().item(), f"{name} max": values.max().item()}
    return result


def run_project(project: Path, precision: str) -> dict[Any, Any]:
    """Return the layers of a project's payload."""
    with tempfile.TemporaryDirectory() as folder:
        request = ExtractionRequest(
            project_dir=project, precision=precision, output=Path(folder) / "x.pt", compile="off"
        )
        payload = collect_payload(plan_extraction(request), ProgressReporter(quiet=True))
    assert payload is not None
    return payload["layers"]


def run_random(name: str, pixels: torch.Tensor, precision: str) -> dict[Any, Any]:
    """Return the layers of a random backbone's statistics; `pixels` uint8 on the device."""
    backbone = build_backbone(name, str(pixels.device))
    for block in backbone.blocks:
        for scale in (block.ls1, block.ls2):
            scale.gamma.fill_(BLOCK_SCALE)  # pyright: ignore
    images = normalize_pixels(pixels, (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    collector = StatisticsCollector(
        backbone.depth, backbone.embed_dim, backbone.n_storage_tokens, pixels.device
    )
    for start in range(0, len(images), 8):
        part = images[start : start + 8]
        indices = torch.arange(start, start + len(part))
        collector.begin_batch(indices, torch.ones_like(indices, dtype=torch.bool))
        with enter_precision(precision, pixels.device):
            for layer, tokens in enumerate(backbone.forward_blocks(part), start=-1):
                with torch.autocast(pixels.device.type, enabled=False):
                    collector.observe(layer, tokens)
        collector.commit_batch()
    norm = NormParameters(backbone.norm.weight, backbone.norm.bias)
    layers = collector.finalize(norm).layers
    return {
        layer: {
            name: {role: vars(cell) for role, cell in roles.items()}
            for name, roles in names.items()
        }
        for layer, names in layers.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project-dir", type=Path, default=Path())
    parser.add_argument("--backbone", default="dinov3_vith16plus")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    files = sorted((arguments.project_dir / "data").rglob("*.jpg"))[:32]
    pixels = torch.stack([load_image(path, (960, 480)) for path in files]).cuda()
    report: dict[str, Any] = {"card": torch.cuda.get_device_name(), "torch": torch.__version__}
    with torch.inference_mode():
        exact = run_random(arguments.backbone, pixels, "fp32")
        for precision in PRECISIONS:
            other = run_random(arguments.backbone, pixels, precision)
            report[f"{arguments.backbone} random, {precision}"] = compare(exact, other)
    exact = run_project(arguments.project_dir, "fp32")
    for precision in PRECISIONS:
        report[f"demo, {precision}"] = compare(exact, run_project(arguments.project_dir, precision))
    for label, values in report.items():
        if isinstance(values, dict):
            print(f"{label:34}" + "  ".join(f"{k} {v:.1e}" for k, v in values.items()))
    if arguments.out:
        arguments.out.write_text(json.dumps(report, indent=2))


if __name__ == "__main__":
    main()
