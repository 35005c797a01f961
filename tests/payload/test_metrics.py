"""Scores beside a version are read where they are numbers, and nothing else is believed."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.payload.metrics import MAX_BYTES, read_metrics


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    """Return the path of a payload below `outputs/v1/train_all`; the folders are there."""
    folder = tmp_path / "outputs" / "v1" / "train_all" / "feature_stats"
    folder.mkdir(parents=True)
    return folder / "dinov3_feature_stats.pt"


def test_numbers_of_a_json_are_metrics_and_other_values_are_not(payload: Path) -> None:
    text = '{"r2": 0.71, "epoch": 12, "name": "a", "best": true, "loss": NaN, "all": {"r2": 1}}'
    (payload.parents[2] / "metrics.json").write_text(text)
    assert read_metrics(payload) == {"r2": 0.71, "epoch": 12.0}


def test_of_a_csv_the_last_row_counts_and_the_nearest_folder_goes_first(payload: Path) -> None:
    (payload.parents[2] / "metrics.json").write_text('{"r2": 0.1}')
    (payload.parents[1] / "metrics.csv").write_text("epoch,r2,note\n1,0.5,a\n2,0.6,b\n")
    assert read_metrics(payload) == {"epoch": 2.0, "r2": 0.6}


@pytest.mark.parametrize(
    "content", [b"", b"[1, 2]", b"{" * 100_000, b"\xff\xfe", b'{"a": 1}' + b" " * MAX_BYTES]
)
def test_a_file_that_is_no_table_of_numbers_is_as_none(payload: Path, content: bytes) -> None:
    (payload.parents[1] / "metrics.json").write_bytes(content)
    assert read_metrics(payload) == {}


def test_a_link_is_not_followed(payload: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.json"
    secret.write_text('{"pin": 1234}')
    (payload.parents[1] / "metrics.json").symlink_to(secret)
    assert read_metrics(payload) == {}
