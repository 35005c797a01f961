"""The page Share in its states; what it gives away is opened in tests/browser."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.payload.discovery import load_ref
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, payload_path, texts


@pytest.fixture
def keys(project: Path) -> list[str]:
    return [
        load_ref(
            write_payload(payload_path(project, version), make_payload(version=version, seed=seed))
        ).key
        for seed, version in enumerate(("v1", "v2"))
    ]


def test_it_offers_the_report_of_all_versions_on_the_screen(
    keys: list[str], open_page: Open
) -> None:
    app = open_page("share", version=keys[0], compare=keys[1])
    assert not app.exception
    assert "**v1**, **v2**" in texts(app)
    assert [button.key for button in app.get("download_button")] == ["report", "normalization"]


def test_it_says_how_many_channels_the_vector_leaves_out(keys: list[str], open_page: Open) -> None:
    app = open_page("share", version=keys[0])
    assert "Left out of 48 channels: " in texts(app)
    assert "in layer 1, " in texts(app)  # the layers that the config taps
    assert "in layer 3." in texts(app)


def test_without_a_payload_it_says_what_to_do(open_page: Open) -> None:
    app = open_page("share")
    assert not app.exception
    assert "There is nothing to show yet" in texts(app)


def test_a_read_only_server_gives_away_too(
    keys: list[str], open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    app = open_page("share", version=keys[0])
    assert not app.exception
    assert len(app.get("download_button")) == 2
