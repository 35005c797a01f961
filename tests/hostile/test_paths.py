"""What a browser sends as a path reads, lists and writes nothing outside the allowed roots."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from analysis.errors import InputError
from analysis.files.roots import resolve_below_roots
from analysis.jobs.extractions import (
    ExtractionRequest,
    Forecast,
    forecast_extraction,
    list_configs,
    list_heads,
    list_jobs,
    list_weights,
    start_job,
)
from analysis.payload.annotation import Annotation
from analysis.payload.annotations import annotate, delete_payload
from analysis.payload.recorded_files import find_photograph
from tests.factories.projects import make_project

SENT = {
    "upwards": "../secret",
    "down and upwards": "configs/../../secret",
    "ten levels up": "../" * 10 + "etc/passwd",
    "absolute": "/etc/passwd",
    "two slashes": "//etc/passwd",
    "process": "/proc/self/environ",
    "through a process": "/proc/self/root/etc/passwd",
    "through a process's folder": "/proc/self/cwd/../secret",
    "descriptor": "/dev/fd/0",
    "endless device": "/dev/zero",
    "link": "link",
    "below a link": "link/configs/train.yaml",
    "link to a link": "configs/link to link",
    "circle": "circle/x",
    "home": "~",
    "somebody's home": "~root/.ssh/id_rsa",
    "nobody's home": "~nobody-of-this-name/x",
    "variable": "$HOME/x",
    "shell": "; touch x",
    "flag": "--output=/etc/passwd",
    "UNC": "\\\\server\\share\\x",
    "UNC with slashes": "//server/share/x",
    "device of Windows": "\\\\.\\PhysicalDrive0",
    "drive": "C:\\Windows\\win.ini",
    "drive with slashes": "C:/Windows/win.ini",
    "back slashes": "..\\secret",
    "file address": "file:///etc/passwd",
    "web address": "https://localhost:1/x",
    "percent": "%2e%2e/secret",
    "percent twice": "%252e%252e%252fsecret",
    "full-width dots": "\uff0e\uff0e/secret",
    "two-dot leader": "\u2025/secret",
    "one-dot leaders": "\u2024\u2024/secret",
    "full-width slash": "..\uff0fsecret",
    "division slash": "..\u2215secret",
    "overlong": "..\u00c0\u00afsecret",
    "from right to left": "\u202e../secret",
    "without width": ".\u200b./secret",
    "half a surrogate pair": "\ud800",
    "byte that is no text": "\udcff",
    "NUL": "x\0",
    "NUL before a suffix": "../secret/x.pt\0.yaml",
    "lines": "a\nb\r\nc",
    "4097 letters": "x" * 4097,
    "name of 300 letters": "configs/" + "x" * 300,
    "100,000 letters": "x" * 100_000,
    "2000 levels": "x/" * 2000,
    "2000 levels and back": "x/" * 2000 + "../" * 2001 + "secret",
    "empty": "",
    "space": " ",
    "dot": ".",
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a project dir, and another beside it that would answer whoever got there."""
    parent = tmp_path_factory.mktemp("roots")
    project = make_project(parent / "project", images=2, lora=False)
    secret = make_project(parent / "secret", images=2, lora=False)
    (project / "link").symlink_to(secret)
    (project / "circle").symlink_to(project / "circle")
    (project / "configs" / "link to link").symlink_to(project / "link" / "configs" / "train.yaml")
    return project, secret


@pytest.fixture
def project(folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(folders[0])
    monkeypatch.delenv("DASHBOARD_ROOTS", raising=False)
    return folders[0]


def answer(function: Callable[[], object]) -> object:
    """Return what a function returns, None where it refuses in one sentence."""
    said = ""
    try:
        return function()
    except InputError as error:
        said = str(error)
    assert said.isprintable()
    return None


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_what_is_sent_resolves_below_the_roots_or_not_at_all(project: Path, sent: str) -> None:
    found = answer(lambda: resolve_below_roots(sent))
    assert found is None or (isinstance(found, Path) and found.is_relative_to(project))


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_no_list_of_the_form_shows_what_lies_elsewhere(project: Path, sent: str) -> None:
    for function in (list_configs, list_weights, list_heads):
        found = answer(lambda function=function: function(Path(sent)))
        assert isinstance(found, list | None)
        for path in found or ():
            assert (project / sent / path).resolve().is_relative_to(project)


@pytest.mark.parametrize("field", ["project_dir", "config", "dino_weights_pt", "head_weights"])
@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_no_field_of_the_form_leads_elsewhere(project: Path, field: str, sent: str) -> None:
    request = replace(
        ExtractionRequest(project_dir=project),
        **{field: sent if field == "head_weights" else Path(sent)},
    )
    forecast = answer(lambda: forecast_extraction(request))
    if forecast is None:
        assert answer(lambda: start_job(request)) is None
        assert list_jobs([project]) == []
        return
    assert isinstance(forecast, Forecast)
    plan = forecast.plan
    used = [plan.settings.project_dir, plan.settings.config_path, plan.weights.path, plan.output]
    for path in [*used, *plan.heads.paths]:
        assert path.resolve().is_relative_to(project)


@pytest.mark.parametrize("log_dir", ["../secret", "/etc", "link", "~root", "x\0y"])
def test_no_config_writes_elsewhere_for_the_browser(
    project: Path, folders: tuple[Path, Path], log_dir: str
) -> None:
    path = project / "configs" / "train.yaml"
    config = yaml.safe_load(path.read_text()) | {"logging": {"log_dir": log_dir}}
    other = path.with_name("other.yaml")
    other.write_text(yaml.safe_dump(config))
    before = sorted(folders[1].rglob("*"))
    request = ExtractionRequest(project_dir=project, config=other)
    forecast = answer(lambda: forecast_extraction(request))
    if forecast is None:
        assert answer(lambda: start_job(request)) is None
    else:
        assert isinstance(forecast, Forecast)
        assert forecast.default_output.is_relative_to(project)
    assert sorted(folders[1].rglob("*")) == before


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_no_photograph_is_read_elsewhere(project: Path, sent: str) -> None:
    meta = {"project_dir": str(project), "config": {"data": {"root": "data"}}}
    for name, folder in ((sent, None), ("x.jpg", sent), (sent, sent)):
        found = answer(lambda name=name, folder=folder: find_photograph(name, meta, folder))
        assert found is None or (
            isinstance(found, Path) and found.resolve().is_relative_to(project)
        )


@pytest.mark.parametrize("sent", SENT.values(), ids=SENT)
def test_nothing_elsewhere_is_named_or_deleted(
    project: Path, folders: tuple[Path, Path], sent: str
) -> None:
    before = sorted(folders[1].rglob("*"))
    assert answer(lambda: annotate(Path(sent), Annotation("x"))) is None
    assert answer(lambda: delete_payload(Path(sent), being_written=())) is None
    assert sorted(folders[1].rglob("*")) == before
