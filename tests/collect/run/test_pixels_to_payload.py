"""From JPEG files to the payload, against an independent network on independent pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
import yaml
from PIL import Image

from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.run.loop import collect_payload
from analysis.collect.run.progress import ProgressReporter
from tests.collect.backbone.test_parity import twin_of
from tests.factories.backbones import make_backbone
from tests.factories.projects import make_photograph

BOUND = 5e-5
SIZE = (96, 64)
IMAGENET = np.array([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])


def test_jpeg_to_payload_equals_a_float64_network_on_pillows_pixels(tmp_path: Path) -> None:
    # Shrunk by two and more: there the resizing of another library moved a std by 1e-3.
    backbone = make_backbone("dinov3_vits16").requires_grad_(False)
    for folder in ("configs", "data", "weights"):
        (tmp_path / folder).mkdir()
    for number, size in enumerate([(230, 150), (192, 128), (401, 333)]):
        path = tmp_path / "data" / f"{number}.jpg"
        make_photograph(*size, seed=number).save(path, quality=90)
    torch.save(backbone.state_dict(), tmp_path / "weights/dinov3_vits16.pt")
    config = {
        "data": {"root": "data", "train_csv": None, "image_size": list(SIZE)},
        "model": {"backbone": "dinov3_vits16"},
        "train_all": {"enabled": True},
    }
    (tmp_path / "configs/train.yaml").write_text(yaml.safe_dump(config))
    request = ExtractionRequest(
        project_dir=tmp_path, device="cpu", precision="fp32", num_workers=0, batch_size=2
    )
    payload = collect_payload(plan_extraction(request), ProgressReporter(quiet=True))
    assert payload is not None

    pixels = []
    for path in sorted((tmp_path / "data").iterdir()):
        with Image.open(path) as image:
            levels = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC))
        pixels.append(((levels / 255.0 - IMAGENET[0]) / IMAGENET[1]).transpose(2, 0, 1))
    twin = twin_of(backbone).double()
    with torch.inference_mode():
        hidden = twin(torch.tensor(np.stack(pixels)), output_hidden_states=True).hidden_states
    for layer, tokens in enumerate(hidden[1:]):
        assert tokens.dtype == torch.float64
        for role, part in (("cls", tokens[:, :1]), ("patch", tokens[:, 5:])):
            normed = torch.nn.functional.layer_norm(part, part.shape[-1:], eps=1e-5)
            shared = normed * backbone.norm.weight.double() + backbone.norm.bias.double()
            for name, values in (("pre", part), ("per_layer_ln", normed), ("global_ln", shared)):
                found = payload["layers"][layer][name][role]
                rows = values.flatten(0, 1).numpy()
                assert found["count"] == len(rows)
                mean, std, peak = rows.mean(0), rows.std(0), np.abs(rows).max(0)
                rms = np.sqrt(mean**2 + std**2)
                rms = np.maximum(rms, np.median(rms) / 10)  # channels that are nearly zero
                where = (layer, name, role)
                assert (np.abs(found["mean"].numpy() - mean) / rms).max() < BOUND, where
                assert (np.abs(found["std"].numpy() - std) / rms).max() < BOUND, where
                assert (np.abs(found["max_abs"].numpy() - peak) / rms).max() < BOUND, where
