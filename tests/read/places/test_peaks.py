from __future__ import annotations

import numpy as np

from analysis.read.places.peaks import describe_peaks, group_peaks

PLACES = np.array([[0, 5], [1, 5], [0, 5], [2, 7], [0, 5]], dtype=np.int32)


def test_channels_are_gathered_by_image_and_patch_the_most_shared_first() -> None:
    frame = group_peaks(np.array([3, 4, 1, 0, 2]), PLACES, ["a", "b", "c"])
    assert frame["count"].tolist() == [3, 1, 1]
    assert frame["channels"].tolist() == ["4, 0, 2", "3", "1"]
    assert frame["path"].tolist() == ["a", "c", "b"]
    assert frame[["image", "patch"]].to_numpy().tolist() == [[0, 5], [2, 7], [1, 5]]


def test_a_patch_is_told_by_row_and_column_where_the_grid_is_known() -> None:
    frame = group_peaks(np.arange(5), PLACES, columns=3)
    assert frame[["row", "column"]].to_numpy().tolist() == [[1, 2], [1, 2], [2, 1]]
    assert "in patch (1, 2) of image 0" in describe_peaks(frame)


def test_the_same_patch_of_another_image_is_another_place() -> None:
    assert len(group_peaks(np.array([0, 1]), PLACES)) == 2


def test_the_sentence_says_whether_one_place_explains_the_peaks() -> None:
    frame = group_peaks(np.arange(5), PLACES)
    assert describe_peaks(frame) == (
        "3 of the top 5 channels peak in patch 5 of image 0: one token makes most of them large."
    )
    few = group_peaks(np.array([0, 2, 1, 3, 1, 3, 1]), PLACES)
    assert describe_peaks(few) == (
        "3 of the top 7 channels peak in patch 5 of image 1; together they peak in 3 different "
        "patches."
    )
    assert describe_peaks(group_peaks(np.array([0, 3]), PLACES)) == (
        "Each of the top 2 channels peaks in another patch."
    )
    assert describe_peaks(group_peaks(np.array([3]), PLACES)) == "One channel, one patch."


def test_tokens_without_a_place_peak_in_images() -> None:
    frame = group_peaks(np.arange(5), PLACES * [1, 0] - [0, 1])
    assert "in image 0: one token" in describe_peaks(frame)


def test_an_image_is_named_by_its_path_where_it_is_known() -> None:
    frame = group_peaks(np.arange(5), PLACES, ["a.jpg", "b.jpg", "c.jpg"])
    assert "in patch 5 of a.jpg: one token" in describe_peaks(frame)
