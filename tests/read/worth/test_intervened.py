"""The probe with an intervention in place: only the channel that carries the target matters."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.errors import InputError
from analysis.payload.features import Features, read_features
from analysis.payload.intervention_file import Arm, InterventionResult
from analysis.read.worth.intervened import (
    describe_probes,
    probe_intervention,
    probe_targets,
    tabulate_probes,
)
from analysis.read.worth.probe import probe_vectors
from analysis.read.worth.problem import make_problem
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.vectors import IMAGES, write_with_vectors
from tests.payload.test_intervention_file import make_result

CARRIER = 3
ARMS = (Arm(1, (CARRIER,), False), *(Arm(1, (channel,), True) for channel in (5, 6, 7)))


@pytest.fixture(scope="module")
def vectors() -> NDArray[np.float32]:
    return np.random.default_rng(0).standard_normal((IMAGES, 2, 12)).astype(np.float32)


@pytest.fixture(scope="module")
def result(vectors: NDArray[np.float32]) -> InterventionResult:
    final = np.stack([vectors] * (1 + len(ARMS)))
    for place, arm in enumerate(ARMS):
        final[1 + place][..., list(arm.channels)] = 0
    empty = make_result(arms=len(ARMS), images=IMAGES)
    names = tuple(f"{n}.jpg" for n in reversed(range(IMAGES)))
    return replace(empty, arms=ARMS, images=names, final=final)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory, vectors: NDArray[np.float32]) -> Features:
    path = tmp_path_factory.mktemp("features") / "p.pt"
    write_with_vectors(path)
    carried = vectors[::-1, TokenRole.PATCH.position, CARRIER].astype(np.float64)
    return replace(read_features(path), targets={"Mass": carried, "Flat": np.ones(IMAGES)})


def test_only_the_channel_that_carries_the_target_matters(
    result: InterventionResult, features: Features
) -> None:
    found = probe_intervention(result, features, "Mass", TokenRole.PATCH)
    assert found.plain > 0.9
    assert found.chosen < 0.2
    assert found.change.value == pytest.approx(found.chosen - found.plain)
    assert np.abs(found.controls).max() < 0.1
    assert found.matters
    assert not probe_intervention(result, features, "Mass", TokenRole.CLS).matters


def test_the_numbers_are_those_of_the_probe_on_the_changed_vectors(
    result: InterventionResult, features: Features
) -> None:
    found = probe_intervention(result, features, "Mass", TokenRole.PATCH, arm=2)
    assert result.final is not None
    problem = make_problem("Mass", features.targets["Mass"][::-1], permutations=1)
    cell = Cell(0, Representation.PRE, TokenRole.PATCH)
    changed = probe_vectors(result.final[3, :, TokenRole.PATCH.position], problem, cell)
    assert found.chosen == pytest.approx(float(changed.scores[0]))


def test_a_target_that_cannot_be_probed_is_left_out_and_the_rest_described(
    result: InterventionResult, features: Features
) -> None:
    probes = probe_targets(result, features)
    assert [(each.target, each.role) for each in probes] == [
        ("Mass", TokenRole.CLS),
        ("Mass", TokenRole.PATCH),
    ]
    assert "Mass from patches (-" in describe_probes(probes)
    assert tabulate_probes(probes)["matters"].tolist() == [False, True]


def test_what_is_missing_is_said(result: InterventionResult, features: Features) -> None:
    with pytest.raises(InputError, match=r"no numeric column 'Age'\. It has: Mass, Flat"):
        probe_intervention(result, features, "Age", TokenRole.CLS)
    with pytest.raises(InputError, match="does not hold the final vectors"):
        probe_targets(replace(result, final=None), features)
    few = replace(features, targets={"Mass": np.r_[[np.nan] * 50, np.arange(10.0)]})
    with pytest.raises(InputError, match="needs 20 images with a value, this result has 10"):
        probe_targets(result, few)
