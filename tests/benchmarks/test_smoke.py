"""Every benchmark starts, and what of it needs no GPU and no browser runs very small."""

from __future__ import annotations

import json
import runpy
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from benchmarks import cold_look, cpu_engine, long_run, precision, specification_job, whole_job
from benchmarks.pages.project import make_project as make_pages_project
from benchmarks.several_gpus import counts
from benchmarks.specification import our_step, specification_step
from benchmarks.tax import build_backbone
from tests import ROOT
from tests.factories.payloads import make_payload
from tests.factories.projects import BACKBONE, make_project

FILES = sorted((ROOT / "benchmarks").glob("*.py"))
COMMANDS = [*(f"benchmarks.{file.stem}" for file in FILES if "__main__" in file.read_text())]


@pytest.mark.parametrize("module", [*COMMANDS, "benchmarks.pages"])
def test_every_command_says_what_it_measures(
    module: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", [module, "--help"])
    for name in (module, f"{module}.__main__"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    with pytest.raises(SystemExit) as ended:
        runpy.run_module(module, run_name="__main__")
    assert ended.value.code == 0
    assert module in capsys.readouterr().out


def _run(main: Any, monkeypatch: pytest.MonkeyPatch, *flags: object) -> None:
    monkeypatch.setattr(sys, "argv", ["benchmark", *map(str, flags)])
    main()


def test_the_cpu_engine_is_timed_against_the_forward(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "cpu.json"
    flags = ("--backbone", BACKBONE, "--size", 32, 32, "--batch-size", 2, "--threads", 1)
    _run(cpu_engine.main, monkeypatch, *flags, "--rounds", 3, "--cpu-time", "--out", out)
    found = json.loads(out.read_text())
    assert {key for key in found if "extras" in key}


def test_the_job_of_the_specification_counts_the_images(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path, images=3, lora=False)
    out = tmp_path / "sums.pt"
    flags = ("--project-dir", project, "--images", 3, "--batch-size", 2, "--precision", "fp32")
    _run(specification_job.main, monkeypatch, *flags, "--out", out)
    sums = torch.load(out, weights_only=True)
    assert len(sums) == 12 * 3 * 2
    assert all(bool(total.isfinite().all()) for total, _, _ in sums.values())


@torch.inference_mode()
def test_both_ways_of_the_specification_run_a_batch() -> None:
    backbone = build_backbone(BACKBONE, "cpu")
    pixels = torch.randn(2, 3, 32, 32)
    specification_step(backbone, pixels, "fp32")()
    our_step(backbone, pixels, "fp32")()


@torch.inference_mode()
def test_bf16_is_near_fp32_and_no_precision_differs_from_itself() -> None:
    pixels = torch.randint(256, (2, 3, 32, 32), dtype=torch.uint8)
    exact, rough = (precision.run_random(BACKBONE, pixels, name) for name in ("fp32", "bf16"))
    assert max(precision.compare(exact, exact).values()) == 0
    assert 0 < precision.compare(exact, rough)["mean median"] < 0.1


def test_a_long_run_is_summed_up_by_decade() -> None:
    seen = [
        {"done": float(done), "updated": done / 100, "host GiB": 1.0, "device GiB": 2.0}
        for done in range(50, 2001, 50)
    ]
    table = long_run.summarize(seen, 2000)
    assert list(table) == ["100 to 1000", "1000 to 10000"]
    assert table["100 to 1000"]["milliseconds per image"] == pytest.approx(10)


def test_counts_of_a_payload_are_compared_between_ranks() -> None:
    payload = make_payload(layers=2, images=3)
    assert len(counts(payload)) == 2 * 3 * 2
    assert counts(payload) == counts(make_payload(layers=2, images=3))


def test_a_project_of_the_whole_job_is_read_by_the_loader(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(whole_job, "PHOTOGRAPH", (200, 100))
    (tmp_path / "photographs").mkdir()
    for number in range(2):
        whole_job.draw_photograph(tmp_path / "photographs" / f"{number}.jpg", number)
    with Image.open(tmp_path / "photographs" / "0.jpg") as picture:
        assert picture.size == (200, 100)
    project = tmp_path / "project"
    whole_job.make_project(project, BACKBONE, (32, 32), tmp_path / "photographs", 12)
    job = whole_job.run_job(project, 12, 2, "off")
    assert job["images"] == 12
    assert job["wall seconds"] > job["seconds in the run"] > 0


def test_a_look_at_a_payload_is_timed_in_a_process_of_its_own(tmp_path: Path) -> None:
    keys = make_pages_project(tmp_path, 4, 16, versions=1)
    assert len(keys) == 1
    (payload,) = tmp_path.glob("outputs/*/feature_stats/*.pt")
    look = cold_look._LOOK_NOW
    seconds, *found = cold_look.time_look(ROOT, look, payload, tmp_path / "cache", first=False)
    assert seconds > 0
    assert len(found) == 2
