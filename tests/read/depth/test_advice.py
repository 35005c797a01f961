from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.read.depth.advice import LayerFacts, Norm, advise, advise_layers
from tests.factories.payloads import make_flat_table, make_table

FACTS = LayerFacts(
    outlier_share=0.005,
    outlier_energy=0.9,
    mean_over_std=1.0,
    suppression=2.0,
    remaining=3,
    last=False,
)


@pytest.mark.parametrize(
    ("changes", "norm"),
    [
        pytest.param({"outlier_share": 0.0}, Norm.RAW, id="nothing stands out"),
        pytest.param({"remaining": 0, "last": True}, Norm.GLOBAL_LN, id="the norm's own layer"),
        pytest.param({"last": True}, Norm.DROP, id="last, but outliers are left"),
        pytest.param({"remaining": 0, "suppression": 50.0}, Norm.DROP, id="not its own layer"),
        pytest.param({"suppression": 50.0}, Norm.DROP, id="suppressed, but outliers are left"),
        pytest.param({"mean_over_std": 3.0}, Norm.BATCH_NORM, id="an offset"),
        pytest.param({"outlier_energy": 0.5}, Norm.PER_LAYER_LN, id="outliers hold little"),
        pytest.param({}, Norm.DROP, id="few that hold much and vary"),
        pytest.param({"outlier_share": 0.02}, Norm.BATCH_NORM, id="many that hold much"),
    ],
)
def test_the_first_rule_that_applies_decides(changes: dict[str, float], norm: Norm) -> None:
    found, reason = advise(replace(FACTS, **changes))
    assert found is norm
    assert reason.endswith(".")
    assert reason.count(". ") == 0  # one sentence


def test_the_reason_names_the_number_it_rests_on() -> None:
    assert "|mean| / std = 7.5" in advise(replace(FACTS, mean_over_std=7.5))[1]
    assert "90% of the energy" in advise(FACTS)[1]


def test_the_facts_are_those_of_the_block_output() -> None:
    values = np.zeros((2, 3, 2, 3, 100))
    values[..., 1, :], values[..., 2, :] = 1.0, np.linspace(3, 4, 100)
    values[1, 0, :, :, 4] = np.array([30.0, 10.0, 500.0])[None]
    frame = advise_layers(make_flat_table(values), [0, 1])
    calm, row = frame[frame["role"] == "cls"].to_dict("records")
    assert (calm["advice"], calm["outlier_share"]) == ("raw", 0.0)
    assert row["outlier_share"] == pytest.approx(0.01)
    assert row["outlier_energy"] == pytest.approx(1000 / (1000 + 99))
    assert row["mean_over_std"] == pytest.approx(3.0)
    assert row["remaining"] == 0
    assert row["advice"] == "global LN"  # the last layer


def test_an_offset_in_the_middle_of_a_network_calls_for_batch_norm() -> None:
    table = make_table(layers=4, outliers={5: 300.0}, channels=96)
    frame = advise_layers(table, [1]).set_index("role")
    assert frame.loc["patch", "advice"] == "BatchNorm-like"


def test_no_layer_gives_an_empty_table() -> None:
    assert advise_layers(make_table(), []).empty


def test_dead_channels_have_no_ratio_to_stumble_over() -> None:
    frame = advise_layers(make_flat_table(np.zeros((1, 3, 2, 3, 5))), [0])
    assert frame["advice"].tolist() == ["raw", "raw"]
    assert np.isfinite(frame["mean_over_std"]).all()


def test_one_image_gets_no_advice_and_no_ratio() -> None:
    frame = advise_layers(make_table(images=1), [1])
    assert frame["advice"].tolist() == ["no advice", "no advice"]
    assert frame["mean_over_std"].isna().all()
