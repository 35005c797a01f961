from __future__ import annotations

import numpy as np

from analysis.read.role_overlap import compare_roles


def _cell(outliers: dict[int, float]) -> np.ndarray:
    cell = np.ones((3, 50))
    cell[2] = np.linspace(0.9, 1.1, 50)
    for channel, size in outliers.items():
        cell[2, channel] = size
    return cell


def test_channels_that_stand_out_in_most_roles_come_first() -> None:
    found = compare_roles(
        {"cls": _cell({3: 90.0}), "patch": _cell({3: 80.0, 9: 95.0}), "storage_0": _cell({})}
    )
    assert found.frame[["channel", "roles"]].values.tolist() == [[3, 2], [9, 1]]
    assert found.frame[["cls", "patch"]].to_numpy()[0].tolist() == [90.0, 80.0]
    assert {role: mask.sum() for role, mask in found.outliers.items()} == {
        "cls": 1,
        "patch": 2,
        "storage_0": 0,
    }


def test_the_overlap_is_common_over_either_and_unknown_without_any() -> None:
    found = compare_roles({"cls": _cell({3: 90.0}), "patch": _cell({3: 80.0, 9: 95.0})})
    assert found.jaccard.loc["cls", "patch"] == 0.5
    assert found.jaccard.loc["patch", "patch"] == 1.0
    nothing = compare_roles({"cls": _cell({}), "patch": _cell({})})
    assert nothing.frame.empty
    assert np.isnan(nothing.jaccard.to_numpy()).all()


def test_a_lower_threshold_finds_no_fewer_outliers() -> None:
    cells = {"cls": _cell({3: 2.0}), "patch": _cell({3: 80.0})}
    assert compare_roles(cells).frame["roles"].tolist() == [2]
    assert compare_roles(cells, threshold=100.0).frame["roles"].tolist() == [1]
    assert compare_roles(cells, threshold=1e9).frame.empty
