"""Groups against the tokens they stand for, and the drawn groups of other tests against a draw."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from analysis.errors import PayloadError
from analysis.payload.groups import GroupStats, read_groups
from analysis.vocabulary import Representation, TokenRole
from tests.factories.image_groups import TOKENS, draw_groups, draw_paired

Floats = NDArray[np.float64]


def _measure(tokens: Floats, images: int) -> GroupStats:
    """Return the groups of ``[images * tokens, channels]``."""
    group = np.repeat(np.arange(images) % 8, len(tokens) // images)
    parts = [tokens[group == g] for g in range(8)]
    return GroupStats(
        np.array([len(part) for part in parts]),
        np.stack([part.mean(axis=0) for part in parts]),
        np.stack([part.std(axis=0) for part in parts]),
    )


def _draw_tokens(rng: np.random.Generator, images: int, channels: int, ratio: float) -> Floats:
    image = np.sqrt(ratio) * rng.standard_normal((images, 1, channels))
    token = np.sqrt(1 - ratio) * rng.standard_normal((images, TOKENS, channels))
    return (image + token).reshape(-1, channels)


@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_pooled_groups_are_all_tokens(offset: float) -> None:
    tokens = offset + np.random.default_rng(0).standard_normal((19 * 3, 5))
    mean, std = _measure(tokens, 19).pool()
    np.testing.assert_allclose(mean, tokens.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(std, tokens.std(axis=0), rtol=1e-10)


@pytest.mark.parametrize("number", [4, 3])
def test_merged_groups_are_those_of_their_neighbours_tokens(number: int) -> None:
    tokens = 5 + np.random.default_rng(0).standard_normal((8 * 3, 4))
    merged = _measure(tokens, 8).merge(number)
    joined = [np.flatnonzero(np.arange(8) * number // 8 == g) for g in range(number)]
    for place, groups in enumerate(joined):
        own = tokens[np.isin(np.repeat(np.arange(8), 3), groups)]
        assert merged.count[place] == len(own)
        np.testing.assert_allclose(merged.mean[place], own.mean(axis=0), rtol=1e-12)
        np.testing.assert_allclose(merged.std[place], own.std(axis=0), rtol=1e-12)


def test_log_std_values_are_jackknife_pseudo_values() -> None:
    images = 19
    tokens = 5 + np.random.default_rng(0).standard_normal((images * 3, 4))
    groups = _measure(tokens, images)
    group = np.repeat(np.arange(images) % 8, 3)
    for g, found in enumerate(groups.log_std_values):
        share = np.mean(group == g)
        all_of_them, without = (np.log(t.std(axis=0)) for t in (tokens, tokens[group != g]))
        np.testing.assert_allclose(found, all_of_them / share - (1 / share - 1) * without)


def test_log_std_values_exist_where_a_group_is_one_token() -> None:
    groups = _measure(np.random.default_rng(0).standard_normal((8, 4)), 8)
    assert (groups.std == 0).all()
    assert np.isfinite(groups.log_std_values).all()


@pytest.mark.parametrize("correlation", [0.0, 0.9])
def test_drawn_groups_are_distributed_like_groups_of_drawn_tokens(correlation: float) -> None:
    channels, images = 300, 19
    rng = np.random.default_rng(0)
    measured = _measure(_draw_tokens(rng, images, channels, correlation), images)
    paired, _ = draw_paired(rng, images, channels, correlation, change=0.0)
    for drawn in (draw_groups(rng, images, channels, correlation), paired):
        np.testing.assert_array_equal(drawn.count, measured.count)
        for g in (0, 7):  # three images, and two
            for found, expected in ((drawn.mean, measured.mean), (drawn.std, measured.std)):
                comparison: Any = stats.ks_2samp(found[g], expected[g])  # stubs lack its fields
                assert comparison.pvalue > 1e-3


def _extras(groups: GroupStats, **norm: Floats) -> dict[str, object]:
    cell = {"count": groups.count, "mean": groups.mean, "std": groups.std}
    roles = {"cls": cell, "patch": cell}
    layer = {"groups": {"pre": roles, "per_layer_ln": roles}}
    return {"layers": {3: layer}, "norm": {"gamma": np.full(4, -2.0), "beta": np.ones(4), **norm}}


def test_groups_are_read_as_stored() -> None:
    groups = _measure(np.random.default_rng(0).standard_normal((16, 4)), 16)
    found = read_groups(_extras(groups), 3, Representation.PRE, TokenRole.CLS)
    assert found is not None
    np.testing.assert_array_equal(found.mean, groups.mean)
    assert read_groups(_extras(groups), 4, Representation.PRE, TokenRole.CLS) is None
    assert read_groups(None, 3, Representation.PRE, TokenRole.CLS) is None


def test_global_ln_is_the_affine_image_of_the_tokens() -> None:
    tokens = np.random.default_rng(0).standard_normal((16, 4))
    cls_gamma, cls_beta = np.arange(4.0), np.full(4, 5.0)
    extras = _extras(_measure(tokens, 16), cls_gamma=cls_gamma, cls_beta=cls_beta)
    expected = {
        TokenRole.PATCH: _measure(-2 * tokens + 1, 16),
        TokenRole.CLS: _measure(cls_gamma * tokens + cls_beta, 16),
    }
    for role, groups in expected.items():
        found = read_groups(extras, 3, Representation.GLOBAL_LN, role)
        assert found is not None
        np.testing.assert_allclose(found.mean, groups.mean)
        np.testing.assert_allclose(found.std, groups.std, atol=1e-15)


def test_tied_norms_scale_cls_like_patches() -> None:
    extras = _extras(_measure(np.random.default_rng(0).standard_normal((16, 4)), 16))
    cls, patch = (read_groups(extras, 3, Representation.GLOBAL_LN, role) for role in TokenRole)
    assert cls is not None
    assert patch is not None
    np.testing.assert_array_equal(cls.mean, patch.mean)


@pytest.mark.parametrize("broken", [{"mean": np.zeros((8, 3))}, {"count": np.ones(7)}])
def test_groups_that_do_not_belong_together_are_refused_by_name(broken: dict[str, Floats]) -> None:
    cell = {"count": np.ones(8), "mean": np.zeros((8, 4)), "std": np.ones((8, 4))} | broken
    extras = {"layers": {3: {"groups": {"pre": {"cls": cell}}}}}
    with pytest.raises(PayloadError, match=r"extras\.layers\.3\.groups\.pre\.cls"):
        read_groups(extras, 3, Representation.PRE, TokenRole.CLS)
    del cell["std"]
    with pytest.raises(PayloadError, match="'std' is missing"):
        read_groups(extras, 3, Representation.PRE, TokenRole.CLS)
