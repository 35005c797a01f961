"""How many images two payloads share, and what a comparison makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.payload.reading import build_reading
from analysis.read.compare.common_images import count_common_images
from analysis.read.compare.comparison import Comparison, compare
from analysis.read.compare.compatibility import Severity
from tests.factories.payloads import make_payload


def _payload(first: int, **changes: Any) -> dict[str, Any]:
    payload = make_payload(extras=True, **changes)
    payload["extras"]["images"]["paths"] = [f"{first + i}.jpg" for i in range(6)]
    return payload


def _compare(first: int) -> Comparison:
    return compare(_payload(0), _payload(first, version="v2", dataset_fingerprint="other"))


def _reason(comparison: Comparison) -> tuple[Severity, str]:
    return next((r.severity, r.sentence) for r in comparison.reasons if r.topic == "images")


def test_no_common_image_is_red_and_begins_every_sentence() -> None:
    comparison = _compare(100)
    assert _reason(comparison)[0] is comparison.severity is Severity.RED
    findings = [finding.sentence for finding in comparison.findings()]
    assert findings
    assert all(sentence.startswith("On different images") for sentence in findings)


def test_some_common_images_are_amber_with_their_share() -> None:
    comparison = _compare(2)
    severity, sentence = _reason(comparison)
    assert severity is Severity.AMBER
    assert sentence.endswith("4 of 6 are in common.")
    assert not any(s.startswith("On different") for s in comparison.sentences)


@pytest.mark.parametrize("fingerprint", ["one", None])
def test_the_fingerprint_is_asked_before_the_paths(fingerprint: str | None) -> None:
    pair = [build_reading(_payload(first, dataset_fingerprint=fingerprint)) for first in (0, 100)]
    found = count_common_images(pair)
    assert found is not None
    assert found.any is (fingerprint is not None)


def test_without_lists_of_images_nothing_is_known() -> None:
    pair = [build_reading(make_payload(dataset_fingerprint=name)) for name in "ab"]
    assert count_common_images(pair) is None
