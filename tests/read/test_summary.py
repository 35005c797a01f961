"""Summaries against numpy, and refused where a number would mean nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from analysis.payload.reading import Reading, build_reading
from analysis.read.compare.comparison import compare
from analysis.read.compare.drift import compute_drift
from analysis.read.scores import DEFAULT_THRESHOLDS, Score
from analysis.read.summary import (
    compare_summary,
    parse_drift,
    parse_summary,
    share_baseline,
    summarize,
    to_json,
)
from analysis.read.worth.best_probe import parse_best_probe
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, make_table


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


@pytest.mark.parametrize("name", ["outlier_channels", "largest", "skipped", "recipe"])
def test_a_summary_of_other_types_is_refused(name: str) -> None:
    fields = json.loads(to_json(summarize(Reading(make_table()))))
    with pytest.raises(TypeError):
        parse_summary(json.dumps(fields | {name: ["much"]}))


@pytest.mark.parametrize(
    "change",
    [
        {"outlier_channels": 10**400}, {"outlier_channels": True}, {"skipped": -1},
        {"largest": 10**400}, {"largest": float("inf")}, {"largest": float("nan")},
        {"broken_laws": ["x"] * 1000}, {"broken_laws": ["x" * 1000]}, {"broken_laws": ["\ud800"]},
        {"recipe": "x" * 1000}, {"more": 1},
    ],
    ids=lambda change: str(change)[:40],
)  # fmt: skip
def test_a_summary_out_of_measure_is_refused(change: dict[str, Any]) -> None:
    fields = json.loads(to_json(summarize(Reading(make_table()))))
    with pytest.raises((TypeError, ValueError)):
        parse_summary(json.dumps(fields | change))


@pytest.mark.parametrize(
    "change",
    [{"drift": []}, {"drift": [[1]] * 4}, {"layers": [0] * 5}, {"layers": ["0"] * 4},
     {"refused": "x"}, {"refused": ["x"]}, {"noise_band": [[1e999, 0]] * 4}],
    ids=str,
)  # fmt: skip
def test_drifts_of_another_form_are_refused(change: dict[str, Any]) -> None:
    fields = json.loads(to_json(compare_summary(compare(make_table(), make_table(seed=1)))))
    assert parse_drift(json.dumps(fields)).layers == (0, 1, 2, 3)
    with pytest.raises((TypeError, ValueError)):
        parse_drift(json.dumps(fields | change))


@pytest.mark.parametrize("parse", [parse_summary, parse_drift, parse_best_probe])
def test_what_is_nested_without_end_is_refused(parse: Callable[[str], object]) -> None:
    with pytest.raises(ValueError, match="nested"):
        parse("[" * 100_000)


def test_payloads_that_may_not_be_compared_have_a_reason_and_no_number() -> None:
    comparison = compare(make_table(channels=48), make_table(channels=24))
    summary = compare_summary(comparison)
    assert summary.refused == comparison.reasons[0].sentence
    assert summary.drift == summary.noise_floor == ()


def test_the_noise_of_a_summary_is_that_of_the_comparison() -> None:
    comparison = compare(*make_grouped_pair())
    summary, noise = compare_summary(comparison), comparison.noise
    assert noise is not None
    for rows, cells in (
        (summary.noise_floor, noise.noise_floor),
        (summary.noise_band, noise.noise_band),
    ):
        np.testing.assert_allclose(np.array(rows, dtype=np.float64), cells[:, 0], rtol=1e-12)


def test_a_summary_names_the_law_that_is_broken_and_what_was_left_out() -> None:
    payload = make_payload(skipped_count=3, nonfinite_tokens=[0, 0, 2, 5])
    payload["layers"][1]["pre"]["cls"]["max_abs"][7] = 0.0
    summary = summarize(build_reading(payload))
    assert "|mean| <= max |x|" in summary.broken_laws
    assert (summary.skipped, summary.left_out) == (3, 7)
    assert summary.adapter_effect == 0.04


def test_a_stored_summary_is_the_same_when_it_is_read() -> None:
    pair = make_grouped_pair()
    summary, drift = summarize(build_reading(pair[0])), compare_summary(compare(*pair))
    assert parse_summary(to_json(summary)) == summary
    assert parse_drift(to_json(drift)) == drift


def test_a_baseline_that_many_versions_share_gives_each_the_same_numbers() -> None:
    baseline, *versions = (
        build_reading(payload) for seed in range(2) for payload in make_grouped_pair(seed=seed)
    )
    shared = share_baseline(baseline)
    for version in [*versions, baseline, versions[0]]:
        comparison = compare(baseline, version)
        assert compare_summary(comparison, shared) == compare_summary(comparison)
