"""Interventions on the command line: what is printed, exit codes, and the cache."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from analysis.cli.extract import main
from analysis.payload.intervention_file import load_interventions
from tests.factories.measured_project import make_measured_project

Capture = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def payload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_measured_project(tmp_path_factory.mktemp("project"))


def _run(payload: Path, *flags: str) -> int:
    project = payload.parents[3]
    return main(["intervene", str(payload), f"--project-dir={project}", "--quiet", *flags])


def test_effects_are_printed_as_json_and_kept_in_a_file(payload: Path, capsys: Capture) -> None:
    flags = ("--layer=2", "--top=2", "--max-images=2", "--draws=2", "--json")
    assert _run(payload, *flags) == 0
    found = json.loads(capsys.readouterr().out)
    assert {row["role"] for row in found["effects"]} == {"cls", "patch"}
    assert len(found["sentences"]) == 2
    result = load_interventions(Path(found["file"]))
    assert (len(result.arms), len(result.images)) == (3, 2)
    means = result.final_relative[0].mean(axis=0)
    np.testing.assert_allclose([row["relative"] for row in found["effects"]], means, rtol=1e-5)


def test_an_equal_request_is_answered_from_its_file(payload: Path, capsys: Capture) -> None:
    flags = ("--layer=5", "--channels=3,7", "--max-images=1", "--draws=1", "--json")
    assert _run(payload, *flags) == 0
    first = json.loads(capsys.readouterr().out)
    written = Path(first["file"]).stat().st_mtime_ns
    assert _run(payload, *flags) == 0
    assert json.loads(capsys.readouterr().out) == first
    assert Path(first["file"]).stat().st_mtime_ns == written


def test_a_sweep_runs_each_channel_from_each_layer(payload: Path, tmp_path: Path) -> None:
    output = tmp_path / "sweep.safetensors"
    flags = ("--sweep", "--layer=9", "--top=2", "--max-images=1", "--draws=1", "--set=zero")
    assert _run(payload, *flags, f"--output={output}") == 0
    result = load_interventions(output)
    chosen = [(arm.layer, len(arm.channels)) for arm in result.arms if not arm.is_control]
    assert chosen == [(9, 1), (10, 1), (11, 1)] * 2
    assert sum(arm.is_control for arm in result.arms) == 3


@pytest.mark.parametrize("flag", ["--output", "--progress"])
def test_a_file_of_another_kind_is_never_replaced(
    payload: Path, capsys: Capture, tmp_path: Path, flag: str
) -> None:
    notes = tmp_path / "notes.txt"
    notes.write_text("mine")
    before = payload.read_bytes()
    for victim in (notes, payload):
        assert _run(payload, "--layer=1", "--max-images=1", f"{flag}={victim}") == 2
        assert f"{flag} {victim}: there is a file already" in capsys.readouterr().err
    assert (notes.read_text(), payload.read_bytes()) == ("mine", before)


def test_output_and_progress_are_two_files(payload: Path, capsys: Capture, tmp_path: Path) -> None:
    both = tmp_path / "one"
    assert _run(payload, "--layer=1", f"--output={both}", f"--progress={both}") == 2
    assert "is the same file as --output" in capsys.readouterr().err
    assert not both.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ((), "--layer"),
        (("--layer=40",), "Layer 40 is not in this payload"),
        (("--layer=1", "--channels=a"), "--channels a"),
        (("--layer=1", "--channels=999"), "--channels 999"),
        (("--layer=1", "--tokens=word"), "--tokens word"),
        (("--layer=1", "--max-images=0"), "--max-images 0"),
        (("--layer=1", "--images-dir=/nowhere"), "/nowhere"),
    ],
)
def test_wrong_flags_end_with_one_sentence(
    payload: Path, capsys: Capture, flags: tuple[str, ...], words: str
) -> None:
    assert _run(payload, *flags) == 2
    printed = capsys.readouterr().err.strip()
    assert printed.startswith("ERROR: ")
    assert words in printed
    assert "\n" not in printed
