"""The cache lies where the user says, else in the user's cache folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.files.cache_folder import CACHE_ENV, cache_folder


def test_the_environment_names_the_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(CACHE_ENV, str(tmp_path))
    assert cache_folder() == tmp_path


def test_without_it_the_folder_is_of_this_project_and_of_the_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(CACHE_ENV, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "dinov3-feature-stats"
    assert cache_folder().is_relative_to(tmp_path)
