"""Fixing channels equals a forward hook that does the same on another implementation."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.interventions.edit import Intervention, Means, run_from
from analysis.collect.interventions.request import ALL_TOKENS, Action, TokenKind
from analysis.errors import ConfigError
from tests.collect.backbone.test_parity import random_pixels, twin_of
from tests.factories.backbones import make_backbone

CHANNELS = (5, 17, 40)
DEPTH = 3
START = 1


@pytest.fixture(scope="module")
def backbone() -> DinoVisionTransformer:
    return make_backbone("dinov3_vits16", depth=DEPTH)


@pytest.fixture(scope="module")
def pixels() -> Tensor:
    return random_pixels(2, 48, 64)


def _means(backbone: DinoVisionTransformer) -> Means:
    generator = torch.Generator().manual_seed(3)
    shape = (backbone.depth, backbone.embed_dim)
    return {kind: torch.randn(shape, generator=generator) for kind in TokenKind}


def _plain(backbone: DinoVisionTransformer, pixels: Tensor) -> tuple[list[Tensor], Any]:
    with torch.inference_mode():
        _, *rotation = backbone.embed(pixels)
        return list(backbone.forward_blocks(pixels))[1:], tuple(rotation)


def _changed(
    backbone: DinoVisionTransformer, pixels: Tensor, intervention: Intervention
) -> list[Tensor]:
    outputs, rotation = _plain(backbone, pixels)
    return list(run_from(backbone, outputs, rotation, intervention, _means(backbone)))


def test_an_intervention_on_no_channel_changes_no_bit(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    outputs, _ = _plain(backbone, pixels)
    changed = _changed(backbone, pixels, Intervention(START, ()))
    assert len(changed) == DEPTH - START
    for ours, plain in zip(changed, outputs[START:], strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("hold", [True, False])
@pytest.mark.parametrize("action", list(Action))
@pytest.mark.parametrize("tokens", [ALL_TOKENS, (TokenKind.CLS,), (TokenKind.REGISTERS,)])
def test_it_equals_a_forward_hook_on_transformers(
    backbone: DinoVisionTransformer,
    pixels: Tensor,
    tokens: tuple[TokenKind, ...],
    action: Action,
    hold: bool,
) -> None:
    means = _means(backbone)
    reference = twin_of(backbone)
    places = {
        TokenKind.CLS: [0],
        TokenKind.REGISTERS: [1, 2, 3, 4],
        TokenKind.PATCHES: list(range(5, 5 + 3 * 4)),
    }
    seen: dict[int, Tensor] = {}

    def hook_of(layer: int) -> Any:
        def hook(_module: Any, _arguments: Any, output: Any) -> Any:
            hidden = (output[0] if isinstance(output, tuple) else output).clone()
            if layer == START or (hold and layer > START):
                for kind in tokens:
                    for channel in CHANNELS:
                        values = hidden[:, places[kind], channel]
                        if action is Action.ZERO:
                            values = torch.zeros_like(values)
                        elif action is Action.MEAN:
                            values = means[kind][layer, channel].expand_as(values)
                        else:
                            values = values.mean(dim=1, keepdim=True).expand_as(values)
                        hidden[:, places[kind], channel] = values
            seen[layer] = hidden
            return (hidden, *output[1:]) if isinstance(output, tuple) else hidden

        return hook

    layers = next(m for n, m in reference.named_modules() if n.endswith("layer"))
    handles = [
        layer.register_forward_hook(hook_of(index))
        for index, layer in enumerate(layers)  # pyright: ignore[reportArgumentType]
    ]
    with torch.inference_mode():
        reference(pixels)
    for handle in handles:
        handle.remove()
    ours = _changed(backbone, pixels, Intervention(START, CHANNELS, tokens, action, hold))
    for layer, changed in enumerate(ours, START):
        error = (changed - seen[layer]).norm() / seen[layer].norm()
        assert error < 1e-5, layer


def test_blocks_up_to_the_start_layer_are_not_run_again(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    outputs, rotation = _plain(backbone, pixels)
    calls: list[int] = []
    handles = [
        block.register_forward_hook(lambda *_, index=index: calls.append(index))
        for index, block in enumerate(backbone.blocks)
    ]
    changed = run_from(backbone, outputs, rotation, Intervention(START, (1,)), _means(backbone))
    assert len(list(changed)) == DEPTH - START
    for handle in handles:
        handle.remove()
    assert calls == list(range(START + 1, DEPTH))


def test_the_shared_outputs_stay_as_they_are(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    outputs, rotation = _plain(backbone, pixels)
    before = outputs[START].clone()
    list(run_from(backbone, outputs, rotation, Intervention(START, (1,)), _means(backbone)))
    assert torch.equal(outputs[START], before)


def test_means_that_the_payload_lacks_are_asked_for_in_words(
    backbone: DinoVisionTransformer, pixels: Tensor
) -> None:
    outputs, rotation = _plain(backbone, pixels)
    means = {TokenKind.PATCHES: torch.zeros(DEPTH, backbone.embed_dim)}
    intervention = Intervention(0, (1,), (TokenKind.PATCHES, TokenKind.REGISTERS))
    with pytest.raises(ConfigError, match="no means of the registers"):
        list(run_from(backbone, outputs, rotation, intervention, means))
