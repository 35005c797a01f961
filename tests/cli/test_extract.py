"""The command line: one line for every wrong input, exit code 2, nothing left behind."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

from analysis.cli.extract import _PlainFormatter, main
from analysis.collect.plan.flags import build_parser
from analysis.collect.plan.request import ExtractionRequest
from analysis.payload.file import load_payload
from tests import ROOT
from tests.factories.projects import make_project

SPECIFIED_FLAGS = {
    "--project-dir",
    "--config",
    "--output",
    "--dino-weights-pt",
    "--head-weights",
    "--max-images",
    "--device",
}


def output_of(project: Path) -> Path:
    return next(project.glob("outputs/**/feature_stats/dinov3_feature_stats.pt"))


def edit_config(project: Path, **changes: object) -> None:
    path = project / "configs" / "train.yaml"
    config = yaml.safe_load(path.read_text())
    for dotted, value in changes.items():
        *parents, key = dotted.split("__")
        section = config
        for parent in parents:
            section = section[parent]
        if value is None:
            section.pop(key, None)
        else:
            section[key] = value
    path.write_text(yaml.safe_dump(config))


def test_every_flag_of_the_specification_exists() -> None:
    flags = {flag for action in build_parser()._actions for flag in action.option_strings}
    assert flags >= SPECIFIED_FLAGS


def test_request_survives_the_way_through_the_command_line() -> None:
    request = ExtractionRequest(
        project_dir=Path("p"), max_images=3, strict=True, extras=False, head_weights="none"
    )
    flags = vars(build_parser().parse_args(request.to_arguments()))
    del flags["quiet"], flags["progress"], flags["backup"]
    assert ExtractionRequest(**flags) == request


def test_extraction_writes_payload_sidecar_index_and_log_only(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    assert main([f"--project-dir={project}", "--quiet", "--device=cpu"]) == 0
    folder = output_of(project).parent
    assert sorted(file.name for file in folder.iterdir()) == [
        "dinov3_feature_stats.features.safetensors",
        "dinov3_feature_stats.index",
        "dinov3_feature_stats.json",
        "dinov3_feature_stats.log",
        "dinov3_feature_stats.pt",
    ]


def test_progress_file_ends_done_with_the_output(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    progress = tmp_path / "progress.json"
    main([f"--project-dir={project}", "--quiet", "--device=cpu", f"--progress={progress}"])
    told = json.loads(progress.read_text())
    assert (told["state"], told["done"], told["total"]) == ("done", 6, 6)
    assert Path(told["output"]) == output_of(project)


def _no_config(project: Path) -> list[str]:
    (project / "configs" / "train.yaml").unlink()
    return []


def _malformed_yaml(project: Path) -> list[str]:
    (project / "configs" / "train.yaml").write_text("data: [unclosed")
    return []


def _without(dotted: str) -> Callable[[Path], list[str]]:
    def damage(project: Path) -> list[str]:
        edit_config(project, **{dotted: None})
        return []

    return damage


def _with(dotted: str, value: object) -> Callable[[Path], list[str]]:
    def damage(project: Path) -> list[str]:
        edit_config(project, **{dotted: value})
        return []

    return damage


def _weights_file(project: Path) -> Path:
    return next(path for path in (project / "weights").iterdir() if path.is_file())


def _truncated_weights(project: Path) -> list[str]:
    path = _weights_file(project)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    return []


def _nan_weights(project: Path) -> list[str]:
    path = _weights_file(project)
    state = torch.load(path, weights_only=True)
    state["blocks.0.norm1.weight"][0] = torch.nan
    torch.save(state, path)
    return []


def _other_architecture(project: Path) -> list[str]:
    path = _weights_file(project)
    state = torch.load(path, weights_only=True)
    del state["blocks.0.norm1.weight"]
    torch.save(state, path)
    return []


class _Gadget:
    def __reduce__(self) -> tuple[Callable[..., object], tuple[str]]:
        return os.system, ("touch executed",)


def _hostile_weights(project: Path) -> list[str]:
    torch.save({"cls_token": _Gadget()}, _weights_file(project))
    return []


def _truncated_head(project: Path) -> list[str]:
    path = project / "weights" / "head" / "infer_head.pt"
    path.write_bytes(path.read_bytes()[:100])
    return []


def _hostile_head(project: Path) -> list[str]:
    torch.save({"peft": _Gadget()}, project / "weights" / "head" / "infer_head.pt")
    return []


def _no_weights(project: Path) -> list[str]:
    _weights_file(project).unlink()
    return []


def _empty_csv(project: Path) -> list[str]:
    csv = project / "data" / "train.csv"
    csv.write_text(csv.read_text().splitlines()[0] + "\n")
    return []


def _csv_without_image_path(project: Path) -> list[str]:
    csv = project / "data" / "train.csv"
    csv.write_text(csv.read_text().replace("image_path", "file"))
    return []


def _strict_with_broken_image(project: Path) -> list[str]:
    next(iter(sorted((project / "data").rglob("*.jpg")))).write_bytes(b"not an image")
    return ["--strict"]


def _all_images_broken(project: Path) -> list[str]:
    for path in (project / "data").rglob("*.jpg"):
        path.write_bytes(b"not an image")
    return []


def _flags(*flags: str) -> Callable[[Path], list[str]]:
    return lambda project: list(flags)


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        pytest.param(_flags("--project-dir=/no/such/dir"), "/no/such/dir", id="no project dir"),
        pytest.param(_no_config, "train.yaml", id="no config"),
        pytest.param(_malformed_yaml, "train.yaml", id="malformed YAML"),
        pytest.param(_without("data__root"), "data.root", id="missing key"),
        pytest.param(_with("data__image_size", "big"), "data.image_size", id="wrong type"),
        pytest.param(_with("model__backbone", "dinov3_vitx"), "dinov3_vitx", id="no backbone"),
        pytest.param(_with("version", "../../etc"), "version", id="version escapes"),
        pytest.param(_with("version", "a/b"), "version", id="version with separator"),
        pytest.param(_no_weights, "--dino-weights-pt", id="no weights"),
        pytest.param(_flags("--dino-weights-pt=no.pt"), "no.pt", id="missing weights"),
        pytest.param(_truncated_weights, "weights", id="truncated weights"),
        pytest.param(_nan_weights, "blocks.0.norm1.weight", id="NaN weights"),
        pytest.param(_other_architecture, "blocks.0.norm1.weight", id="wrong architecture"),
        pytest.param(_hostile_weights, "weights", id="hostile weights"),
        pytest.param(_flags("--head-weights=no.pt"), "no.pt", id="missing head"),
        pytest.param(_truncated_head, "infer_head.pt", id="truncated head"),
        pytest.param(_hostile_head, "infer_head.pt", id="hostile head"),
        pytest.param(_flags("--head-index=7"), "--head-index", id="head index"),
        pytest.param(_empty_csv, "train.csv", id="empty CSV"),
        pytest.param(_csv_without_image_path, "image_path", id="CSV without image_path"),
        pytest.param(_strict_with_broken_image, ".jpg", id="strict"),
        pytest.param(_all_images_broken, ".jpg", id="all images broken"),
        pytest.param(_flags("--output=/proc/stats.pt"), "--output", id="output not writable"),
        pytest.param(_flags("--device=cuda:7"), "--device", id="no GPU"),
        pytest.param(_flags("--device=tpu"), "--device", id="unknown device"),
        pytest.param(_flags("--max-images=-1"), "--max-images", id="negative images"),
        pytest.param(_flags("--batch-size=0"), "--batch-size", id="empty batch"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    damage: Callable[[Path], list[str]],
    named: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    project = make_project(tmp_path / "project")
    flags = [f"--project-dir={project}", "--device=cpu", "--quiet", *damage(project)]
    assert main(flags) == 2
    told = capsys.readouterr().err
    errors = [line for line in told.splitlines() if line.startswith("ERROR: ")]
    assert len(errors) == 1
    assert named in errors[0]
    assert "Traceback" not in told
    left = {path.suffix for path in project.glob("outputs/**/*") if path.is_file()}
    assert left <= {".log"}
    assert not (tmp_path / "executed").exists()


def test_failed_run_keeps_the_payload_that_was_there(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    main([f"--project-dir={project}", "--quiet", "--device=cpu"])
    path = output_of(project)
    before = path.read_bytes()
    _all_images_broken(project)
    assert main([f"--project-dir={project}", "--quiet", "--device=cpu"]) == 2
    assert path.read_bytes() == before


def test_broken_images_are_skipped_counted_and_named(tmp_path: Path) -> None:
    project = make_project(tmp_path)
    broken = sorted((project / "data").rglob("*.jpg"))[1]
    broken.write_bytes(b"not an image")
    assert main([f"--project-dir={project}", "--quiet", "--device=cpu"]) == 0
    meta = load_payload(output_of(project))["meta"]
    assert meta["counts"]["num_images"] == 5
    assert meta["run"]["skipped_count"] == 1
    assert broken.name in meta["run"]["skipped_files"][0]["path"]
    assert meta["run"]["skipped_files"][0]["reason"]


def test_termination_cancels_and_leaves_no_payload(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=400)
    progress = tmp_path / "progress.json"
    child = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "analysis",
            f"--project-dir={project}",
            "--device=cpu",
            "--batch-size=1",
            f"--progress={progress}",
        ],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and child.poll() is None:
        if progress.exists() and json.loads(progress.read_text())["done"] > 0:
            break
        time.sleep(0.1)
    child.send_signal(signal.SIGTERM)
    _, told = child.communicate(timeout=60)
    assert child.returncode == 130
    assert "Traceback" not in told
    assert json.loads(progress.read_text())["state"] == "cancelled"
    left = {path.suffix for path in project.glob("outputs/**/*") if path.is_file()}
    assert left == {".log"}


def test_deep_pictures_are_warned_of_with_their_number(tmp_path: Path) -> None:
    project = make_project(tmp_path, images=3, lora=False, changes={"data.train_csv": None})
    old = sorted((project / "data").rglob("*.jpg"))[0]
    Image.fromarray(np.full((32, 64), 40_000, np.uint16)).save(old.with_suffix(".png"))
    old.unlink()
    assert main([f"--project-dir={project}", "--quiet", "--device=cpu"]) == 0
    warnings = load_payload(output_of(project))["meta"]["run"]["warnings"]
    assert [text for text in warnings if text.startswith("1 of 3 image(s) have 16 bits")]


def test_a_message_of_several_lines_is_one_line_of_the_log() -> None:
    record = logging.makeLogRecord({"msg": "%s", "args": ("a\ntouch marker\x1b[31m",)})
    assert _PlainFormatter("%(message)s").format(record) == r"a\ntouch marker\x1b[31m"
