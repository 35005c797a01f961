"""Folders and files of the product's own state belong to this user and are what they seem."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.files.atomic import MAX_JSON, read_json
from analysis.files.locks import is_locked
from analysis.files.own_state import is_own_folder, make_own_folder


def test_a_folder_that_is_made_is_closed_to_everybody_else(tmp_path: Path) -> None:
    folder = tmp_path / "outputs" / ".jobs"
    make_own_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)
    assert not is_own_folder(folder)
    make_own_folder(folder)
    assert is_own_folder(folder)
    assert folder.stat().st_mode & 0o777 == 0o700


def test_a_link_is_no_folder_of_ones_own(tmp_path: Path) -> None:
    away = tmp_path / "away"
    away.mkdir()
    (tmp_path / "link").symlink_to(away)
    assert not is_own_folder(tmp_path / "link")
    with pytest.raises(ConfigError, match="is a link"):
        make_own_folder(tmp_path / "link")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_folder_of_another_user_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o700)
    os.chown(folder, 65534, 65534)
    assert not is_own_folder(folder)
    with pytest.raises(ConfigError, match="another user"):
        make_own_folder(folder)


def test_json_is_read_of_small_regular_files_only(tmp_path: Path) -> None:
    path = tmp_path / "job.json"
    path.write_text('{"a": 1}')
    assert read_json(path) == {"a": 1}
    (tmp_path / "link").symlink_to(path)
    (tmp_path / "device").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "deep").write_text("[" * 100_000)
    (tmp_path / "large").write_text('{"a": "' + "x" * MAX_JSON + '"}')
    for name in ("link", "device", "pipe", "deep", "large"):
        assert read_json(tmp_path / name) is None, name
    assert not is_locked(tmp_path / "pipe")
