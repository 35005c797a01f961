"""Killed at any moment and resumed, a run ends with the numbers of an undisturbed one."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from analysis import read_features
from analysis.cli.extract import main
from analysis.payload.features import STORED
from tests import ROOT
from tests.agreement import largest_difference, load
from tests.factories.projects import make_project

IMAGES = 60


def flags(project: Path, output: Path) -> list[str]:
    return [
        *(f"--project-dir={project}", f"--output={output}", "--device=cpu", "--num-workers=0"),
        *("--batch-size=2", "--checkpoint-every=0", "--quiet"),
    ]


def kill_and_resume(tmp_path: Path, rounds: int, seed: int) -> None:
    """Kill with SIGKILL `rounds` times after a random number of checkpoints, then compare."""
    project = make_project(tmp_path / "project", images=IMAGES)
    whole, killed = tmp_path / "whole.pt", tmp_path / "killed.pt"
    assert main(flags(project, whole)) == 0
    checkpoint = tmp_path / "killed.rank0of1.checkpoint"
    choose = random.Random(seed)
    command = [sys.executable, "-m", "analysis", *flags(project, killed), "--resume"]
    for _ in range(rounds):
        child = subprocess.Popen(command, cwd=ROOT)
        before = checkpoint.stat().st_mtime_ns if checkpoint.exists() else 0
        deadline = time.monotonic() + 120
        while child.poll() is None and time.monotonic() < deadline:
            if checkpoint.exists() and checkpoint.stat().st_mtime_ns != before:
                break
            time.sleep(0.002)
        time.sleep(choose.uniform(0, 0.2))
        child.kill()
        child.wait()
        if killed.exists():
            break
    assert main([*flags(project, killed), "--resume"]) == 0
    one, other = load(whole), load(killed)
    assert other["meta"]["counts"] == one["meta"]["counts"]
    assert largest_difference(one, other) < 1e-6
    vectors, resumed = read_features(whole), read_features(killed)
    assert resumed.images.tolist() == vectors.images.tolist() == list(range(IMAGES))
    layer = vectors.table.num_layers - 1
    for role, representation in STORED:
        np.testing.assert_allclose(
            resumed.standardized(layer, role, representation),
            vectors.standardized(layer, role, representation),
            atol=2e-3,
        )
    left = {path.name for path in tmp_path.iterdir() if path.is_file()}
    assert {name for name in left if "checkpoint" in name} == set()


def test_killed_three_times_and_resumed_gives_the_same_payload(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, rounds=3, seed=0)


@pytest.mark.soak
def test_killed_twenty_times_and_resumed_gives_the_same_payload(tmp_path: Path) -> None:
    kill_and_resume(tmp_path, rounds=20, seed=1)


def leave_a_checkpoint(project: Path, output: Path) -> Path:
    """Cut a run off after its first batches and return the checkpoint that stays."""
    command = [sys.executable, "-m", "analysis", *flags(project, output)]
    child = subprocess.Popen(command, cwd=ROOT)
    checkpoint = output.with_name(f"{output.stem}.rank0of1.checkpoint")
    deadline = time.monotonic() + 120
    while not checkpoint.exists() and child.poll() is None and time.monotonic() < deadline:
        time.sleep(0.002)
    child.kill()
    child.wait()
    assert checkpoint.exists()
    return checkpoint


def test_checkpoint_of_other_weights_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "project", images=IMAGES)
    output = tmp_path / "stats.pt"
    checkpoint = leave_a_checkpoint(project, output)
    assert main([*flags(project, output), "--resume", "--head-weights=none"]) == 2
    assert "adapter_sha256" in capsys.readouterr().err
    assert checkpoint.exists()
    assert not output.exists()


def test_damaged_checkpoint_is_refused_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    project = make_project(tmp_path / "project", images=4)
    output = tmp_path / "stats.pt"
    (tmp_path / "stats.rank0of1.checkpoint").write_bytes(b"PK\x03\x04 damaged")
    assert main([*flags(project, output), "--resume"]) == 2
    assert "stats.rank0of1.checkpoint" in capsys.readouterr().err


def test_without_resume_a_run_starts_anew(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=4)
    output = tmp_path / "stats.pt"
    (tmp_path / "stats.rank0of1.checkpoint").write_bytes(b"of an older run")
    assert main(flags(project, output)) == 0
    assert load(output)["meta"]["counts"]["num_images"] == 4
