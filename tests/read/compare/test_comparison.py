"""One comparison for payloads, files and readings, with its direction."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.payload.groups import read_groups
from analysis.payload.reading import open_payload
from analysis.read.compare.comparison import Comparable, compare
from analysis.read.compare.compatibility import Severity
from analysis.read.compare.drift import compute_drift
from analysis.read.compare.top_channels import compare_top_channels
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, make_table, write_payload

CELL = Cell(0, Representation.PRE, TokenRole.PATCH)
PLANTED = Cell(2, Representation.PRE, TokenRole.PATCH)


def test_other_numbers_of_channels_have_no_drift_but_reasons() -> None:
    comparison = compare(make_table(channels=48), make_table(channels=24))
    assert comparison.drift is None
    assert comparison.severity is Severity.RED
    assert comparison.reasons[0].severity is Severity.RED
    assert any(reason.topic == "channels" for reason in comparison.reasons)


def test_payloads_of_other_depth_are_compared_where_both_have_layers() -> None:
    a, b = make_table(layers=4), make_table(layers=2)
    comparison = compare(a, b)
    assert comparison.layers.tolist() == [0, 1]
    assert comparison.drift is not None
    expected = compute_drift(a.values[:2], b.values)
    np.testing.assert_array_equal(comparison.drift, expected)


def test_one_channel_of_one_layer_can_be_compared() -> None:
    table = make_table(layers=1, channels=1, images=1)
    assert compare(table, table).drift is not None
    assert compare_top_channels(table, table, CELL).jaccard == 1


def test_a_channel_of_another_backbone_is_another_channel() -> None:
    comparison = compare(make_table(), make_table(backbone="dinov3_vits16"))
    assert comparison.drift is None
    assert comparison.severity is Severity.RED


def _as_payload(_: Path, payload: dict[str, Any]) -> Comparable:
    return payload


def _as_file(folder: Path, payload: dict[str, Any]) -> Comparable:
    return write_payload(folder / f"{payload['meta']['config']['version']}.pt", payload)


def _as_reading(folder: Path, payload: dict[str, Any]) -> Comparable:
    path = write_payload(folder / f"{payload['meta']['config']['version']}.pt", payload)
    return open_payload(path)


@pytest.mark.parametrize("form", [_as_payload, _as_file, _as_reading])
def test_payloads_files_and_readings_give_one_comparison(
    tmp_path: Path, form: Callable[[Path, dict[str, Any]], Comparable]
) -> None:
    comparison = compare(*(form(tmp_path, payload) for payload in make_grouped_pair()))
    assert comparison.names == ("first", "second")
    assert comparison.noise is not None
    assert comparison.noise.paired
    assert np.flatnonzero(comparison.examine(PLANTED).flagged).tolist() == [5]
    assert comparison.noise.flagged_channels[2, 0, 1] == 1
    assert comparison.sentences[0].startswith("Patch tokens: drift")


def test_every_difference_is_the_version_minus_its_baseline() -> None:
    before, after = make_grouped_pair(shift=0.5)
    forth, back = compare(before, after), compare(after, before)
    assert forth.examine(PLANTED).shift.value[5] == pytest.approx(0.5, abs=0.05)
    assert back.examine(PLANTED).shift.value[5] == pytest.approx(-0.5, abs=0.05)
    statuses = (c.top(PLANTED).frame.set_index("channel")["status"] for c in (forth, back))
    new, gone = next(statuses) == "new", next(statuses) == "gone"
    assert new.sum() == gone.reindex(new.index)[new].sum()


def test_statistics_alone_are_compared_without_noise() -> None:
    comparison = compare(make_table(), make_table(drift=1.0))
    assert comparison.noise is not None
    assert np.isnan(comparison.noise.noise_floor).all()
    assert comparison.examine(CELL).note is not None


def test_versions_without_names_are_called_baseline_and_version() -> None:
    assert compare(make_payload(version=None), make_payload(version=None)).names == (
        "baseline",
        "version",
    )
    same = compare(make_payload(version="v1"), make_payload(version="v1")).names
    assert same == ("v1 (baseline)", "v1 (version)")


def test_a_drift_beside_its_noise_is_of_the_groups_that_both_have() -> None:
    first, second = make_grouped_pair(shifted=())
    cells = [(layer, role) for layer in first["layers"] for role in ("cls", "patch")]
    for payload, (layer, role) in product((first, second), cells):
        stored = payload["extras"]["layers"][layer]["groups"]
        for view in ("pre", "per_layer_ln", "global_ln"):
            cell = payload["layers"][layer][view][role]
            if view in stored and payload is first:
                stored[view][role]["mean"][3] += 5.0
            elif view in stored:
                stored[view][role]["count"][3] = 0
            representation = Representation(view)
            groups = read_groups(payload["extras"], layer, representation, TokenRole(role))
            assert groups is not None
            cell["count"] = int(groups.count.sum())
            mean, std = groups.present().pool()
            cell["mean"], cell["std"] = (torch.tensor(x, dtype=torch.float32) for x in (mean, std))
    comparison = compare(first, second)
    drift, judged, noise = comparison.drift, comparison.drift_judged, comparison.noise
    assert drift is not None
    assert judged is not None
    assert noise is not None
    assert noise.paired
    assert drift[:, 0].min() > 0.5  # of images that only the baseline was measured on
    assert judged[:, 0].max() < 2 * noise.noise_band[:, 0].min()
    assert not noise.beyond.any()
