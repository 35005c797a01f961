"""The noise floor under the model of `tests.factories.image_groups`, and at its edges.

Two wrong methods are held to the same demands and fail them: an error from the number of tokens,
and an error from one pair of halves.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analysis.payload.groups import GroupStats, read_groups
from analysis.read.compare.false_discovery import find_discoveries
from analysis.read.compare.noise import LEVEL, NO_GROUPS, TOO_FEW_GROUPS, CellNoise, compare_groups
from analysis.read.compare.noise_table import compare_noise
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.image_groups import TOKENS, draw_groups, draw_paired

CHANNELS = 1280
PLANTED = 5
SEEDS = 20
CORRELATIONS = [0.0, 0.3, 0.9]

Versions = tuple[GroupStats, GroupStats]
Flags = NDArray[np.bool_]
Method = Callable[[GroupStats, GroupStats, bool], Flags]


def _draw(seed: int, correlation: float, paired: bool, planted: bool) -> Versions:
    rng = np.random.default_rng([seed, int(10 * correlation), paired, planted])
    shift = np.zeros(CHANNELS)
    shift[:PLANTED] = planted * (0.05 if paired else 0.25)
    if paired:
        return draw_paired(rng, 357, CHANNELS, correlation, shift=shift)
    images = 2000 if planted else 357
    a, b = (draw_groups(rng, images, CHANNELS, correlation) for _ in range(2))
    return a, b.affine(np.ones(CHANNELS), shift)


def _by_groups(a: GroupStats, b: GroupStats, paired: bool) -> Flags:
    return compare_groups(a, b, same_images=paired).flagged


def _by_token_counts(a: GroupStats, b: GroupStats, paired: bool) -> Flags:
    """As if tokens were independent: std² / tokens (paired: of the token differences)."""
    variance = 0.1**2 if paired else 2.0
    error = np.sqrt(variance / a.count.sum())
    p = 2 * stats.norm.sf(np.abs(b.mean.mean(axis=0) - a.mean.mean(axis=0)) / error)
    return find_discoveries(p, LEVEL)


def _by_halves(df: float) -> Method:
    """One pair of halves gives each channel's error; `df` infinite forgets how little that is."""

    def flag(a: GroupStats, b: GroupStats, paired: bool) -> Flags:
        halves = (b.mean - a.mean).reshape(2, 4, -1).mean(axis=1)
        error = np.abs(halves[0] - halves[1]) / 2
        p = 2 * stats.t.sf(np.abs(halves.mean(axis=0)) / error, df)
        return find_discoveries(p, LEVEL)

    return flag


def _false_rate(method: Method, correlation: float, paired: bool) -> float:
    """Share of the channels of two versions without a difference that are flagged."""
    pairs = (_draw(seed, correlation, paired, planted=False) for seed in range(SEEDS))
    return float(np.mean([method(a, b, paired).mean() for a, b in pairs]))


def _times_found(method: Method, correlation: float, paired: bool) -> int:
    """Number of seeds in which all planted channels are flagged."""
    pairs = (_draw(seed, correlation, paired, planted=True) for seed in range(SEEDS))
    return sum(bool(method(a, b, paired)[:PLANTED].all()) for a, b in pairs)


both_designs = pytest.mark.parametrize(
    "paired", [pytest.param(True, id="paired"), pytest.param(False, id="unpaired")]
)
all_correlations = pytest.mark.parametrize("correlation", CORRELATIONS)


@both_designs
@all_correlations
def test_versions_without_a_difference_are_left_alone(correlation: float, paired: bool) -> None:
    assert _false_rate(_by_groups, correlation, paired) <= 0.01


@both_designs
@all_correlations
def test_planted_differences_are_found(correlation: float, paired: bool) -> None:
    assert _times_found(_by_groups, correlation, paired) >= 19


@pytest.mark.parametrize("correlation", [0.3, 0.9])
def test_an_error_from_token_counts_fails_these_tests(correlation: float) -> None:
    assert _false_rate(_by_token_counts, correlation, paired=False) > 0.01
    assert _false_rate(_by_token_counts, correlation, paired=True) > 0.01


@both_designs
def test_one_pair_of_halves_fails_these_tests(paired: bool) -> None:
    # taken for the truth it flags noise; taken for the single value it is, it finds nothing
    assert _false_rate(_by_halves(np.inf), 0.3, paired) > 0.01
    assert _times_found(_by_halves(1), 0.3, paired) < 19


def _draw_small(seed: int, **changes: float | NDArray[np.float64]) -> Versions:
    return draw_paired(np.random.default_rng(seed), 357, 400, 0.5, **changes)


def test_of_the_channels_flagged_few_are_chance() -> None:
    shift = np.resize([0.05, 0.0, 0.0, 0.0], 400)
    pairs = [_draw_small(seed, shift=shift) for seed in range(40)]
    flags = [compare_groups(a, b, same_images=True).flagged for a, b in pairs]
    assert np.mean([flag[shift == 0].sum() / flag.sum() for flag in flags]) <= LEVEL


def test_channels_that_vary_more_than_others_are_not_taken_for_changed() -> None:
    change = np.full(400, 0.05)
    change[:20] *= np.resize(np.sqrt([5, 10, 30, 1000]), 20)  # massive channels do this
    pairs = (_draw_small(seed, change=change) for seed in range(200))
    flags = [compare_groups(a, b, same_images=True).flagged for a, b in pairs]
    assert np.mean([flag[:20].mean() for flag in flags]) <= 0.002
    assert np.mean([flag.any() for flag in flags]) <= 0.03


def _draw_in_step(seed: int) -> Versions:
    """Draw two versions whose channels all follow one latent variable, by chance unlike in each."""
    rng = np.random.default_rng(seed)
    a, b = _draw_small(seed)
    latent = rng.standard_normal((8, 1)) * rng.choice([-1.0, 1.0], 400)
    return a, GroupStats(b.count, a.mean + 0.02 * latent + 0.1 * (b.mean - a.mean), b.std)


def test_channels_that_vary_together_do_not_vouch_for_each_other() -> None:
    results = [compare_groups(*_draw_in_step(seed), same_images=True) for seed in range(300)]
    assert np.mean([result.shift_flagged.mean() for result in results]) <= 0.01
    assert np.mean([result.drift_p < 0.05 for result in results]) <= 0.08


@both_designs
@pytest.mark.parametrize("images", [16, 19, 357])
def test_the_standard_error_is_the_spread_of_the_difference(images: int, paired: bool) -> None:
    rng = np.random.default_rng(images)
    if paired:
        a, b = draw_paired(rng, images, 4000, 0.5)
    else:
        a, b = (draw_groups(rng, images, 4000, 0.5) for _ in range(2))
    result = compare_groups(a, b, same_images=paired)
    for effect, tolerance in ((result.shift, 0.1), (result.log_ratio, 0.1 if images > 19 else 0.4)):
        expected = np.mean(effect.error**2)
        assert np.mean(effect.value**2) == pytest.approx(expected, rel=tolerance)


def test_versions_of_unlike_size_are_compared_by_the_groups_of_each() -> None:
    rng = np.random.default_rng(0)
    a, b = draw_groups(rng, 40, 4000, 0.9), draw_groups(rng, 2000, 4000, 0.9)
    result = compare_groups(a, b, same_images=True)  # the counts say that they are not
    assert not result.paired
    assert np.mean(result.shift.value**2) == pytest.approx(np.mean(result.shift.error**2), rel=0.1)
    assert abs(result.log_ratio.value.mean()) < 0.1 * result.log_ratio.value.std()
    assert result.flagged.mean() <= 0.01


@both_designs
def test_without_a_difference_the_drift_is_about_its_noise_floor(paired: bool) -> None:
    results = [
        compare_groups(*_draw(seed, 0.3, paired, planted=False), same_images=paired)
        for seed in range(SEEDS)
    ]
    ratio = np.mean([result.drift**2 / result.noise_floor**2 for result in results])
    assert ratio == pytest.approx(1, abs=0.03)


@both_designs
def test_without_a_difference_every_drift_probability_is_as_likely(paired: bool) -> None:
    found = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        versions = draw_paired(rng, 357, 400, 0.5)
        if not paired:
            versions = draw_groups(rng, 357, 400, 0.5), draw_groups(rng, 357, 400, 0.5)
        a, b = (x.affine(np.ones(400), np.full(400, 9.0)) for x in versions)
        found.append(compare_groups(a, b, same_images=paired).drift_p)
    assert stats.kstest(found, "uniform").pvalue > 0.01


@pytest.mark.parametrize("paired", [True, False])
def test_the_drift_of_a_single_channel_is_tested_by_students_t(paired: bool) -> None:
    rng = np.random.default_rng(0)
    # means that hardly differ beside the std leave the std of all tokens alone
    a, b = (
        GroupStats(np.full(8, 200), 1e-3 * (2 + rng.standard_normal((8, 1)) + x), np.ones((8, 1)))
        for x in (0, 1)
    )
    result = compare_groups(a, b, same_images=paired, resolution=0.0)
    test = stats.ttest_rel if paired else stats.ttest_ind
    expected: Any = test(b.mean[:, 0], a.mean[:, 0])
    assert result.drift_p == pytest.approx(float(expected.pvalue), rel=1e-3)


def test_a_change_spread_over_all_channels_exceeds_the_floor_as_a_whole() -> None:
    shift = 0.3 * np.where(np.arange(400) % 2, 1, -1) / np.sqrt(357) / 10
    result = compare_groups(*_draw_small(0, shift=3 * shift), same_images=True)
    assert result.drift > result.noise_floor
    assert result.drift_p < 1e-4


def test_the_drift_is_the_one_of_the_payload() -> None:
    from analysis.read.compare.drift import compute_drift

    a, b = _draw_small(0, shift=0.1)
    statistics = [np.stack([*version.pool(), np.zeros(400)]) for version in (a, b)]
    result = compare_groups(a, b, same_images=True)
    assert result.drift == pytest.approx(float(compute_drift(*statistics)), rel=1e-9)


def test_exchanging_the_versions_turns_every_sign() -> None:
    a, b = _draw_small(0, shift=0.1)
    for same_images in (True, False):
        forth = compare_groups(a, b, same_images=same_images)
        back = compare_groups(b, a, same_images=same_images)
        np.testing.assert_allclose(back.shift.value, -forth.shift.value)
        np.testing.assert_allclose(back.log_ratio.value, -forth.log_ratio.value, atol=1e-12)
        np.testing.assert_array_equal(back.flagged, forth.flagged)
        assert back.drift_p == pytest.approx(forth.drift_p, abs=1e-9)


def test_a_doubled_std_is_a_log_ratio_of_log_2() -> None:
    a, b = _draw_small(0)
    doubled = b.affine(np.full(400, 2.0), np.zeros(400))
    result = compare_groups(a, doubled, same_images=True)
    np.testing.assert_allclose(result.log_ratio.value.mean(), np.log(2), rtol=1e-3)
    assert result.log_ratio_flagged.all()


def _repeat(groups: GroupStats, seed: int) -> GroupStats:
    """Return the same measurement to within what it can be repeated to."""
    rng = np.random.default_rng(seed)
    rms = np.hypot(groups.mean, groups.std)
    part = 1e-5 * rng.uniform(-1, 1, groups.channels)  # the same way in every group
    return GroupStats(groups.count, groups.mean + part * rms, groups.std)


def test_a_measurement_repeated_is_no_difference() -> None:
    groups, _ = _draw_small(0)
    result = compare_groups(groups, _repeat(groups, 1), same_images=True)
    assert not result.flagged.any()
    assert result.drift_p == 1


def _all_finite(result: CellNoise) -> Iterator[bool]:
    for effect in (result.shift, result.log_ratio):
        yield from (bool(np.isfinite(x).all()) for x in (effect.value, effect.error, effect.p))
    yield from (bool(np.isfinite(x)) for x in (result.drift, result.noise_floor, result.drift_p))


@both_designs
def test_one_version_compared_with_itself_has_no_difference(paired: bool) -> None:
    groups, _ = _draw_small(0)
    result = compare_groups(groups, groups, same_images=paired)
    assert all(_all_finite(result))
    assert result.drift == 0
    assert not result.flagged.any()
    assert (result.shift.p == 1).all()


@both_designs
def test_constant_channels_give_finite_numbers_and_no_flag(paired: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = draw_groups(rng, 357, 100, 0.3), draw_groups(rng, 357, 100, 0.3)
    for version in (a, b):
        version.mean[:, :3], version.std[:, :3] = [0.0, 3.0, -700.1], 0.0
    result = compare_groups(a, b, same_images=paired)
    assert all(_all_finite(result))
    assert not result.flagged[:3].any()


@both_designs
def test_a_channel_that_died_is_flagged(paired: bool) -> None:
    rng = np.random.default_rng(0)
    a, b = draw_groups(rng, 357, 100, 0.3), draw_groups(rng, 357, 100, 0.3)
    b.mean[:, 7], b.std[:, 7] = 0.0, 0.0
    result = compare_groups(a, b, same_images=paired)
    assert all(_all_finite(result))
    assert np.flatnonzero(result.flagged).tolist() == [7]


@both_designs
def test_all_channels_constant_have_no_drift_and_a_single_one_has(paired: bool) -> None:
    zeros = GroupStats(np.full(8, 200), np.zeros((8, 5)), np.zeros((8, 5)))
    constant = compare_groups(zeros, zeros, same_images=paired)
    assert np.isnan(constant.drift)
    assert np.isnan(constant.noise_band)
    assert not constant.flagged.any()
    rng = np.random.default_rng(0)
    a, b = draw_paired(rng, 357, 1, 0.3, shift=1.0)
    result = compare_groups(a, b, same_images=paired)
    assert all(_all_finite(result))
    assert result.shift_flagged.all()


@both_designs
def test_a_single_channel_is_tested_by_students_t(paired: bool) -> None:
    a, b = draw_paired(np.random.default_rng(0), 64, 1, 0.3, shift=0.05)
    b.mean[:] *= 1.7
    result = compare_groups(a, b, same_images=paired)
    values = b.mean[:, 0], a.mean[:, 0]
    expected: Any = (
        stats.ttest_rel(*values) if paired else stats.ttest_ind(*values, equal_var=False)
    )
    assert result.shift.p[0] == pytest.approx(
        float(expected.pvalue), rel=1e-3
    )  # unpaired, the unit has its doubt


def test_groups_without_images_are_ignored() -> None:
    a, b = draw_paired(np.random.default_rng(0), 5, 50, 0.3, change=0.01, shift=0.5)
    for version in (a, b):
        version.mean[version.count == 0] = np.nan
    result = compare_groups(a, b, same_images=True)
    assert all(_all_finite(result))
    assert result.shift_flagged.all()
    fewer = [GroupStats(x.count[:5], x.mean[:5], x.std[:5]) for x in (a, b)]
    expected = compare_groups(fewer[0], fewer[1], same_images=True)
    np.testing.assert_array_equal(result.shift.p, expected.shift.p)


@pytest.mark.parametrize("images", [0, 1])
def test_fewer_than_two_groups_call_nothing_significant_and_say_so(images: int) -> None:
    a, b = draw_paired(np.random.default_rng(0), images, 50, 0.3, shift=5.0)
    result = compare_groups(a, b, same_images=True)
    assert not result.flagged.any()
    assert np.isnan(result.shift.error).all()
    assert np.isnan(result.noise_floor)
    assert np.isnan(result.drift_p)
    assert result.note == TOO_FEW_GROUPS
    assert np.isfinite(result.drift) == (images > 0)


def _groups(extras: Any) -> Callable[[Cell], GroupStats | None]:
    return lambda cell: read_groups(extras, *cell)


def _extras(versions: list[GroupStats]) -> dict[str, object]:
    """Return `extras` with one layer for each of the groups, the same in every cell."""
    layers = {
        layer: {
            "groups": {
                representation.value: {
                    role.value: {"count": g.count, "mean": g.mean, "std": g.std}
                    for role in TokenRole
                }
                for representation in (Representation.PRE, Representation.PER_LAYER_LN)
            }
        }
        for layer, g in enumerate(versions)
    }
    channels = versions[0].channels
    return {"layers": layers, "norm": {"gamma": np.ones(channels), "beta": np.zeros(channels)}}


def test_the_table_marks_the_layers_beyond_the_noise() -> None:
    same, changed = _draw_small(1), _draw_small(2, shift=0.1)
    table = compare_noise(
        _groups(_extras([same[0], changed[0]])),
        _groups(_extras([same[1], changed[1]])),
        [0, 1],
        same_images=True,
    )
    assert not table.beyond[0].any()
    assert table.beyond[1].all()
    assert (table.flagged_channels[1] > 300).all()
    assert (table.drift[1] > 3 * table.noise_floor[1]).all()
    assert table.paired
    assert table.notes == ()


@pytest.mark.parametrize("extras", [None, {}, {"layers": {}}], ids=["none", "empty", "no layer"])
def test_payloads_without_groups_call_nothing_significant_and_say_so(
    extras: dict[str, object] | None,
) -> None:
    table = compare_noise(
        _groups(_extras([_draw_small(0)[0]])), _groups(extras), [0], same_images=True
    )
    assert not table.beyond.any()
    assert np.isnan(table.noise_floor).all()
    assert not table.paired
    assert table.notes == (NO_GROUPS,)


def test_the_number_of_tokens_of_an_image_does_not_matter_where_they_are_alike() -> None:
    a, b = draw_paired(np.random.default_rng(0), 64, 50, 1.0, shift=0.1)
    few = [GroupStats(x.count // TOKENS, x.mean, x.std) for x in (a, b)]
    many, one = (compare_groups(*x, same_images=True) for x in ((a, b), few))
    np.testing.assert_allclose(many.shift.p, one.shift.p)
    np.testing.assert_allclose(many.log_ratio.p, one.log_ratio.p)
