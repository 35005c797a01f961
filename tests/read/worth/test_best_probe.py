"""The best probe of a list is that of the Targets page, in the layer the target was made from."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.errors import InputError
from analysis.payload.features import read_features
from analysis.payload.reading import open_payload
from analysis.read.worth.best_probe import find_best_probe, parse_best_probe, to_json
from analysis.read.worth.probe import probe
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.vectors import LAYER, write_with_vectors


def test_the_layer_that_the_target_is_linear_in_with_the_score_of_its_probe(tmp_path: Path) -> None:
    path = tmp_path / "feature_stats" / "v1.pt"
    write_with_vectors(path)
    features = read_features(path, open_payload(path, keep=False).table)
    best = find_best_probe(features)
    assert (best.target, best.layer, best.role, best.predictable) == ("Mass", LAYER, "patch", True)
    cell = Cell(LAYER, Representation.PRE, TokenRole.PATCH)
    assert best.score == pytest.approx(probe(features, "Mass", cells=[cell]).scores[0])
    assert parse_best_probe(to_json(best)) == best


def test_vectors_of_too_few_images_are_refused_and_not_scored(tmp_path: Path) -> None:
    path = tmp_path / "feature_stats" / "v1.pt"
    write_with_vectors(path, left_out=55)
    features = read_features(path, open_payload(path, keep=False).table)
    with pytest.raises(InputError):
        find_best_probe(features)
