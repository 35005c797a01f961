from __future__ import annotations

import os
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.files import roots
from analysis.files.roots import allowed_roots, resolve_below_roots


def test_roots_are_the_project_dir_and_the_environments(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(roots.ROOTS_ENV, raising=False)
    assert allowed_roots() == (tmp_path,)
    added = os.pathsep.join([str(tmp_path / "a"), "", "b", str(tmp_path / "a")])
    monkeypatch.setenv(roots.ROOTS_ENV, added)
    assert allowed_roots(tmp_path / "p") == (tmp_path / "p", tmp_path / "a", tmp_path / "b")


def test_paths_below_a_root_are_resolved(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert resolve_below_roots(tmp_path / "link" / "x", [tmp_path]) == tmp_path / "real" / "x"
    assert resolve_below_roots(tmp_path, [tmp_path]) == tmp_path


@pytest.mark.parametrize(
    "path",
    [
        pytest.param("root/../secret", id="dots"),
        pytest.param("root-evil/x", id="same-beginning"),
        pytest.param("root/link/x", id="link"),
        pytest.param("/etc/passwd", id="absolute"),
        pytest.param("root/\0x", id="null-byte"),
        pytest.param("~nobody-of-this-name/x", id="unknown-user"),
    ],
)
def test_paths_outside_every_root_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    with pytest.raises(ConfigError):
        resolve_below_roots(path, [root])
