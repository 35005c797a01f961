"""Files are replaced beside links that a stranger put in their way, never through them."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from analysis.files.atomic import replace_file, replace_text


@pytest.fixture
def target(tmp_path: Path) -> Path:
    target = tmp_path / "home" / "profile"
    target.parent.mkdir()
    target.write_text("of a person")
    return target


def test_a_link_in_place_of_the_temporary_file_is_not_followed(
    tmp_path: Path, target: Path
) -> None:
    path = tmp_path / "x.pt"
    for name in (f".x.pt.{os.getpid()}-{threading.get_ident()}.tmp", f".x.pt.{os.getpid()}.tmp"):
        (tmp_path / name).symlink_to(target)
    with replace_file(path) as file:
        file.write(b"new")
    replace_text(path, "newer")
    assert path.read_text() == "newer"
    assert target.read_text() == "of a person"


def test_a_link_in_place_of_the_file_is_replaced(tmp_path: Path, target: Path) -> None:
    for path, write in ((tmp_path / "a", True), (tmp_path / "b", False)):
        path.symlink_to(target)
        if write:
            replace_text(path, "new")
        else:
            with replace_file(path) as file:
                file.write(b"new")
        assert not path.is_symlink()
        assert path.read_text() == "new"
    assert target.read_text() == "of a person"
