"""Several ranks write the payload that one would have written (gloo, on the CPU)."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import torch

from analysis.cli.extract import main
from analysis.collect.run import ranks
from analysis.errors import ConfigError
from tests import ROOT
from tests.agreement import largest_difference, load
from tests.factories.projects import make_project


def run_ranks(project: Path, output: Path, world_size: int, *flags: str) -> int:
    command = [
        *(sys.executable, "-m", "torch.distributed.run"),
        *(f"--nproc-per-node={world_size}", "--master-port=0", "--rdzv-backend=c10d"),
        *("--rdzv-endpoint=127.0.0.1:0", "-m", "analysis", f"--project-dir={project}"),
        *("--device=cpu", "--num-workers=0", "--quiet", f"--output={output}", *flags),
    ]
    return subprocess.run(command, cwd=ROOT, check=False, timeout=300).returncode


@pytest.mark.parametrize(
    ("world_size", "images"),
    [pytest.param(2, 7, id="uneven shards"), pytest.param(3, 4, id="a rank without an image")],
)
def test_ranks_write_the_payload_of_one_process(
    tmp_path: Path, world_size: int, images: int
) -> None:
    project = make_project(tmp_path / "project", images=images)
    flags = [f"--project-dir={project}", "--device=cpu", "--num-workers=0", "--quiet"]
    assert main([*flags, "--batch-size=2", f"--output={tmp_path / 'one.pt'}"]) == 0
    assert run_ranks(project, tmp_path / "many.pt", world_size, "--batch-size=2") == 0
    one, many = load(tmp_path / "one.pt"), load(tmp_path / "many.pt")
    assert many["meta"]["run"]["world_size"] == world_size
    assert many["meta"]["counts"] == one["meta"]["counts"]
    assert largest_difference(one, many) < 1e-6
    for layer, extras in one["extras"]["layers"].items():
        theirs = many["extras"]["layers"][layer]["footprint"]
        assert torch.equal(extras["footprint"]["channels"], theirs["channels"])
        torch.testing.assert_close(extras["footprint"]["mean_abs"], theirs["mean_abs"])
    left = [path.name for path in tmp_path.iterdir() if "checkpoint" in path.name]
    assert left == []


def test_ranks_of_another_launcher_meet_at_the_address_of_the_environment(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=3, lora=False)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        *(sys.executable, "-m", "analysis", f"--project-dir={project}", "--device=cpu"),
        *("--num-workers=0", "--quiet", f"--output={tmp_path / 'two.pt'}"),
    ]
    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    started = [
        subprocess.Popen(command, cwd=ROOT, env={**os.environ, **place, "RANK": rank})
        for rank in "01"
    ]
    assert [rank.wait(timeout=300) for rank in started] == [0, 0]
    meta = load(tmp_path / "two.pt")["meta"]
    assert (meta["run"]["world_size"], meta["counts"]["num_images"]) == (2, 3)


def test_a_rank_whose_others_do_not_come_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "MEETING_TIMEOUT", timedelta(seconds=1))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("MASTER_PORT", str(port))
    with pytest.raises(ConfigError, match=r"2 processes .*did not meet.*unset RANK"):
        ranks.join_ranks()


def test_images_skipped_by_any_rank_are_named_once(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project", images=6)
    broken = sorted((project / "data").rglob("*.jpg"))[3]
    broken.write_bytes(b"not an image")
    assert run_ranks(project, tmp_path / "many.pt", 2, "--batch-size=1") == 0
    run = load(tmp_path / "many.pt")["meta"]["run"]
    assert [Path(item["path"]).name for item in run["skipped_files"]] == [broken.name]
