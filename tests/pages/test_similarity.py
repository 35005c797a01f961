"""The Similarity page compares what there is, ranks single images, and says what is missing."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from analysis.payload.discovery import discover_payloads
from tests.factories.payloads import make_payload, write_payload
from tests.factories.vectors import IMAGES, write_with_vectors
from tests.pages.conftest import Open, decode, figures, headings, payload_path, texts


def test_a_version_is_compared_with_itself(project: Path, open_page: Open) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("similarity")
    assert not app.exception
    panels = figures(app)[0]["data"]
    assert len(panels) == 3
    for panel in panels:
        np.testing.assert_allclose(np.diagonal(decode(panel["z"]).reshape(3, 3)), 1, atol=1e-5)
    assert "The largest step of v1" in texts(app)


def test_the_image_that_moved_is_the_first(project: Path, open_page: Open) -> None:
    write_with_vectors(payload_path(project, "v1"))
    write_with_vectors(payload_path(project, "v2"), version="v2", moved=7)
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    app = open_page(
        "similarity", similarity="moved", layer="1", version=keys["v2"], compare=keys["v1"]
    )
    assert not app.exception
    assert headings(app)[0].startswith("Images that moved")
    first = figures(app)[0]["data"][1]
    assert decode(first["customdata"]).ravel()[0] == 7
    assert "7.jpg" in texts(app).replace("\\", "")


def test_the_map_has_a_point_for_every_image(project: Path, open_page: Open) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("similarity", similarity="map", color="State")
    assert not app.exception
    groups = figures(app)[0]["data"]
    assert sum(len(decode(group["x"])) for group in groups) == IMAGES
    assert len(groups) == 6


def test_the_effective_rank_is_shown_with_and_without_the_largest_channels(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("similarity", similarity="directions")
    assert not app.exception
    whole, rest = figures(app)[0]["data"][:2]
    assert (decode(rest["y"]) < decode(whole["y"])).all()


def test_a_payload_without_vectors_says_what_to_do(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("similarity")
    assert "without vectors of single images" in texts(app)
    assert not figures(app)


def test_a_second_version_without_vectors_hides_nothing_of_the_first(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", layers=3, channels=16))
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    app = open_page("similarity", version=keys["v1"], compare=keys["v2"])
    assert not app.exception
    assert "without vectors of single images" in texts(app)
    assert figures(app)
