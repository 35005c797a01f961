"""The error that eight image groups tell is the one that many repetitions show."""

from __future__ import annotations

import numpy as np
import pytest

from analysis.payload.groups import GroupStats
from analysis.read.compare.standard_error import estimate_errors, tabulate_errors

IMAGES, TOKENS, CHANNELS = 64, 16, 40


def _measure(rng: np.random.Generator) -> tuple[np.ndarray, GroupStats]:
    """Return tokens ``[images, tokens, channels]`` that resemble each other within an image."""
    image = rng.normal(size=(IMAGES, 1, CHANNELS))
    tokens = 3 + 2 * image + rng.normal(size=(IMAGES, TOKENS, CHANNELS))
    groups = [tokens[index::8].reshape(-1, CHANNELS) for index in range(8)]
    return tokens, GroupStats(
        np.array([len(group) for group in groups]),
        np.stack([group.mean(axis=0) for group in groups]),
        np.stack([group.std(axis=0) for group in groups]),
    )


def test_errors_are_those_that_repetitions_show() -> None:
    rng = np.random.default_rng(0)
    means, stds, errors = [], [], []
    for _ in range(200):
        tokens, groups = _measure(rng)
        flat = tokens.reshape(-1, CHANNELS)
        means.append(flat.mean(axis=0))
        stds.append(np.log(flat.std(axis=0)))
        errors.append(estimate_errors(groups))
    for truth, index in ((np.std(means), 0), (np.std(np.array(stds) - np.mean(stds)), 1)):
        told = np.sqrt(np.mean([error[index] ** 2 for error in errors]))
        assert told == pytest.approx(truth, rel=0.1)


def test_tokens_of_one_image_do_not_count_as_independent() -> None:
    tokens, groups = _measure(np.random.default_rng(1))
    by_tokens = tokens.std() / np.sqrt(IMAGES * TOKENS)
    assert np.median(estimate_errors(groups)[0]) > 2.5 * by_tokens


def test_a_single_group_tells_no_error() -> None:
    groups = GroupStats(np.array([4, 0]), np.ones((2, 3)), np.ones((2, 3)))
    assert np.isnan(estimate_errors(groups)).all()


def test_the_table_holds_the_asked_channels_with_the_error_of_the_std_in_its_unit() -> None:
    tokens, groups = _measure(np.random.default_rng(2))
    frame = tabulate_errors(groups, np.array([7, 3]))
    flat = tokens.reshape(-1, CHANNELS)
    assert frame["channel"].tolist() == [7, 3]
    np.testing.assert_allclose(frame["mean"], flat.mean(axis=0)[[7, 3]])
    np.testing.assert_allclose(frame["std"], flat.std(axis=0)[[7, 3]])
    np.testing.assert_allclose(
        frame["std_error"] / frame["std"], estimate_errors(groups)[1][[7, 3]]
    )
