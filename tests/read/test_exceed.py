"""The rule of LLM.int8() against its words, channel by channel."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from analysis.read.exceed import Exceedance, count_layers_met, tabulate_exceedance


@given(st.integers(1, 9), st.integers(0, 2**32 - 1))
def test_a_channel_meets_the_rule_in_a_quarter_of_the_layers_with_six_percent_of_the_tokens(
    layers: int, seed: int
) -> None:
    rng = np.random.default_rng(seed)
    tokens = rng.integers(50, 200, layers)
    counts = rng.integers(0, 20, (layers, 3, 12))
    found = Exceedance(counts[0] / tokens[0], count_layers_met(counts, tokens), layers)
    for channel in range(12):
        met = [counts[n, 0, channel] / tokens[n] >= 0.06 for n in range(layers)]
        assert found.layers_met[channel] == sum(met)
        assert found.is_int8_outlier[channel] == (sum(met) / layers >= 0.25)


def test_exactly_six_percent_in_exactly_a_quarter_of_the_layers_is_enough() -> None:
    counts = np.zeros((4, 3, 2), dtype=np.int64)
    counts[2, 0] = 6, 5
    met = count_layers_met(counts, np.full(4, 100))
    found = Exceedance(counts[2] / 100, met, 4)
    assert found.is_int8_outlier.tolist() == [True, False]
    frame = tabulate_exceedance(found)
    assert frame["share_above_6"].tolist() == [0.06, 0.05]
    assert frame["layers_met"].tolist() == [1, 0]
