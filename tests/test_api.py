"""A user's own model and loader give the payload that the command line would write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from analysis import compare, extract, load_payload, save_payload
from analysis.collect.statistics.collector import NormParameters, StatisticsCollector
from analysis.errors import PayloadError
from tests.agreement import largest_difference
from tests.factories.backbones import make_backbone


def batches(*sizes: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(0)
    return [torch.randn(size, 3, 32, 48, generator=generator) for size in sizes]


def collected_directly(model: Any, images: list[Tensor]) -> dict[int, Any]:
    """What the collector says of the same block outputs, fed by hand."""
    collector = StatisticsCollector(model.depth, model.embed_dim, 4, "cpu")
    first = 0
    with torch.inference_mode():
        for batch in images:
            collector.begin_batch(
                torch.arange(first, first + len(batch)), torch.ones(len(batch), dtype=torch.bool)
            )
            for layer, tokens in enumerate(model.forward_blocks(batch), start=-1):
                collector.observe(layer, tokens)
            collector.commit_batch()
            first += len(batch)
    norm = NormParameters(model.norm.weight.detach(), model.norm.bias.detach())
    statistics = collector.finalize(norm)
    return {
        layer: {
            name: {role: vars(cell) for role, cell in roles.items()} for name, roles in reps.items()
        }
        for layer, reps in statistics.layers.items()
    }


def test_hooks_measure_what_the_forward_loop_measures() -> None:
    model = make_backbone("tiny")
    images = batches(3, 2)
    payload = extract(model, images, blocks=list(model.blocks), norm=model.norm, n_storage_tokens=4)
    assert payload["meta"]["counts"]["num_images"] == 5
    assert largest_difference({"layers": collected_directly(model, images)}, payload) == 0


@pytest.mark.parametrize(
    "wrap",
    [
        pytest.param(lambda images: (images, torch.zeros(1)), id="tuple"),
        pytest.param(lambda images: {"image": images, "id": "x"}, id="dict"),
    ],
)
def test_batches_may_be_what_data_loaders_yield(wrap: Any) -> None:
    model = make_backbone("tiny")
    blocks = list(model.blocks)
    plain = extract(model, batches(2), blocks=blocks, norm=model.norm, n_storage_tokens=4)
    wrapped = [wrap(images) for images in batches(2)]
    other = extract(model, wrapped, blocks=blocks, norm=model.norm, n_storage_tokens=4)
    assert largest_difference(plain, other) == 0


def test_any_model_whose_blocks_return_tokens_will_do(tmp_path: Path) -> None:
    class Plain(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Conv2d(3, 24, 16, 16)
            layer = nn.TransformerEncoderLayer(24, 4, 48, batch_first=True, norm_first=True)
            self.encoder = nn.TransformerEncoder(layer, 3, enable_nested_tensor=False)

        def forward(self, images: Tensor) -> Tensor:
            return self.encoder(self.embed(images).flatten(2).transpose(1, 2))

    model = Plain().train()
    payload = extract(model, batches(2, 2), blocks=list(model.encoder.layers), version="mine")
    save_payload(payload, str(tmp_path / "mine.pt"))
    assert load_payload(tmp_path / "mine.pt")["meta"]["counts"]["num_layers"] == 3
    assert model.training
    assert not any(layer._forward_hooks for layer in model.encoder.layers)


def test_every_module_is_left_in_the_mode_that_it_was_in() -> None:
    model = make_backbone("tiny").train()
    model.blocks[0].eval()
    before = [module.training for module in model.modules()]
    extract(model, batches(1), blocks=list(model.blocks), n_storage_tokens=4)
    assert [module.training for module in model.modules()] == before


def test_a_block_that_does_not_run_is_an_error() -> None:
    model = make_backbone("tiny")
    with pytest.raises(ValueError, match="no block ran"):
        extract(model, batches(1), blocks=[nn.Identity()], n_storage_tokens=4)


def test_no_batch_is_an_error() -> None:
    model = make_backbone("tiny")
    with pytest.raises(ValueError, match="no batch"):
        extract(model, [], blocks=list(model.blocks))


def test_comparison_of_a_payload_with_itself_shows_no_drift() -> None:
    model = make_backbone("tiny")
    payload = extract(model, batches(2), blocks=list(model.blocks), n_storage_tokens=4)
    drift = compare(payload, payload).drift
    assert drift is not None
    assert drift.max() == 0


def test_load_payload_refuses_other_files(tmp_path: Path) -> None:
    (tmp_path / "stats.pt").write_bytes(b"no payload")
    with pytest.raises(PayloadError, match=r"stats\.pt"):
        load_payload(str(tmp_path / "stats.pt"))


@pytest.mark.parametrize("key", ["image", "images", "pixel_values", "x", "of_my_own"])
def test_images_are_found_in_a_dict_beside_other_values(key: str) -> None:
    model = make_backbone("dinov3_vitt16_demo", seed=1)
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    bare = extract(model, [pixels], blocks=list(model.blocks), norm=model.norm, extras=False)
    batch = {"target": torch.zeros(2, 3), "path": ["a", "b"], key: pixels}
    found = extract(model, [batch], blocks=list(model.blocks), norm=model.norm, extras=False)
    assert torch.equal(
        bare["layers"][3]["pre"]["patch"]["mean"], found["layers"][3]["pre"]["patch"]["mean"]
    )


@pytest.mark.parametrize(
    ("batch", "said"),
    [
        ({"target": torch.zeros(2, 3)}, "target"),
        ({}, "dict"),
        ([], "list"),
        ("a.jpg", "str"),
        (torch.zeros(3, 32, 32), r"\[3, 32, 32\]"),
        (torch.zeros(2, 3, 32, 32, dtype=torch.uint8), r"\[2, 3, 32, 32\]"),
    ],
)
def test_a_batch_without_images_is_said_in_words(batch: object, said: str) -> None:
    model = make_backbone("dinov3_vitt16_demo", seed=1)
    with pytest.raises(ValueError, match=said):
        extract(model, [batch], blocks=list(model.blocks), norm=model.norm)


@pytest.mark.parametrize("eps", [1e-6, 1e-12])
def test_a_norm_of_another_epsilon_is_measured_and_said(eps: float) -> None:
    model = make_backbone("dinov3_vitt16_demo", seed=1)
    pixels = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    norm = torch.nn.LayerNorm(192, eps=eps)
    tokens: list[torch.Tensor] = []
    model.blocks[3].register_forward_hook(lambda _m, _i, out: tokens.append(out.clone()))
    payload: Any = extract(model, [pixels], blocks=list(model.blocks), norm=norm, extras=False)
    with torch.inference_mode():
        exact = norm(tokens[0])[:, 0].double().mean(0)
    found = payload["layers"][3]["global_ln"]["cls"]["mean"].double()
    largest = (1e-5 - eps) / 2 / float(tokens[0][:, 0].var(-1).min())
    assert float((found - exact).abs().max()) < 10 * largest + 1e-5
    assert str(eps) in payload["meta"]["run"]["warnings"][0]
