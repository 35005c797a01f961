"""How often a comparison claims a difference that is not there, over whole comparisons.

A claim is a cell, of all that a sentence looks at, that is marked as beyond the noise. Benjamini
and Hochberg's procedure inside each cell, with the same errors, claims in a third of the small
designs here.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from analysis.read.compare.neighbours import ALL_SEPARATE
from analysis.read.compare.noise_table import NoiseTable, compare_noise
from tests.factories.null_versions import DISTRIBUTIONS, Design, draw_versions

both_pairings = pytest.mark.parametrize(
    "paired", [pytest.param(True, id="paired"), pytest.param(False, id="unpaired")]
)


def _compare(design: Design, seed: int) -> NoiseTable:
    groups = draw_versions(np.random.default_rng(seed), design)
    return compare_noise(*groups, range(design.layers), same_images=design.paired)


def _claim_rate(design: Design, times: int) -> float:
    return float(np.mean([_compare(design, seed).beyond.any() for seed in range(times)]))


def _rate_of_all(design: Design, times: int) -> float:
    """Return the share of claims over all distributions of images."""
    rates = [_claim_rate(replace(design, distribution=name), times) for name in DISTRIBUTIONS]
    return float(np.mean(rates))


@both_pairings
def test_sixteen_images_claim_in_one_comparison_of_twenty_at_most(paired: bool) -> None:
    assert _rate_of_all(Design("normal", 16, 6, paired), 20) <= 0.05


@both_pairings
def test_eight_images_claim_in_one_comparison_of_ten_at_most(paired: bool) -> None:
    assert _rate_of_all(Design("normal", 8, 6, paired), 20) <= 0.1


def test_eight_groups_of_older_payloads_claim_no_more() -> None:
    assert _rate_of_all(Design("normal", 48, 6, False, groups=8), 12) <= 0.05


def test_other_numbers_of_images_claim_no_more() -> None:
    assert _rate_of_all(Design("normal", 24, 6, False, other_images=64), 30) <= 0.05


@both_pairings
def test_a_missing_group_claims_no_more(paired: bool) -> None:
    design = Design("normal", 24, 6, paired, groups=8, missing_group=True)
    assert _rate_of_all(design, 12) <= 0.05


@both_pairings
def test_runs_of_alike_images_claim_in_three_comparisons_of_twenty_at_most(paired: bool) -> None:
    design = Design("normal", 96, 6, paired, run=4)
    assert _compare(design, 0).separate != ALL_SEPARATE
    assert _rate_of_all(design, 10) <= 0.15


def test_what_is_said_of_alike_neighbours_names_the_groups_left() -> None:
    table = _compare(Design("normal", 96, 6, True, run=4), 0)
    assert any(f"measured on {min(table.separate)} groups" in note for note in table.notes)


@both_pairings
def test_a_channel_nine_standard_errors_away_is_found(paired: bool) -> None:
    design = Design("normal", 48, 6, paired, planted=9.0)
    found = [_compare(design, seed).flagged_channels[3, 0, 0] for seed in range(20)]
    assert np.mean(np.array(found) > 0) >= 0.95


@both_pairings
def test_about_one_cell_of_twenty_without_a_difference_lies_above_the_band(paired: bool) -> None:
    tables = [_compare(Design("normal", 48, 6, paired), seed) for seed in range(30)]
    above = np.mean([(t.drift > t.noise_band)[t.tested].mean() for t in tables])
    assert 0.02 <= above <= 0.12


def test_the_excess_over_the_noise_is_zero_where_nothing_differs() -> None:
    table = _compare(Design("normal", 16, 6, False), 0)
    assert np.nanmax(table.drift) > 0.3
    assert np.nanmax(table.excess) == 0


@pytest.mark.soak
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
@pytest.mark.parametrize("layers", [12, 32, 40])
@pytest.mark.parametrize("images", [8, 16, 48, 300])
@both_pairings
def test_every_design_of_the_grid_keeps_its_rate(
    distribution: str, layers: int, images: int, paired: bool
) -> None:
    rate = _claim_rate(Design(distribution, images, layers, paired), 100)
    assert rate <= (0.1 if images < 16 else 0.05)
