"""Sentences about interventions follow the controls, never the effect alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.payload.intervention_file import Arm, InterventionResult
from analysis.read.interventions import (
    describe,
    final_effect,
    largest_image,
    over_depth,
    sweep_map,
    tabulate_final,
)
from analysis.vocabulary import TokenRole
from tests.payload.test_intervention_file import make_result

PATCH = TokenRole.PATCH


def _with_final(effects: list[float], arms: list[Arm]) -> InterventionResult:
    """Build a result whose arms move both final vectors of two images by `effects`."""
    relative = np.repeat(np.array(effects, dtype=np.float32), 4).reshape(len(arms), 2, 2)
    return replace(make_result(len(arms)), arms=tuple(arms), final_relative=relative)


def _one(effect: float, controls: list[float]) -> InterventionResult:
    arms = [Arm(1, (5,), False), *(Arm(1, (9,), True) for _ in controls)]
    return _with_final([effect, *controls], arms)


@pytest.mark.parametrize(
    ("effect", "controls", "words"),
    [
        (0.30, [0.01, 0.02], "matter more than random ones"),
        (0.015, [0.01, 0.02], "no more than random channels do"),
        (0.005, [0.001, 0.002], "more than random channels, and negligible"),
        (0.30, [], "no control to compare with"),
    ],
)
def test_a_channel_matters_only_beyond_every_control(
    effect: float, controls: list[float], words: str
) -> None:
    sentences = describe(_one(effect, controls))
    assert len(sentences) == 2
    assert all(words in sentence for sentence in sentences)


def test_the_effect_is_the_mean_over_images_and_names_the_largest() -> None:
    result = make_result()
    effect = final_effect(result, PATCH)
    assert effect.relative == pytest.approx(result.final_relative[0, :, 1].mean())
    np.testing.assert_allclose(effect.controls, result.final_relative[1:, :, 1].mean(axis=1))
    name, largest = largest_image(result, PATCH)
    assert largest == result.final_relative[0, :, 1].max()
    assert name == result.images[int(result.final_relative[0, :, 1].argmax())]


def test_a_curve_begins_at_the_start_layer_and_has_its_controls() -> None:
    result = make_result(arms=3, layers=4)
    curve = over_depth(result, PATCH, "cosine")
    assert curve.layers.tolist() == [1, 2, 3]
    np.testing.assert_allclose(curve.chosen, result.cosine[0, :, 1:, 1].mean(axis=0))
    np.testing.assert_allclose(curve.controls, result.cosine[1:, :, 1:, 1].mean(axis=1))


def test_a_sweep_is_a_map_of_channels_by_start_layers_beside_its_controls() -> None:
    chosen = [Arm(layer, (channel,), False) for channel in (7, 3) for layer in (0, 1)]
    controls = [Arm(layer, (9,), True) for layer in (0, 1)]
    result = _with_final([0.5, 0.1, 0.02, 0.01, 0.05, 0.04], [*chosen, *controls])
    channels, layers, found, limit = sweep_map(result, PATCH)
    assert (channels, layers) == ([7, 3], [0, 1])
    np.testing.assert_allclose(found, [[0.5, 0.1], [0.02, 0.01]], rtol=1e-6)
    np.testing.assert_allclose(limit, [0.05, 0.04], rtol=1e-6)
    assert all("beyond random channels and 1%: 7." in sentence for sentence in describe(result))
    assert len(tabulate_final(result)) == 8


def test_a_sweep_within_its_controls_names_no_channel() -> None:
    arms = [Arm(0, (7,), False), Arm(1, (7,), False), Arm(0, (9,), True), Arm(1, (9,), True)]
    result = _with_final([0.5, 0.1, 0.6, 0.2], arms)
    assert all("no channel exceeds" in sentence for sentence in describe(result))
