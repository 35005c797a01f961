"""No run replaces a file of a person, or one of its own with another."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from analysis.cli.extract import main
from analysis.payload.file import load_payload
from tests.factories.projects import BACKBONE, make_project

FLAGS = ["--quiet", "--device=cpu", "--num-workers=0", "--max-images=1", "--no-extras"]


def contents(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def refuse(project: Path, capsys: pytest.CaptureFixture[str], *flags: str) -> str:
    """Run with flags that must be refused; nothing may change."""
    before = contents(project)
    code = main([f"--project-dir={project}", *FLAGS, *flags])
    assert contents(project) == before
    assert code == 2
    return capsys.readouterr().err


OWN_FILES = {
    "config": "configs/train.yaml",
    "CSV": "data/train.csv",
    "weights": f"weights/{BACKBONE}_random.pth",
    "head": "weights/head/infer_head.pt",
    "image": "data/train/ID0000.jpg",
}


@pytest.mark.parametrize("flag", ["--output", "--preview", "--progress"])
@pytest.mark.parametrize("file", OWN_FILES)
def test_what_a_run_reads_is_never_written(
    flag: str, file: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, images=1)
    error = refuse(project, capsys, f"{flag}={project / OWN_FILES[file]}")
    assert flag in error
    assert Path(OWN_FILES[file]).name in error


@pytest.mark.parametrize("make", [os.symlink, os.link], ids=["symbolic", "hard"])
def test_a_link_to_what_a_run_reads_is_never_written(
    make: Callable[[Path, Path], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, images=1)
    for flag in ("--output", "--progress", "--preview"):
        link = project / f"link{flag}.pt"
        make(project / OWN_FILES["weights"], link)
        assert flag in refuse(project, capsys, f"{flag}={link}")


@pytest.mark.parametrize(
    ("output", "other"),
    [
        ("x.pt", "--progress=x.json"),
        ("x.pt", "--progress=x.log"),
        ("x.pt", "--progress=x.pt"),
        ("x.pt", "--preview=x.pt"),
        ("x.pt", "--preview=x.other"),
        ("x.pt", "--progress=x.features.safetensors"),
        ("x.log", "--quiet"),
        ("x.pt", "--preview=y.json"),
    ],
)
def test_two_outputs_of_a_run_are_two_files(
    output: str,
    other: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make_project(tmp_path, images=1)
    monkeypatch.chdir(tmp_path)
    assert "same file" in refuse(project, capsys, f"--output={output}", other)


def test_two_names_in_a_linked_folder_are_one_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, images=1)
    (project / "there").mkdir()
    (project / "linked").symlink_to(project / "there")
    flags = (f"--output={project}/there/x.pt", f"--progress={project}/linked/x.json")
    assert "same file" in refuse(project, capsys, *flags)


@pytest.mark.parametrize(
    ("name", "content", "flag"),
    [
        ("mine.pt", b"not a payload", "--output=mine.pt"),
        ("mine.pt", b"not a payload", "--preview=mine.pt"),
        ("mine.json", b'{"labels": [1, 2]}', "--output=mine.pt"),
        ("mine.log", b"2026-01-01 10:00:00,000 INFO epoch 1\n", "--output=mine.pt"),
        ("mine.txt", b"notes", "--progress=mine.txt"),
        ("mine.json", b'{"state": "of my mind"}', "--progress=mine.json"),
    ],
)
def test_a_file_of_another_kind_is_never_replaced(
    name: str,
    content: bytes,
    flag: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    project = make_project(tmp_path, images=1)
    (tmp_path / name).write_bytes(content)
    monkeypatch.chdir(tmp_path)
    error = refuse(project, capsys, flag)
    assert name in error
    assert "stays as it is" in error


def test_facts_of_another_file_do_not_make_a_payload(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, images=1)
    monkeypatch.chdir(tmp_path)
    assert main([f"--project-dir={project}", *FLAGS, "--output=x.pt"]) == 0
    Path("x.pt").write_bytes(b"something else by now")
    assert "not a payload" in refuse(project, capsys, "--output=x.pt")


def test_a_log_is_not_written_through_a_link(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path, images=1)
    (project / "profile").write_text("export PATH\n")
    (project / "x.log").symlink_to(project / "profile")
    assert "link" in refuse(project, capsys, f"--output={project / 'x.pt'}")


def test_an_earlier_run_and_an_empty_file_are_replaced(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=1)
    output, progress = tmp_path / "x.pt", tmp_path / "p.json"
    output.touch()
    progress.touch()
    command = [f"--project-dir={project}", *FLAGS, f"--output={output}", f"--progress={progress}"]
    assert main(command) == 0
    assert main([*command, "--backup"]) == 0
    assert load_payload(output)["meta"]["counts"]["num_images"] == 1
    assert json.loads(progress.read_text())["state"] == "done"


def test_a_csv_outside_the_data_root_is_not_quoted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text("root:x:0:0\n")
    project = make_project(
        tmp_path / "p", images=1, changes={"data.train_csv": str(tmp_path / "secret.txt")}
    )
    error = refuse(project, capsys)
    assert "secret.txt" in error
    assert "image_path" in error
    assert "root:x" not in error


def test_a_link_below_the_data_root_is_outside_of_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "secret.txt").write_text("root:x:0:0\n")
    project = make_project(tmp_path / "p", images=1)
    (project / "data" / "train.csv").unlink()
    (project / "data" / "train.csv").symlink_to(tmp_path / "secret.txt")
    assert "root:x" not in refuse(project, capsys)
