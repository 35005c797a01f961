"""Laws of the training data and of what is measured; and the whole run, very small."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.adapters import attach_adapter, measure_lora_proof
from analysis.collect.backbone.head_file import read_head
from analysis.collect.backbone.weights import load_backbone
from demo.backbone import random_backbone
from demo.biomass import biomass
from demo.collection import Collection, biomass_of, draw_batch, label
from demo.heads import BACKBONE, WEIGHTS_NAME
from demo.learning import QuadratHead, Schedule, learn
from demo.measuring import r_squared
from demo.quadrats import FRAME
from demo.train import add_arguments, train


def _coded_collection(seed: int) -> Collection:
    """Pictures whose brightness is their cover code, so that labels can be read off the pixels."""
    generator = torch.Generator().manual_seed(seed)
    blocks = torch.randint(4, (5, 60, 120), generator=generator, dtype=torch.uint8)
    cover = blocks.repeat_interleave(4, 1).repeat_interleave(4, 2)
    return Collection((cover * 60)[..., None].expand(-1, -1, -1, 3).contiguous(), cover)


def _brightness(images: Tensor) -> Tensor:
    """Mean of each patch's first channel, [B, patches]; affine in what it was before."""
    return torch.nn.functional.avg_pool2d(images[:, :1], 16).flatten(1)


@pytest.mark.parametrize("shape", [(240, 480), (112, 160), (64, 64)])
def test_labels_of_a_crop_line_up_with_its_pixels(shape: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(0)
    batch = draw_batch(_coded_collection(1), 6, shape, generator)
    assert batch.images.shape == (6, 3, *shape)
    expected = batch.patch_shares @ torch.arange(4.0)
    for seen, said in zip(_brightness(batch.images), expected, strict=True):
        assert np.corrcoef(seen, said)[0, 1] > 0.9999


def test_crops_differ_and_are_the_same_for_the_same_generator() -> None:
    collection = _coded_collection(1)
    first, second, other = (
        draw_batch(collection, 4, (64, 64), torch.Generator().manual_seed(seed))
        for seed in (0, 0, 1)
    )
    torch.testing.assert_close(first.images, second.images, rtol=0, atol=0)
    assert not torch.equal(first.patch_shares, other.patch_shares)
    assert not torch.equal(first.patch_shares[0], first.patch_shares[1])


def test_what_the_frame_hides_counts_for_nothing() -> None:
    cover = torch.full((1, 32, 32), FRAME, dtype=torch.uint8)
    cover[0, :16, :8] = 2
    cover[0, 16:, 16:] = 1
    batch = label(torch.zeros(1, 3, 32, 32), cover)
    torch.testing.assert_close(batch.patch_weights[0], torch.tensor([0.5, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(batch.patch_shares[0, 0], torch.tensor([0.0, 0.0, 1.0, 0.0]))
    torch.testing.assert_close(batch.patch_shares[0, 1], torch.zeros(4))
    torch.testing.assert_close(batch.shares[0], torch.tensor([0.0, 2 / 3, 1 / 3, 0.0]))


def test_biomass_is_the_same_for_training_and_table() -> None:
    shares = np.random.default_rng(0).dirichlet(np.ones(4), 50)
    np.testing.assert_allclose(
        biomass_of(torch.from_numpy(shares)).numpy(), biomass(shares), rtol=1e-6
    )


def test_r_squared_is_one_for_the_truth_and_zero_for_its_mean() -> None:
    truth = np.random.default_rng(0).normal(size=(30, 2))
    np.testing.assert_allclose(r_squared(truth, truth), 1)
    np.testing.assert_allclose(r_squared(truth, np.tile(truth.mean(0), (30, 1))), 0, atol=1e-12)
    assert (r_squared(truth, -truth) < 0).all()


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("trained")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    small = "--device cpu --workers 1 --images 5 --steps 2 --adapter-steps 2 --batch-tokens 256"
    assert train(parser.parse_args(small.split()), out) == 3, "so short a run misses its promises"
    return out


def test_learning_again_gives_the_same_parameters_bit_by_bit() -> None:
    def parameters() -> dict[str, Tensor]:
        torch.manual_seed(1)
        backbone, head = random_backbone(), QuadratHead(192)
        schedule = Schedule(steps=3, batch_tokens=128, learning_rate=1e-3)
        learn(backbone, head, _coded_collection(1), schedule, seed=2, name="again")
        return {**backbone.state_dict(), **head.state_dict()}

    first, again = parameters(), parameters()
    started_from = random_backbone().state_dict()
    assert not torch.equal(first["cls_token"], started_from["cls_token"])
    for name, tensor in first.items():
        assert torch.equal(tensor, again[name]), name


def test_a_head_file_holds_half_precision(trained: Path) -> None:
    for folder in ("head", "head_winter"):
        head = read_head(trained / folder / "infer_head.pt")
        assert head.peft_state
        assert {tensor.dtype for tensor in head.peft_state.values()} == {torch.float16}


def test_a_run_leaves_files_that_the_product_reads(trained: Path) -> None:
    config = {"model": {"backbone": BACKBONE}, "peft": {"r": 8, "target_modules": ["qkv"]}}
    pixels = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    for folder in ("head", "head_winter"):
        backbone, state = attach_adapter(
            lambda: load_backbone(BACKBONE, trained / WEIGHTS_NAME)[0],
            trained / folder / "infer_head.pt",
            config,
        )
        assert state.used_lora, state.lora_error
        assert not state.warnings
        assert max(measure_lora_proof(backbone, pixels)) > 1e-4


def test_a_run_that_misses_its_promises_says_so_in_metrics_and_card(trained: Path) -> None:
    metrics = json.loads((trained / "metrics.json").read_text(encoding="utf-8"))
    card = (trained / "README.md").read_text(encoding="utf-8")
    assert any("R² of Dry_Dead_g in autumn" in failure for failure in metrics["failed_checks"])
    for failure in metrics["failed_checks"]:
        assert failure in card
    assert "not Meta's weights" in card
    assert "planted" in card
