"""What the payload says is what the network's block outputs are, end to end."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from numpy.typing import NDArray
from PIL import Image
from skimage import data as photographs

from analysis.collect.backbone.head_file import ALLOWED
from analysis.collect.backbone.weights import load_backbone
from analysis.collect.images.batches import PastureDataModule, normalize_pixels
from analysis.collect.plan.request import ExtractionPlan, ExtractionRequest, plan_extraction
from analysis.collect.run.loop import FOOTPRINT_IMAGES, collect_payload
from analysis.collect.run.loop import collect as collect_both
from analysis.collect.run.network import FOOTPRINT_CHANNELS
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import AdapterError
from analysis.files.safe_load import load_torch_file
from analysis.payload.file import load_payload
from analysis.payload.schema import validate_payload
from tests.agreement import largest_difference
from tests.factories.backbones import make_backbone
from tests.factories.projects import make_project

Array = NDArray[np.float64]


def collect(
    project: Path, *, num_workers: int = 0, **changes: Any
) -> tuple[ExtractionPlan, dict[str, Any]]:
    request = ExtractionRequest(
        project_dir=project, device="cpu", num_workers=num_workers, **changes
    )
    plan = plan_extraction(request)
    payload = collect_payload(plan, ProgressReporter(quiet=True))
    assert payload is not None
    return plan, payload


def layer_norm(tokens: Array) -> Array:
    centred = tokens - tokens.mean(-1, keepdims=True)
    return centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)


def reference(plan: ExtractionPlan, batch_size: int) -> dict[tuple[int, str, str], Array]:
    """All tokens of every cell in float64, `[tokens, channels]`, from the same forward passes."""
    settings = plan.settings
    backbone, _ = load_backbone(settings.backbone_name, plan.weights.path)
    images = PastureDataModule(settings, plan.images, batch_size=batch_size, num_workers=0)
    gamma, beta = (p.detach().double().numpy() for p in (backbone.norm.weight, backbone.norm.bias))
    parts: dict[tuple[int, str], list[Array]] = {}
    for batch in images.train_batches():
        pixels = normalize_pixels(batch.pixels, settings.mean, settings.std)
        patches = math.prod(backbone.patch_grid(*pixels.shape[-2:]))
        with torch.inference_mode():
            for layer, tokens in enumerate(backbone.forward_blocks(pixels), start=-1):
                out = tokens.double().numpy()
                for role, part in (("cls", out[:, :1]), ("patch", out[:, -patches:])):
                    parts.setdefault((layer, role), []).append(part.reshape(-1, out.shape[-1]))
    cells = {}
    for (layer, role), arrays in parts.items():
        pre = np.concatenate(arrays)
        cells[layer, "pre", role] = pre
        cells[layer, "per_layer_ln", role] = layer_norm(pre)
        cells[layer, "global_ln", role] = layer_norm(pre) * gamma + beta
    return {key: cell for key, cell in cells.items() if key[0] >= 0}


def test_payload_equals_float64_statistics_of_the_block_outputs(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=7, lora=False)
    plan, payload = collect(project, batch_size=3)
    cells = reference(plan, batch_size=3)
    assert len(cells) == 3 * 2 * payload["meta"]["counts"]["num_layers"]
    for (layer, representation, role), tokens in cells.items():
        cell = payload["layers"][layer][representation][role]
        assert cell["count"] == len(tokens)
        mean, std, peak = tokens.mean(0), tokens.std(0), np.abs(tokens).max(0)
        # the measure of agreement: |Δmean| / rms, |Δstd| / std, |Δmax| / max per channel
        rms = np.sqrt(mean**2 + std**2)
        assert np.max(np.abs(cell["mean"].numpy() - mean) / rms) < 1e-5
        assert np.max(np.abs(cell["std"].numpy() - std) / std) < 1e-5
        assert np.max(np.abs(cell["max_abs"].numpy() - peak) / peak) < 1e-5


def test_footprints_are_of_the_channels_that_were_largest_on_the_first_images(
    tmp_path: Path,
) -> None:
    project = make_project(tmp_path, images=7, lora=False)
    plan, payload = collect(project, batch_size=3)
    rows, columns = payload["extras"]["images"]["grid"]
    for (layer, representation, role), tokens in reference(plan, batch_size=3).items():
        if (representation, role) != ("pre", "patch"):
            continue
        magnitudes = np.abs(tokens).reshape(7, rows, columns, -1)
        footprint = payload["extras"]["layers"][layer]["footprint"]
        channels = footprint["channels"].tolist()
        peaks = magnitudes[:FOOTPRINT_IMAGES].max((0, 1, 2))
        assert channels == np.argsort(-peaks)[:FOOTPRINT_CHANNELS].tolist()
        expected = magnitudes.mean(0)[..., channels].transpose(2, 0, 1)
        np.testing.assert_allclose(footprint["mean_abs"], expected, rtol=1e-5)


def test_batch_size_does_not_change_the_numbers(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=7)
    _, one = collect(project, batch_size=1)
    _, all_at_once = collect(project, batch_size=7)
    for layer, representations in one["layers"].items():
        for representation, roles in representations.items():
            for role, cell in roles.items():
                other = all_at_once["layers"][layer][representation][role]
                assert cell["count"] == other["count"]
                rms = (cell["mean"] ** 2 + cell["std"] ** 2).sqrt()
                # the network itself, in float32, sums in another order at another batch size
                assert float(((cell["mean"] - other["mean"]).abs() / rms).max()) < 5e-5


def test_counts_follow_from_the_images(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=5, size=(64, 32))
    _, payload = collect(project, batch_size=2)
    counts = payload["meta"]["counts"]
    assert (counts["num_images"], counts["num_batches"]) == (5, 3)
    cell = payload["layers"][0]["pre"]
    assert (cell["cls"]["count"], cell["patch"]["count"]) == (5, 5 * 4 * 2)


def test_max_images_takes_the_first_of_the_sorted_list(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=5)
    plan, payload = collect(project, max_images=2)
    everything = plan_extraction(ExtractionRequest(project_dir=project))
    assert payload["meta"]["counts"]["num_images"] == 2
    assert plan.images.entries == everything.images.entries[:2]


def test_adapter_changes_the_numbers_and_the_proof_says_how_much(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    _, adapted = collect(project)
    _, frozen = collect(project, head_weights="none")
    assert adapted["meta"]["backbone"]["used_lora"] is True
    assert frozen["meta"]["backbone"]["used_lora"] is False
    assert frozen["meta"]["backbone"]["head_weights_base"] is None
    proof = adapted["meta"]["run"]["lora_proof"]
    assert len(proof) == adapted["meta"]["counts"]["num_layers"]
    assert proof[-1] > 0
    last = max(adapted["layers"])
    with_adapter = adapted["layers"][last]["pre"]["patch"]["mean"]
    assert not torch.allclose(with_adapter, frozen["layers"][last]["pre"]["patch"]["mean"])


def test_adapter_is_recorded_with_its_rank_reach_and_source(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    plan, payload = collect(project)
    recorded = payload["meta"]["run"]["adapter"]
    content = load_torch_file(plan.head_path, kind="head", error=AdapterError, allowed=ALLOWED)  # pyright: ignore[reportArgumentType]
    tensors = content["peft"]["state_dict"]
    assert recorded["method"] == "LoRA"
    assert recorded["rank"] == content["peft"]["config"]["r"]
    assert recorded["alpha"] == content["peft"]["config"]["lora_alpha"]
    assert recorded["parameters"] == sum(tensor.numel() for tensor in tensors.values())
    assert recorded["modules"] == len(tensors) / 2
    assert recorded["source"] == str(plan.head_path)
    _, frozen = collect(project, head_weights="none")
    assert frozen["meta"]["run"]["adapter"] is None


def test_missing_head_is_a_warning_where_the_config_enables_an_adapter(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project(tmp_path, lora=False, changes={"peft.enabled": True})
    _, payload = collect(project)
    assert any("no head was found" in text for text in payload["meta"]["run"]["warnings"])
    assert any("no head was found" in record.message for record in caplog.records)
    _, frozen = collect(project, head_weights="none")
    assert not any("no head" in text for text in frozen["meta"]["run"]["warnings"])


def test_weights_without_registers_are_measured_by_their_key(tmp_path: Path) -> None:
    project = make_project(tmp_path, lora=False)
    (path,) = (project / "weights").glob("*.pth")
    state = load_torch_file(path, kind="weights", error=AdapterError)
    bare = {k: v + 0 for k, v in state.items() if "storage" not in k and "bias_mask" not in k}
    path.unlink()  # the tensors above are mapped from the file
    torch.save({"student": bare, "teacher": {k: v * 0 + 1 for k, v in bare.items()}}, path)
    _, payload = collect(project, weights_key="student")
    assert payload["meta"]["counts"]["n_storage_tokens"] == 0
    assert payload["meta"]["run"]["weights_format"] == "official without bias mask under student."
    assert "0 storage tokens" in " ".join(payload["meta"]["run"]["warnings"])
    assert payload["layers"][0]["pre"]["patch"]["mean"].isfinite().all()


def test_broken_adapter_measures_the_frozen_backbone_and_says_so(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    project = make_project(tmp_path)
    head = project / "weights" / "head" / "infer_head.pt"
    content = load_torch_file(head, kind="head", error=AdapterError, allowed=ALLOWED)
    state = content["peft"]["state_dict"]
    name = next(iter(state))
    state[name] = state[name][:1]
    # not in place: the tensors above are mapped from the file
    torch.save(content, head.with_suffix(".new"))
    head.with_suffix(".new").replace(head)
    _, payload = collect(project)
    _, frozen = collect(project, head_weights="none")
    backbone = payload["meta"]["backbone"]
    assert backbone["used_lora"] is False
    assert "infer_head.pt" in backbone["lora_error"]
    assert name.split(".", 2)[-1] in backbone["lora_error"]
    assert any("NOT LOADED" in record.message for record in caplog.records)
    torch.testing.assert_close(
        payload["layers"][0]["pre"]["patch"]["mean"], frozen["layers"][0]["pre"]["patch"]["mean"]
    )


def test_payload_of_a_run_is_valid_and_of_plain_types(tmp_path: Path) -> None:
    _, payload = collect(make_project(tmp_path))
    validate_payload(payload, Path("stats.pt"))

    def check(value: Any) -> None:
        assert type(value) in (dict, list, str, int, float, bool, type(None), torch.Tensor)
        for child in value.values() if isinstance(value, dict) else ():
            check(child)
        for child in value if isinstance(value, list) else ():
            check(child)

    check(payload)


def test_without_extras_only_the_specified_keys_are_written(tmp_path: Path) -> None:
    _, payload = collect(make_project(tmp_path), extras=False)
    assert set(payload) == {"meta", "layers"}


class _Enough(ProgressReporter):
    """Asks to finish once `images` are counted."""

    def __init__(self, images: int) -> None:
        super().__init__(quiet=True)
        self.images = images

    def advance(self, images: int) -> None:
        super().advance(images)
        self.finish_early = self.progress.done >= self.images


def test_finishing_early_keeps_what_was_counted_and_says_so(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=6)
    _, first_four = collect(project, max_images=4, batch_size=2)
    request = ExtractionRequest(project_dir=project, device="cpu", batch_size=2, num_workers=0)
    payload, vectors = collect_both(plan_extraction(request), _Enough(3)) or ({}, None)
    assert vectors is not None
    assert vectors.images.tolist() == [0, 1, 2, 3]
    assert payload["meta"]["counts"]["num_images"] == 4
    assert largest_difference(first_four, payload) == 0
    assert any("4 of 6 images" in text for text in payload["meta"]["run"]["warnings"])


def test_preview_is_a_valid_payload_of_what_was_counted_so_far(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=6)
    preview = tmp_path / "preview.pt"
    collect(
        project,
        batch_size=2,
        checkpoint_every=0.0,
        output=tmp_path / "stats.pt",
        preview=preview,
    )
    payload = load_payload(preview)
    assert payload["meta"]["counts"]["num_images"] == 6
    assert any("Partial" in text for text in payload["meta"]["run"]["warnings"])


@pytest.fixture(scope="module")
def real_photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project dir on the photographs that scikit-image ships, with a released-size ViT-S."""
    project = tmp_path_factory.mktemp("photographs")
    for folder in ("configs", "data", "weights"):
        (project / folder).mkdir()
    names = ("astronaut", "camera", "chelsea", "coffee", "rocket", "coins", "page", "text")
    for name in names:
        Image.fromarray(getattr(photographs, name)()).save(project / "data" / f"{name}.png")
    torch.save(make_backbone("dinov3_vits16").state_dict(), project / "weights/dinov3_vits16.pt")
    config = {
        "version": "photographs",
        "data": {"root": "data", "train_csv": None, "image_size": [224, 160]},
        "model": {"backbone": "dinov3_vits16"},
        "train_all": {"enabled": True},
    }
    (project / "configs" / "train.yaml").write_text(yaml.safe_dump(config))
    return project


def test_real_photographs_obey_the_laws_of_layer_norm(real_photographs: Path) -> None:
    _, payload = collect(real_photographs)
    assert payload["meta"]["counts"]["num_images"] == 8
    for layer, representations in payload["layers"].items():
        assert representations["pre"]["patch"]["count"] == 8 * 14 * 10
        for role in ("cls", "patch"):
            normed = representations["per_layer_ln"][role]
            # every token has mean 0 and second moment 1 over its channels (but for the epsilon)
            second_moment = (normed["mean"] ** 2 + normed["std"] ** 2).double().mean()
            assert float(normed["mean"].double().mean()) == pytest.approx(0, abs=1e-5)
            assert float(second_moment) == pytest.approx(1, abs=1e-3), (layer, role)
            pre = representations["pre"][role]
            for statistic in ("mean", "std", "max_abs"):
                assert torch.isfinite(pre[statistic]).all()
            assert (pre["max_abs"] * (1 + 1e-6) >= pre["mean"].abs()).all()
