"""The laws of `ChannelMoments`, against float64 numpy on the concatenation."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from analysis.collect.statistics.moments import ChannelMoments, pool_moments
from analysis.errors import StatisticsError
from tests.collect.statistics.reference import assert_agrees, expect

CHANNELS = 6


def draw(n: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(n, CHANNELS, generator=generator) * 3 + torch.arange(CHANNELS)


def fold(*batches: torch.Tensor) -> ChannelMoments:
    moments = ChannelMoments(CHANNELS)
    for batch in batches:
        moments.update(batch)
    return moments


def assert_same(left: ChannelMoments, right: ChannelMoments) -> None:
    assert left.count == right.count
    for name in ("mean", "m2", "min", "max"):
        torch.testing.assert_close(
            getattr(left, name), getattr(right, name), rtol=1e-12, atol=1e-12
        )


@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 9), min_size=1, max_size=8).filter(any))
def test_uneven_batches_match_one_pass(sizes: list[int]) -> None:
    tokens = draw(sum(sizes))
    moments = fold(*tokens.split(sizes))
    assert_agrees(moments.finalize(), expect(tokens.numpy()), 1e-7)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 12), st.integers(0, 12), st.integers(1, 12))
def test_merge_is_associative_and_commutative(a: int, b: int, c: int) -> None:
    parts = [fold(draw(n, seed)) for seed, n in enumerate((a, b, c))]
    left = fold().merge(parts[0]).merge(parts[1]).merge(parts[2])
    right = fold().merge(parts[2]).merge(fold().merge(parts[1]).merge(parts[0]))
    assert_same(left, right)


def test_merge_matches_one_pass_over_both() -> None:
    tokens = draw(57)
    moments = fold(tokens[:20]).merge(fold(tokens[20:]))
    assert_agrees(moments.finalize(), expect(tokens.numpy()), 1e-7)


def test_an_empty_operand_changes_nothing() -> None:
    moments = fold(draw(5))
    before = copy.deepcopy(moments)
    moments.merge(fold()).update(torch.empty(0, CHANNELS))
    assert_same(moments, before)


def test_one_token_has_its_own_value_as_mean_and_no_spread() -> None:
    token = draw(1)
    stats = fold(token).finalize()
    torch.testing.assert_close(stats.mean, token[0])
    assert not stats.std.any()
    torch.testing.assert_close(stats.max_abs, token[0].abs())


@pytest.mark.parametrize("seen", [0, 4], ids=["empty receiver", "used receiver"])
def test_merge_leaves_its_operand_unchanged_now_and_later(seen: int) -> None:
    operand = fold(draw(7, seed=1))
    before = copy.deepcopy(operand)
    receiver = fold(draw(seen)).merge(operand)
    receiver.update(draw(9, seed=2))
    assert_same(operand, before)


def test_a_mean_of_ten_thousand_stds_costs_no_digits() -> None:
    tokens = draw(400).double() / 3 + 1e4
    moments = fold(*tokens.float().split([100, 1, 299]))
    assert_agrees(moments.finalize(), expect(tokens.float().numpy()), 1e-6)


@pytest.mark.parametrize("place", [0, 63, 100, 199], ids=["first", "batch end", "next", "last"])
def test_one_massive_token_leaves_the_std_right(place: int) -> None:
    tokens = torch.randn(200, CHANNELS, generator=torch.Generator().manual_seed(3))
    tokens[place] = 5000
    moments = fold(*tokens.split([64, 136]))
    assert_agrees(moments.finalize(), expect(tokens.numpy()), 1e-6)


def test_a_constant_channel_has_zero_std() -> None:
    tokens = draw(33)
    tokens[:, 2] = 123.456
    stats = fold(*tokens.split(10)).finalize()
    assert stats.std[2] == 0
    assert stats.mean[2] == np.float32(123.456)


def test_a_token_with_a_non_finite_value_is_left_out_whole() -> None:
    tokens = draw(12)
    broken = torch.cat((tokens, draw(3, seed=1)))
    broken[12, 0], broken[13, 4], broken[14, 1] = torch.nan, torch.inf, -torch.inf
    assert_agrees(fold(broken).finalize(), expect(tokens.numpy()), 1e-7)


def test_nothing_measured_is_an_error_and_not_a_number() -> None:
    with pytest.raises(StatisticsError, match="no finite token"):
        fold(torch.full((2, CHANNELS), torch.nan)).finalize()


@pytest.mark.parametrize("shape", [(3, CHANNELS + 1), (CHANNELS,), (1, 3, CHANNELS)])
def test_tokens_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expected tokens of shape \(tokens, 6\)"):
        fold().update(torch.zeros(shape))


def test_affine_image_equals_statistics_of_the_transformed_tokens() -> None:
    tokens = draw(40)
    gamma = torch.tensor([2.0, -3.0, 0.0, 0.5, -0.1, 1.0])
    beta = torch.tensor([1.0, 50.0, -2.0, 0.0, 3.0, -70.0])
    moments = fold(tokens)
    image = moments.affine(gamma, beta)
    direct = tokens.double().numpy() * gamma.double().numpy() + beta.double().numpy()
    expected = expect(direct)
    np.testing.assert_allclose(image.mean, expected.mean, rtol=1e-12)
    np.testing.assert_allclose((image.m2 / 40).sqrt(), expected.std, rtol=1e-12)
    np.testing.assert_allclose(image.max, direct.max(0), rtol=1e-12)
    np.testing.assert_allclose(image.min, direct.min(0), rtol=1e-12)
    assert_same(moments, fold(tokens))


def test_affine_image_of_nothing_is_nothing() -> None:
    gamma = torch.zeros(CHANNELS)
    tokens = draw(4)
    assert_same(fold().affine(gamma, gamma + 5).merge(fold(tokens)), fold(tokens))


def test_pooling_by_membership_equals_merging_one_by_one() -> None:
    parts = [fold(draw(n, seed)) for seed, n in enumerate((3, 0, 1, 8, 5))]
    stacked = (
        torch.stack([part.count for part in parts]),
        torch.stack([part.mean for part in parts]),
        torch.stack([part.m2 for part in parts]),
    )
    membership = torch.zeros(3, 5, dtype=torch.float64)
    membership[0, [0, 1, 3]] = 1
    membership[1, [2, 4]] = 1
    count, mean, m2 = pool_moments(stacked, membership)
    for row, members in enumerate(((0, 1, 3), (2, 4), ())):
        expected = fold()
        for member in members:
            expected.merge(parts[member])
        assert count[row] == expected.count
        torch.testing.assert_close(mean[row], expected.mean)
        torch.testing.assert_close(m2[row], expected.m2)
