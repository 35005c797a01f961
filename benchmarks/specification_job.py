"""The whole job by the specification's algorithm: ``python -m benchmarks.specification_job``.

A process of its own, from the command to the saved sums, to stand beside ours in
`benchmarks.whole_job`. It decodes with our worker processes, which is to its advantage.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from analysis.collect.backbone.weights import load_backbone
from analysis.collect.images.batches import PastureDataModule, normalize_pixels
from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.run.devices import choose_device, enter_precision
from benchmarks.specification import SpecificationSums


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project-dir", type=Path, required=True)
    parser.add_argument("--images", type=int, required=True)
    parser.add_argument("--batch-size", type=int, required=True)
    parser.add_argument("--precision", choices=("fp32", "bf16"), required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    plan = plan_extraction(
        ExtractionRequest(
            project_dir=arguments.project_dir, max_images=arguments.images, head_weights="none"
        )
    )
    settings = plan.settings
    device = choose_device("auto")
    backbone, _ = load_backbone(settings.backbone_name, plan.weights.path, device)
    data = PastureDataModule(
        settings, plan.images, batch_size=arguments.batch_size, pin_memory=device.type == "cuda"
    )
    sums = SpecificationSums()
    with torch.inference_mode(), enter_precision(arguments.precision, device):
        for batch in data.train_batches():
            pixels = normalize_pixels(batch.pixels.to(device), settings.mean, settings.std)
            sums.add(backbone, list(backbone.forward_blocks(pixels))[1:])
    torch.save(sums.sums, arguments.out)


if __name__ == "__main__":
    main()
