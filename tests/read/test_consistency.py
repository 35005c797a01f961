"""Laws between statistics and extras: each with the planted fault that it catches."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from analysis.payload.reading import build_reading
from analysis.read.consistency import check_reading
from tests.factories.payloads import make_payload

NORM = "global LN follows from per-layer LN"
GROUPS = "image groups make up the whole"
RANGE = "max |x| is an end of the range"
EMBEDDING = "layer 0 follows the embedding"

Payload = dict[str, Any]


def _failed(payload: Payload) -> set[str]:
    checks = check_reading(build_reading(payload))
    return {check.name for check in checks if check.ok is False}


def test_a_payload_that_was_measured_obeys_the_laws_of_its_extras() -> None:
    checks = {
        check.name: check for check in check_reading(build_reading(make_payload(extras=True)))
    }
    assert checks[EMBEDDING].ok
    for name in (NORM, GROUPS, RANGE):
        number = checks[name].number
        assert number is not None
        assert number < 1e-5


def _take_other_gamma(payload: Payload) -> None:
    payload["extras"]["norm"]["gamma"] = payload["extras"]["norm"]["gamma"].roll(1)


def _leave_beta_out(payload: Payload) -> None:
    for layer in payload["layers"].values():
        for cell in layer["global_ln"].values():
            cell["mean"] = cell["mean"] - payload["extras"]["norm"]["beta"]


def _apply_norm_twice(payload: Payload) -> None:
    gamma = payload["extras"]["norm"]["gamma"]
    for layer in payload["layers"].values():
        for cell in layer["global_ln"].values():
            cell["std"] = cell["std"] * gamma.abs()


def _lose_a_group(payload: Payload) -> None:
    for cell in payload["extras"]["layers"][2]["groups"]["pre"].values():
        cell["count"][0] = 0
        cell["mean"][0] = cell["std"][0] = float("nan")


def _take_groups_of_another_layer(payload: Payload) -> None:
    layers = payload["extras"]["layers"]
    layers[1]["groups"] = layers[2]["groups"]


def _take_register_for_cls(payload: Payload) -> None:
    for representation in ("pre", "per_layer_ln"):
        cell = payload["layers"][3][representation]["cls"]
        register = payload["extras"]["layers"][3]["storage"]["storage_0"][representation]
        cell |= {key: register[key] for key in ("mean", "std", "max_abs")}


def _miss_half_of_the_tokens(payload: Payload) -> None:
    cell = payload["layers"][1]["pre"]["patch"]
    ends = payload["extras"]["layers"][1]["range"]["pre"]["patch"]
    other = torch.minimum(ends["min"].abs(), ends["max"].abs())
    floor = torch.hypot(cell["mean"], cell["std"])
    cell["max_abs"] = torch.maximum(other, 1.01 * floor)


def _shift_layers_by_one(payload: Payload) -> None:
    """Measure what each block is given, as the first of transformers' `hidden_states` are."""
    layers = payload["layers"]
    for layer in reversed(range(1, len(layers))):
        layers[layer]["pre"] = layers[layer - 1]["pre"]
    layers[0]["pre"] = payload["extras"]["embedding"]


def _reverse_layers(payload: Payload) -> None:
    payload["layers"] = dict(enumerate(reversed(payload["layers"].values())))


def _take_an_output_for_the_embedding(payload: Payload) -> None:
    for role, cell in payload["layers"][0]["pre"].items():
        payload["extras"]["embedding"][role] = cell | {"mean": 0.999 * cell["mean"]}


@pytest.mark.parametrize(
    ("plant", "law"),
    [
        pytest.param(_take_other_gamma, NORM, id="wrong-gamma"),
        pytest.param(_leave_beta_out, NORM, id="without-beta"),
        pytest.param(_apply_norm_twice, NORM, id="norm-twice"),
        pytest.param(_lose_a_group, GROUPS, id="lost-group"),
        pytest.param(_take_groups_of_another_layer, GROUPS, id="groups-of-another-layer"),
        pytest.param(_take_register_for_cls, GROUPS, id="register-for-cls"),
        pytest.param(_miss_half_of_the_tokens, RANGE, id="half-of-the-tokens"),
        pytest.param(_shift_layers_by_one, EMBEDDING, id="layers-shifted-by-one"),
        pytest.param(_reverse_layers, EMBEDDING, id="layers-in-reverse"),
        pytest.param(_take_an_output_for_the_embedding, EMBEDDING, id="output-for-embedding"),
    ],
)
def test_each_planted_fault_breaks_its_law(plant: Callable[[Payload], None], law: str) -> None:
    payload = make_payload(extras=True)
    plant(payload)
    assert law in _failed(payload)


def test_a_payload_without_extras_is_checked_by_its_own_laws() -> None:
    names = {check.name for check in check_reading(build_reading(make_payload()))}
    assert not names & {NORM, GROUPS, RANGE, EMBEDDING}
    assert "LayerNorm centring" in names
