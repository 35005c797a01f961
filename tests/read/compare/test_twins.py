"""Which payload a version is compared with when nobody says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from analysis.payload.discovery import discover_payloads, load_ref
from analysis.read.compare.twins import choose_baseline, choose_counterpart, find_frozen_twin
from tests.factories.payloads import make_payload, write_payload


def _write(folder: Path, name: str, *, day: int = 20, sidecar: bool = True, **changes: Any) -> Path:
    payload = make_payload(version=name, created=f"2026-11-{day:02d}T12:00:00+00:00", **changes)
    path = folder / "outputs" / name / "feature_stats" / "dinov3_feature_stats.pt"
    return write_payload(path, payload, sidecar=sidecar)


def test_the_twin_is_the_newest_of_the_same_measurement_without_an_adapter(tmp_path: Path) -> None:
    ref = load_ref(_write(tmp_path, "lora"))
    _write(tmp_path, "older", day=1, used_lora=False)
    newer = _write(tmp_path, "newer", day=2, used_lora=False)
    _write(tmp_path, "sibling", day=3)
    twin = find_frozen_twin(ref, discover_payloads([tmp_path]))
    assert twin is not None
    assert twin.path == newer


@pytest.mark.parametrize(
    "change",
    [
        {"dataset_fingerprint": "other"},
        {"weights_sha256": "other"},
        {"precision": "bf16"},
        {"images": 5},
        {"backbone": "dinov3_vits16"},
        {"lora_error": "does not fit"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_differs_by_more_than_the_adapter_is_no_twin(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    ref = load_ref(_write(tmp_path, "lora"))
    _write(tmp_path, "frozen", used_lora=False, **change)
    assert find_frozen_twin(ref, discover_payloads([tmp_path])) is None


def test_nothing_recorded_is_not_taken_for_equal(tmp_path: Path) -> None:
    ref = load_ref(_write(tmp_path, "lora", sidecar=False))
    _write(tmp_path, "frozen", used_lora=False, sidecar=False)
    assert find_frozen_twin(ref, discover_payloads([tmp_path])) is None


def test_the_counterpart_is_the_likest_then_the_newest(tmp_path: Path) -> None:
    ref = load_ref(_write(tmp_path, "mine", day=1))
    _write(tmp_path, "backbone", day=9, backbone="dinov3_vits16")
    _write(tmp_path, "images", day=8, dataset_fingerprint="other")
    _write(tmp_path, "like", day=2)
    likest = _write(tmp_path, "later", day=3)
    refs = discover_payloads([tmp_path])
    found = choose_counterpart(ref, refs)
    assert found is not None
    assert found.path == likest
    fewer = [other for other in refs if other.version not in ("like", "later")]
    assert [r.version for r in (choose_counterpart(ref, fewer),) if r] == ["images"]


def test_a_lone_payload_has_no_counterpart(tmp_path: Path) -> None:
    ref = load_ref(_write(tmp_path, "alone"))
    assert choose_counterpart(ref, [ref]) is None


def test_many_versions_are_compared_with_a_frozen_backbone_that_was_measured_like_them(
    tmp_path: Path,
) -> None:
    _write(tmp_path, "lora", day=1)
    frozen = _write(tmp_path, "frozen", day=2, used_lora=False)
    _write(tmp_path, "alone", day=3, used_lora=False, backbone="dinov3_vits16")
    _write(tmp_path, "failed", day=4, used_lora=False, lora_error="does not fit")
    baseline = choose_baseline(discover_payloads([tmp_path]))
    assert baseline is not None
    assert baseline.path == frozen


def test_without_a_frozen_backbone_like_them_the_oldest_is_the_baseline(tmp_path: Path) -> None:
    oldest = _write(tmp_path, "oldest", day=1)
    _write(tmp_path, "newest", day=2)
    _write(tmp_path, "alone", day=3, used_lora=False, backbone="dinov3_vits16")
    baseline = choose_baseline(discover_payloads([tmp_path]))
    assert baseline is not None
    assert baseline.path == oldest
    assert choose_baseline([]) is None
