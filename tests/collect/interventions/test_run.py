"""The channel that a network depends on is found, and random channels are not."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer, LayerScale, Mlp
from analysis.collect.interventions.edit import Intervention
from analysis.collect.interventions.request import Action, TokenKind
from analysis.collect.interventions.run import measure_interventions
from analysis.errors import ConfigError
from tests.collect.backbone.test_parity import random_pixels
from tests.factories.backbones import OUTLIER_CHANNELS, make_backbone, tiny_variant

LOAD_BEARING = 11
READER = 2


def make_dependent_network() -> DinoVisionTransformer:
    """Build a network in which block `READER` alone reads channel `LOAD_BEARING`."""
    backbone = make_backbone(tiny_variant(depth=4), seed=2)
    with torch.no_grad():
        for name, parameter in backbone.named_parameters():
            if name.endswith(("ls1.gamma", "ls2.gamma")):
                parameter.zero_()
        mlp = backbone.blocks[READER].mlp
        assert isinstance(mlp, Mlp)
        for parameter in mlp.parameters():
            parameter.zero_()
        mlp.fc1.weight[0, LOAD_BEARING] = 1
        mlp.fc2.weight[:, 0] = 1
        mlp.fc2.weight[LOAD_BEARING, 0] = 0
        scale = backbone.blocks[READER].ls2
        assert isinstance(scale, LayerScale)
        scale.gamma.fill_(3)
    return backbone


def _measure(backbone: DinoVisionTransformer, arms: list[Intervention], pixels: Tensor):
    means = {kind: torch.zeros(backbone.depth, backbone.embed_dim) for kind in TokenKind}
    return measure_interventions(backbone, pixels.split(2), arms, means, num_images=len(pixels))


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return random_pixels(3, 48, 64)


def test_a_load_bearing_channel_changes_the_rest_from_the_block_that_reads_it(
    pixels: Tensor,
) -> None:
    backbone = make_dependent_network()
    massive = (LOAD_BEARING, *OUTLIER_CHANNELS)  # a massive one moves every LayerNorm
    others = [c for c in range(backbone.embed_dim) if c not in massive][:10]
    arms = [Intervention(0, (c,), action=Action.ZERO) for c in (LOAD_BEARING, *others)]
    found = _measure(backbone, arms, pixels).arrays["relative"]
    patches = found[0, :, :, 1]
    assert (patches[:, :READER] == 0).all()
    assert (patches[:, READER:] > 10 * found[1:, :, READER:, 1].max()).all()


def test_measures_equal_float64_arithmetic_on_the_outputs(pixels: Tensor) -> None:
    backbone = make_backbone(tiny_variant(depth=3), seed=4)
    arm = Intervention(1, (3, 8), (TokenKind.PATCHES,), Action.ZERO, hold=False)
    found = _measure(backbone, [arm], pixels)
    with torch.inference_mode():
        plain = [t.double().numpy() for t in backbone.forward_blocks(pixels)][1:]
        _, *rotation = backbone.embed(pixels)
        edited = torch.from_numpy(plain[1]).float()
        edited[:, backbone.n_prefix_tokens :, [3, 8]] = 0
        last = backbone.blocks[2](edited, *rotation)
        changed = last.double().numpy()
        final = backbone.apply_norm(last).double().numpy()
    kept = np.delete(np.arange(backbone.embed_dim), [3, 8])
    rows = slice(backbone.n_prefix_tokens, None)
    new, old = changed[:, rows][..., kept], plain[2][:, rows][..., kept]
    relative = np.sqrt(((new - old) ** 2).sum((1, 2)) / (old**2).sum((1, 2)))
    cosine = (new * old).sum(-1) / np.linalg.norm(new, axis=-1) / np.linalg.norm(old, axis=-1)
    norm = np.linalg.norm(changed[:, rows], axis=-1).mean(1)
    norm /= np.linalg.norm(plain[2][:, rows], axis=-1).mean(1)
    arrays = found.arrays
    np.testing.assert_allclose(arrays["relative"][0, :, 2, 1], relative, rtol=1e-4)
    np.testing.assert_allclose(arrays["cosine"][0, :, 2, 1], cosine.mean(1), rtol=1e-5)
    np.testing.assert_allclose(arrays["token_norm"][0, :, 2, 1], norm, rtol=1e-5)
    assert np.isnan(arrays["relative"][0, :, 0]).all()
    assert found.final is not None
    np.testing.assert_allclose(found.final[1, :, 1], final[:, rows].mean(1), atol=1e-5)
    np.testing.assert_allclose(found.final[1, :, 0], final[:, 0], atol=1e-5)


@pytest.mark.parametrize(
    ("arm", "words"),
    [(Intervention(9, (1,)), "layers 0 to 3"), (Intervention(0, (999,)), "channels 0 to")],
)
def test_what_the_backbone_lacks_is_refused_before_anything_runs(
    arm: Intervention, words: str, pixels: Tensor
) -> None:
    with pytest.raises(ConfigError, match=words):
        _measure(make_dependent_network(), [arm], pixels)
