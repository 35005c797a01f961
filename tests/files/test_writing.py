"""What is written goes where its path led when it was named, and nowhere else."""

from __future__ import annotations

import ast
import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from analysis.errors import ConfigError
from analysis.files.atomic import keep_backup, replace_bytes, replace_file, replace_text
from analysis.files.locks import acquire_lock
from analysis.files.own_state import make_own_folder
from analysis.files.writing import (
    confine_writes,
    hold_folder,
    link_file,
    make_folder,
    open_folder,
    open_log,
    remove_file,
    touch_file,
)
from tests import ROOT

WRITES: dict[str, Callable[[Path], object]] = {
    "text": lambda path: replace_text(path, "new"),
    "bytes": lambda path: replace_bytes(path, b"new"),
    "log": lambda path: open_log(path).close(),
    "more of a log": lambda path: open_log(path, append=True).close(),
    "mark": touch_file,
    "lock": lambda path: os.close(acquire_lock(path, wait=False) or 0),
    "folder": make_folder,
    "own folder": make_own_folder,
    "link": lambda path: link_file(path, Path("/")),
    "backup": keep_backup,
    "removal": remove_file,
}


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DASHBOARD_WRITE_ROOTS", "")
    root = tmp_path / "root"
    root.mkdir()
    confine_writes([root])
    return root


@pytest.mark.parametrize("kind", WRITES)
def test_a_server_writes_nothing_outside_its_roots_whatever_is_a_link(
    confined: Path, kind: str
) -> None:
    away = confined.parent / "away"
    away.mkdir()
    (away / "x").write_text("of a person")
    (confined / "outputs").symlink_to(away)
    for path in (away / "x", confined / "outputs" / "x", confined / ".." / "away" / "x"):
        with pytest.raises(PermissionError):
            WRITES[kind](path)
    assert {path.name for path in away.iterdir()} == {"x"}
    assert (away / "x").read_text() == "of a person"


@pytest.mark.parametrize("kind", WRITES)
def test_a_link_in_the_place_of_a_file_leaves_what_it_leads_to(tmp_path: Path, kind: str) -> None:
    person = tmp_path / "profile"
    person.write_text("of a person")
    os.utime(person, (1, 1))
    (tmp_path / "x").symlink_to(person)
    with contextlib.suppress(OSError, ConfigError):  # refused is as good as replaced
        WRITES[kind](tmp_path / "x")
    assert person.read_text() == "of a person"
    assert person.stat().st_mtime == 1


@pytest.mark.parametrize("kind", ["more of a log", "mark", "lock"])
def test_a_pipe_in_the_place_of_a_file_keeps_nobody_waiting(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "x")
    with pytest.raises(OSError, match=r"regular|No such device"):
        WRITES[kind](tmp_path / "x")


def test_a_new_log_leaves_the_other_name_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "profile").write_text("of a person")
    os.link(tmp_path / "profile", tmp_path / "x.log")
    with open_log(tmp_path / "x.log") as file:
        file.write(b"line\n")
    assert (tmp_path / "profile").read_text() == "of a person"


def test_a_link_that_takes_the_place_of_a_folder_later_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    judged = folder.resolve()
    (tmp_path / "a").rename(tmp_path / "aside")
    (tmp_path / "away" / "b").mkdir(parents=True)
    (tmp_path / "a").symlink_to(tmp_path / "away")
    with pytest.raises(OSError, match="directory"):
        open_folder(judged)


def test_a_file_is_finished_in_the_folder_that_it_was_begun_in(tmp_path: Path) -> None:
    folder = tmp_path / "outputs"
    folder.mkdir()
    (tmp_path / "away").mkdir()
    with replace_file(folder / "x.pt") as file:
        file.write(b"payload")
        folder.rename(tmp_path / "aside")
        folder.symlink_to(tmp_path / "away")
    assert (tmp_path / "aside" / "x.pt").read_bytes() == b"payload"
    assert list((tmp_path / "away").iterdir()) == []


def test_folders_that_are_missing_are_made_with_the_mode(tmp_path: Path) -> None:
    with hold_folder(tmp_path / "a" / "b", make=0o700):
        assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700


WRITERS = {"write_text", "write_bytes", "mkdir", "makedirs", "touch", "symlink_to", "hardlink_to",
           "rename", "FileHandler", "mkstemp", "NamedTemporaryFile", "savetxt", "copyfile",
           "copy2", "move", "replace_with"}  # fmt: skip
"""Names of functions that write where a path leads."""

EXCEPTIONS = {
    "analysis/show/browser_images.py": "writes in a temporary folder of its own",
    "analysis/files/processes.py": "names this process in /proc",
    "analysis/files/confinement.py": "maps the user of this process in /proc",
}


def test_every_write_of_the_product_goes_through_the_functions_of_files() -> None:
    found = [
        f"{path}:{line}: {name}"
        for path in sorted(str(p.relative_to(ROOT)) for p in _sources())
        if path not in EXCEPTIONS and path != "analysis/files/writing.py"
        for line, name in _written(path)
    ]
    assert found == [], "see analysis/files/writing.py and atomic.py"


def _sources() -> Iterator[Path]:
    yield from (ROOT / "analysis").rglob("*.py")
    yield from (ROOT / "pages").rglob("*.py")
    yield ROOT / "app.py"


def _written(path: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse((ROOT / path).read_text())):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "attr", getattr(node.func, "id", ""))
        texts = [a.value for a in node.args if isinstance(a, ast.Constant)]
        texts += [k.value.value for k in node.keywords if isinstance(k.value, ast.Constant)]
        # a figure's `rename(columns=...)` has no positional argument
        if any(keyword.arg == "dir_fd" for keyword in node.keywords):
            continue
        if name in WRITERS and not (name == "rename" and not node.args):
            yield node.lineno, name
        is_mode = any(isinstance(t, str) and t in {"w", "a", "x", "wb", "ab", "xb", "r+b"}
                      for t in texts)  # fmt: skip
        if name == "open" and is_mode:
            yield node.lineno, f"{name} for writing"
        if name == "save" and isinstance(node.func, ast.Attribute) and _is_to_a_path(node):
            yield node.lineno, "save to a path"


def _is_to_a_path(node: ast.Call) -> bool:
    return any("path" in ast.unparse(argument).lower() for argument in node.args)
