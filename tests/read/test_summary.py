"""Summaries against numpy, and refused where a number would mean nothing."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np

from analysis.payload.reading import Reading
from analysis.read.compare.comparison import compare
from analysis.read.compare.drift import compute_drift
from analysis.read.scores import DEFAULT_THRESHOLDS, Score
from analysis.read.summary import compare_summary, summarize
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_table


def test_a_channel_that_is_an_outlier_in_several_layers_counts_once() -> None:
    table = make_table()
    max_abs = table.values[:, 0, :, 2].astype(np.float64)
    median = np.median(max_abs, axis=-1, keepdims=True)
    mad = np.median(abs(max_abs - median), axis=-1, keepdims=True)
    outliers = (max_abs - median) * 0.6744897501960817 / mad >= DEFAULT_THRESHOLDS[Score.ROBUST]
    summary = summarize(Reading(table))
    assert summary.outlier_channels == outliers.any(axis=(0, 1)).sum()
    assert summary.largest == max_abs.max()


def test_the_drift_of_a_summary_is_that_of_the_block_outputs() -> None:
    a, b = make_table(), make_table(seed=1)
    summary = compare_summary(compare(a, b))
    expected = compute_drift(a.values, b.values)[:, 0]
    assert summary.layers == (0, 1, 2, 3)
    np.testing.assert_array_equal(np.array(summary.drift, dtype=np.float64), expected)


def test_without_image_groups_the_noise_floor_is_absent_and_not_zero() -> None:
    table = make_table()
    floors = compare_summary(compare(table, table)).noise_floor
    assert {floor for row in floors for floor in row} == {None}


def test_payloads_that_may_not_be_compared_have_a_reason_and_no_number() -> None:
    comparison = compare(make_table(channels=48), make_table(channels=24))
    summary = compare_summary(comparison)
    assert summary.refused == comparison.reasons[0].sentence
    assert summary.drift == summary.noise_floor == ()


def test_a_summary_of_grouped_payloads_is_plain_json() -> None:
    summary = compare_summary(compare(*make_grouped_pair()))
    assert summary.refused is None
    json.dumps(asdict(summary), allow_nan=False)
