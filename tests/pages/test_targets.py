"""The Targets page names the layer that a target is linear in, and says what is missing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from analysis.payload.discovery import discover_payloads
from pages.components.targets import curves
from tests.factories.payloads import make_payload, write_payload
from tests.factories.vectors import LAYER, write_with_vectors
from tests.pages.conftest import Open, decode, figures, payload_path, texts


def test_the_page_names_the_layer_that_the_target_is_linear_in(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("targets", representation="pre", role="patch")
    assert not app.exception
    assert "Mass can be predicted" in texts(app)
    assert f"layer {LAYER}, " in texts(app)
    line = figures(app)[0]["data"][0]
    assert int(np.argmax(decode(line["y"]))) == LAYER
    assert len(decode(line["error_y"]["array"])) == 3


def test_a_target_of_noise_is_said_to_be_no_better_than_chance(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("targets", target="Noise", group="State")
    assert "Noise cannot be told from chance" in texts(app)
    assert "whole State held out" in texts(app)


def test_a_payload_without_vectors_says_what_to_do(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    app = open_page("targets")
    assert "without vectors of single images" in texts(app)
    assert not figures(app)


def test_a_second_version_without_vectors_is_named_beside_the_first(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", layers=3, channels=16))
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    app = open_page("targets", version=keys["v1"], compare=keys["v2"])
    assert not app.exception
    assert len(figures(app)) == 2
    assert "Mass can be predicted" in texts(app)
    assert "v2 is not shown" in texts(app)


def test_the_vector_of_share_is_probed_beside_the_vectors_as_they_are(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    app = open_page("targets", normalized="on")
    assert not app.exception
    names = [trace["name"] for trace in figures(app)[0]["data"]]
    assert names[:2] == ["v1", "v1, with the vector of Share"]
    assert "the vector of Share changes v1 by" in texts(app)


def test_a_first_version_without_vectors_leaves_the_page_to_the_second(
    project: Path, open_page: Open
) -> None:
    write_with_vectors(payload_path(project, "v1"))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", layers=3, channels=16))
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    app = open_page("targets", version=keys["v2"], compare=keys["v1"])
    assert not app.exception
    assert "Mass can be predicted" in texts(app)
    assert "v2 is not shown" in texts(app)


def test_curves_drawn_while_others_come_give_way_to_the_whole_figure(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("v1", "v2"):
        write_with_vectors(payload_path(project, name), version=name)
    keys = {str(ref.version): ref.key for ref in discover_payloads([project])}
    drawn: list[int] = []
    monkeypatch.setattr(curves, "PATIENCE_SECONDS", -1.0)
    monkeypatch.setattr(curves, "_draw_so_far", count_calls(curves._draw_so_far, drawn))
    app = open_page("targets", version=keys["v1"], compare=keys["v2"])
    assert not app.exception
    assert drawn == [1]
    assert [trace["name"] for trace in figures(app)[0]["data"]][:2] == ["v1", "v2"]
    assert len(figures(app)) == 2


def count_calls(function: Callable[..., None], curves_of_calls: list[int]) -> Callable[..., None]:
    """Return the function, noting how many curves each call of it draws."""

    def call(place: object, view: object, number: int) -> None:
        curves_of_calls.append(number)
        function(place, view, number)

    return call
