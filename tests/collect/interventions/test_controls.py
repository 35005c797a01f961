"""Controls are as many other channels, from the middle of the distribution."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.collect.interventions.controls import draw_controls
from analysis.errors import ConfigError

SIZES = np.arange(100.0)


def test_controls_come_from_the_middle_half_and_leave_out_the_chosen() -> None:
    chosen = (40, 99)
    draws = draw_controls(SIZES, chosen, 200)
    drawn = {channel for draw in draws for channel in draw}
    assert all(len(set(draw)) == len(chosen) for draw in draws)
    assert drawn == set(range(25, 75)) - {40}


def test_the_same_seed_draws_the_same_channels() -> None:
    assert draw_controls(SIZES, (1,), 5, seed=3) == draw_controls(SIZES, (1,), 5, seed=3)
    assert draw_controls(SIZES, (1,), 5, seed=3) != draw_controls(SIZES, (1,), 5, seed=4)


def test_more_channels_than_the_middle_holds_are_refused_in_words() -> None:
    with pytest.raises(ConfigError, match="too many for a control"):
        draw_controls(SIZES, range(60), 1)
