"""The map of versions: which is on top, what is coloured, what a click means."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from analysis.read.summary import DriftSummary
from analysis.show.figures.version_map import tell_apart
from analysis.show.views.home import MOST, VersionMap, version_map
from analysis.vocabulary import TokenRole
from tests.show.figures.reading import traces

PATCH = TokenRole.PATCH


def drifted(*drift: float, floor: float | None = 0.1) -> DriftSummary:
    """Return a comparison whose patch tokens drift so much; of the CLS tokens nothing is known."""
    layers = tuple(range(3, 3 + len(drift)))
    band = None if floor is None else 1.5 * floor
    return DriftSummary(
        None,
        layers,
        tuple((None, value) for value in drift),
        tuple((None, floor) for _ in drift),
        tuple((None, band) for _ in drift),
    )


def build(**drifts: DriftSummary) -> VersionMap:
    """Return the map, which must be there."""
    found = version_map(drifts, "frozen", PATCH)
    assert found is not None
    return found


def draw(found: VersionMap) -> tuple[Any, ...]:
    """Return the traces: the cells, then the marks of each version."""
    assert found.view.figure is not None
    return traces(found.view.figure)


def colored(found: VersionMap) -> np.ndarray:
    """Return what the cells are coloured by, ``[versions, layers]``."""
    return 10.0 ** np.asarray(draw(found)[0].z, dtype=np.float64)


def test_the_version_farthest_beyond_chance_is_on_top_not_the_one_of_the_largest_drift() -> None:
    found = build(loud=drifted(0.9, 0.9, floor=0.6), sure=drifted(0.1, 0.5, floor=0.01))
    assert found.names == ("sure", "loud")
    assert found.view.title == "sure is furthest beyond chance: 50.0 ×, in layer 4"
    np.testing.assert_allclose(colored(found)[0], [10, 50], rtol=1e-5)


def test_the_course_of_the_drift_through_depth_is_told_where_it_is_beyond_chance() -> None:
    grown = drifted(0.2, 0.2, 0.3, 0.3, 0.4, 0.9)
    early = drifted(0.8, 0.4, 0.4, 0.4, 0.2, 0.2)
    first, second = build(grown=grown, early=early).view.sentence.splitlines()
    assert first.startswith("grown: furthest beyond chance in layer 8, drift grows with depth")
    assert first.endswith("(0.20 early, 0.65 late).")
    assert second.startswith("early: furthest beyond chance in layer 3, drift shrinks with")
    level, quiet = drifted(0.4, 0.5, 0.4, 0.4, 0.4, 0.5), drifted(0.1, 0.1, 0.1, 0.1, 0.1, 0.11)
    told = build(level=level, quiet=quiet).view.sentence
    assert "level: furthest beyond chance in layer 4, drift about the same at every" in told
    assert "quiet" not in told


def test_what_chance_gives_as_well_is_not_coloured() -> None:
    found = build(quiet=drifted(0.14, 0.16))
    np.testing.assert_allclose(colored(found), [[np.nan, 1.6]], rtol=1e-5)
    still = build(still=drifted(0.14, 0.12))
    assert still.view.title == "No version moved by more than chance alone gives"


def test_a_clicked_cell_is_its_version_and_layer() -> None:
    found = build(first=drifted(0.9, 0.2, 0.3), second=drifted(0.3, 0.4, 0.5))
    cells, *marks = draw(found)
    assert [mark.name for mark in marks] == ["first", "second"]
    assert found.find_cell(int(marks[1].customdata[2][0])) == ("second", 5)
    assert (cells.hoverinfo, cells.hovertemplate) == ("skip", None)  # they are logarithms


def test_without_any_noise_the_drift_itself_is_coloured_and_said_so() -> None:
    found = build(old=drifted(0.2, 0.4, floor=None))
    np.testing.assert_allclose(colored(found), [[0.2, 0.4]], rtol=1e-5)
    assert "nobody can tell drift from noise" in found.view.caption


def test_a_version_without_noise_is_left_out_beside_those_with_it() -> None:
    found = build(old=drifted(9.0, floor=None), new=drifted(0.4))
    assert found.names == ("new",)
    assert "the 1 whose noise is known" in found.view.notes[0]


def test_what_may_not_be_compared_is_counted() -> None:
    found = build(other=DriftSummary("another backbone"), fine=drifted(0.4))
    assert found.names == ("fine",)
    assert "1 of 2 versions may not be compared" in found.view.notes[0]
    assert version_map({"other": DriftSummary("another backbone")}, "frozen", PATCH) is None
    assert version_map({"cls": drifted(0.4)}, "frozen", TokenRole.CLS) is None


@pytest.mark.parametrize("versions", [MOST, MOST + 5])
def test_of_many_versions_those_that_moved_most_are_drawn(versions: int) -> None:
    found = build(**{f"v{n}": drifted(1.0 + n) for n in range(versions)})
    assert found.names[0] == f"v{versions - 1}"
    assert len(found.names) == MOST
    assert bool(found.view.notes) == (versions > MOST)


def test_identical_payloads_and_a_floor_of_zero_are_drawn() -> None:
    found = build(twin=drifted(0.0, 0.0, floor=0.0), odd=drifted(0.5, 0.0, floor=0.0))
    assert found.names == ("odd", "twin")
    assert np.isnan(colored(found)[1]).all()


@pytest.mark.parametrize(
    ("names", "labels"),
    [
        (["vitl-r16-fold1-2026", "vitl-r16-fold2-2026"], ["…fold1-2026", "…fold2-2026"]),
        (["winter-a-meadow-2026", "summer-b-meadow-2026"], ["winter-a…", "summer-b…"]),
        (["spring", "autumn"], ["spring", "autumn"]),
        (["the-only-version-2026"], ["the-only-version-2026"]),
        (["a" * 40], [f"{'a' * 15}…{'a' * 15}"]),
        (["winter-fold", "winter-fold"], ["winter-fold", "winter-fold"]),
        (
            [f"{'a' * 20}-{middle}-{'b' * 20}" for middle in ("one", "two")] + ["c" * 40],
            [f"{'a' * 20}-{middle}-{'b' * 20}" for middle in ("one", "two")]
            + [f"{'c' * 15}…{'c' * 15}"],
        ),
    ],
)
def test_long_names_are_told_apart_by_what_they_do_not_share(
    names: list[str], labels: list[str]
) -> None:
    assert tell_apart(names) == labels
