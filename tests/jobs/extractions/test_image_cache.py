"""A long list of images is asked for once, and anew when its files have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.collect.plan.settings import load_settings
from analysis.jobs.extractions import image_cache
from analysis.jobs.extractions.image_cache import remember_images
from tests.factories.projects import make_project


@pytest.fixture
def project(tmp_path: Path) -> Path:
    make_project(tmp_path, images=3, lora=False, weights=False)
    return tmp_path


def test_a_long_list_is_the_same_until_its_csv_changes(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "QUICK", 0)
    settings = load_settings(project)
    first = remember_images(settings, "all", 0)
    assert remember_images(settings, "all", 0) is first
    assert len(remember_images(settings, "all", 2).entries) == 2
    assert settings.train_csv is not None
    text = settings.train_csv.read_text()
    settings.train_csv.write_text(text + "\n")
    assert remember_images(settings, "all", 0) is not first


def test_a_short_list_is_always_asked_for_anew(project: Path) -> None:
    settings = load_settings(project)
    assert remember_images(settings, "all", 0) is not remember_images(settings, "all", 0)


def test_a_list_is_believed_for_a_while_only(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(image_cache, "QUICK", 0)
    monkeypatch.setattr(image_cache, "FRESH_S", -1.0)
    settings = load_settings(project)
    assert remember_images(settings, "all", 0) is not remember_images(settings, "all", 0)
