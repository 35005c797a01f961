"""The Images page on a network whose channel 7 answers to one red square, and to nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from streamlit.testing.v1 import AppTest

from analysis.cli.extract import main
from analysis.collect.run.progress import ProgressReporter
from analysis.jobs.maps import Arm, MapRequest, Picture, uploads_folder
from analysis.jobs.maps.folder import progress_file, runs_folder, stop_file
from analysis.jobs.maps.plan import plan_maps
from analysis.jobs.maps.worker import compute_missing
from analysis.payload.reading import open_payload
from pages.components.images import map_request
from pages.components.images import maps as map_view
from tests.factories.payloads import make_payload, write_payload
from tests.factories.red_square import CHANNEL, IMAGES, RED_IMAGE, RED_PATCH, make_red_project
from tests.pages.conftest import Open, decode, figures, headings, payload_path, texts

PAYLOAD = Path("outputs", "v1", "train_all", "feature_stats", "dinov3_feature_stats.pt")


@pytest.fixture(autouse=True)
def _unprepared(monkeypatch: pytest.MonkeyPatch) -> None:
    """Start no process for a click that never comes."""
    monkeypatch.setattr(map_view, "prepare_run", lambda request: None)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a project dir with the payload of the red square."""
    folder = make_red_project(tmp_path_factory.mktemp("red") / "project")
    assert main(["--project-dir", str(folder), "--quiet", "--num-workers", "0"]) == 0
    return folder


@pytest.fixture
def red(measured: Path, project: Path) -> Path:
    """Return the folder that the app is opened in, with a copy of the measured project."""
    shutil.copytree(measured, project, dirs_exist_ok=True)
    return project


def _labels(app: AppTest) -> list[str]:
    """Return the buttons of the page but for those that every figure has."""
    return [button.label for button in app.main.button if button.label]


def test_without_extras_the_page_says_why(project: Path, open_page: Open) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1", recorded=False))
    for view in ("peaks", "footprint", "maps"):
        app = open_page("images", view=view)
        assert not app.exception
    assert "does not hold where each channel is largest" in texts(open_page("images"))


def test_the_page_points_at_the_red_square(red: Path, open_page: Open) -> None:
    app = open_page("images", role="patch", layer="11")
    assert not app.exception
    assert headings(app)[0] == f"Layer 11: channel {CHANNEL}, patch tokens"
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Image"] == f"#{RED_IMAGE}"
    assert shown["Patch (row, column)"] == f"{RED_PATCH[0]}, {RED_PATCH[1]}"
    assert float(shown["Value at the peak"]) > 10
    assert float(shown["z-score"]) > 5
    assert len(app.get("image")) == 2  # the picture and the patch enlarged
    assert not app.warning


def test_value_and_score_are_those_of_the_payload(red: Path, open_page: Open) -> None:
    app = open_page("images", role="patch", layer="3", channel="20")
    table = open_payload(red / PAYLOAD).table
    mean, std, max_abs = table.values[3, 0, 1, :, 20]
    shown = {metric.label: metric.value for metric in app.metric}
    value = float(shown["Value at the peak"])
    assert abs(value) == pytest.approx(max_abs, rel=1e-3)
    assert float(shown["z-score"]) == pytest.approx((value - mean) / std, abs=0.06)


def test_the_red_channel_is_told_as_sparse(red: Path, open_page: Open) -> None:
    app = open_page("images", view="footprint", channel=str(CHANNEL))
    tables = [table.value for table in app.dataframe]
    footprints = next(table for table in tables if "footprint" in table)
    of_red = footprints[footprints["channel"] == CHANNEL].iloc[0]
    assert of_red["footprint"] == "sparse high-norm patches"
    assert "**Sparse high-norm patches**: Ordinary almost everywhere" in texts(app)


def test_the_footprint_of_the_red_channel_is_the_square(red: Path, open_page: Open) -> None:
    app = open_page("images", view="footprint", channel=str(CHANNEL))
    assert not app.exception
    large, small = figures(app)
    values = decode(large["data"][0]["z"]).reshape(4, 6)
    assert np.unravel_index(values.argmax(), values.shape) == RED_PATCH
    assert len(small["data"]) == 8
    assert "the outermost ring" in texts(app)
    shown = {metric.label: metric.value for metric in app.metric}
    between, within = (
        int(shown[f"Variance {where} images"].rstrip("%")) for where in ("between", "within")
    )
    assert between + within == 100


def test_a_channel_without_a_footprint_offers_those_that_have_one(
    red: Path, open_page: Open
) -> None:
    payload = torch.load(red / PAYLOAD, weights_only=True)
    kept = payload["extras"]["layers"][11]["footprint"]["channels"].tolist()
    other = next(channel for channel in range(192) if channel not in kept)
    app = open_page("images", view="footprint", channel=str(other))
    assert not app.exception
    assert f"Of channel {other} there is no map" in app.info[0].value
    assert len(figures(app)) == 1
    assert _labels(app) == [str(channel) for channel in kept]
    next(button for button in app.main.button if button.label == str(CHANNEL)).click().run()
    assert not app.info
    assert len(figures(app)) == 2
    assert headings(app)[0] == f"Layer 11: where channel {CHANNEL} is large"
    assert app.query_params["channel"] == str(CHANNEL)


def test_a_payload_without_footprints_says_so_and_tells_the_rest(
    red: Path, open_page: Open
) -> None:
    payload = torch.load(red / PAYLOAD, weights_only=True)
    for cell in payload["extras"]["layers"].values():
        del cell["footprint"]
    write_payload(red / PAYLOAD, payload)
    app = open_page("images", view="footprint")
    assert not app.exception
    assert "does not hold where in the pictures" in app.info[0].value
    assert not figures(app)
    assert len(app.metric) == 4


@pytest.mark.parametrize("role", ["cls", "storage_2"])
def test_what_a_single_token_answers_to_is_told_without_a_map(
    red: Path, open_page: Open, role: str
) -> None:
    app = open_page("images", view="footprint", role=role, channel=str(CHANNEL))
    assert not app.exception
    assert not figures(app)
    shown = {metric.label: metric.value for metric in app.metric}
    assert shown["Variance between images"] in ("100%", "–")
    assert "no map" in texts(app)
    assert "patches" not in app.dataframe[0].value["footprint"].str.cat()


def test_images_that_moved_are_found_below_a_folder_that_somebody_names(
    red: Path, open_page: Open
) -> None:
    (red / "data" / "train").rename(red / "elsewhere_train")
    app = open_page("images")
    assert not app.exception
    assert "is not readable here" in app.warning[0].value
    (red / "copied").mkdir()
    (red / "elsewhere_train").rename(red / "copied" / "train")
    app.text_input[0].set_value("copied").run()
    assert not app.warning
    assert len(app.get("image")) == 2
    assert app.query_params["images"] == "copied"


def test_images_that_were_replaced_are_said_to_be_others(red: Path, open_page: Open) -> None:
    other, measured = (red / "data" / "train" / f"ID000{number}.jpg" for number in (0, RED_IMAGE))
    measured.write_bytes(other.read_bytes())
    app = open_page("images")
    assert "are not those that were measured" in app.warning[0].value


def test_a_folder_outside_the_allowed_roots_is_refused(
    red: Path, measured: Path, open_page: Open
) -> None:
    shutil.rmtree(red / "data")
    app = open_page("images", images=str(measured / "data"))
    assert "lies outside the folders" in app.warning[0].value
    assert not app.get("image")


def test_maps_are_computed_only_when_asked_for_and_then_show_the_square(
    red: Path, open_page: Open
) -> None:
    app = _open_maps(open_page)
    assert not app.exception
    assert not figures(app)
    assert _labels(app) == ["Compute the maps"]
    _compute(red)
    app = _open_maps(open_page)
    assert not app.exception
    animation = figures(app)[0]
    assert len(animation["frames"]) == 12
    for frame in animation["frames"]:
        heat = frame["data"][0]
        values = decode(heat["z"]).reshape(4, 6)
        assert np.unravel_index(values.argmax(), values.shape) == RED_PATCH


def test_norms_and_components_are_maps_too(red: Path, open_page: Open) -> None:
    _compute(red)
    app = _open_maps(open_page, map="norm", representation="global_ln")
    assert "token norm, normalised units" in str(figures(app)[0]["data"][0]["colorbar"])
    app = _open_maps(open_page, map="components")
    assert not app.exception
    assert figures(app)[0]["data"][0]["type"] == "image"
    assert "Share of the patches' variance" in texts(app)


def test_maps_that_are_there_are_shown_while_others_are_missing(red: Path, open_page: Open) -> None:
    _compute(red)
    app = _open_maps(open_page, pictures=f"{RED_IMAGE}.{RED_IMAGE + 1}")
    assert not app.exception
    assert len(figures(app)) == 2
    assert _labels(app) == ["Compute the missing maps (1)"]


def test_other_weights_are_taken_and_said_to_be_others(red: Path, open_page: Open) -> None:
    measured = Path(open_payload(red / PAYLOAD).table.backbone["dino_weights_pt"]).name
    state = torch.load(red / "weights" / measured, weights_only=True)
    torch.save(state, red / "weights" / "same.pth", _use_new_zipfile_serialization=False)
    for name in (f"weights/{measured}", "weights/same.pth"):
        _compute(red, weights=name)
        app = _open_maps(open_page, weights=name)
        assert not app.exception
        assert len(figures(app)) == 2
        same = name.endswith(measured)
        assert ("are those that were measured" in texts(app)) is same
        assert ["other weights" in warning.value for warning in app.warning] == [True][same:]


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"weights": "weights/none.pth"}, "does not exist"),
        ({"weights": "/etc/passwd"}, "lies outside the folders"),
        ({"head": "weights"}, "infer_head"),
    ],
)
def test_files_that_cannot_be_used_are_named(
    red: Path, open_page: Open, choice: dict[str, str], said: str
) -> None:
    app = _open_maps(open_page, **choice)
    assert not app.exception
    assert said in app.warning[0].value.replace("\\", "")
    assert not _labels(app)


def test_a_run_that_failed_or_was_stopped_says_so_and_can_be_asked_for_again(
    red: Path, open_page: Open
) -> None:
    _open_maps(open_page)
    request = _plan(red)
    folder = runs_folder()
    folder.mkdir(parents=True)
    reporter = ProgressReporter(progress_file(folder, request.key), quiet=True)
    reporter.end("failed", error="The weights are *gone*.")
    app = _open_maps(open_page)
    assert app.error[0].value == r"Failed: The weights are \*gone\*\."
    stop_file(folder, request.key).touch()
    app = _open_maps(open_page)
    assert app.info[0].value == "Stopped; 1 of 1 maps are missing."
    assert _labels(app) == ["Compute the maps"]


def test_a_read_only_server_shows_what_is_there_and_offers_nothing(
    red: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    _compute(red)
    monkeypatch.setenv("DASHBOARD_READ_ONLY", "1")
    app = _open_maps(open_page, pictures=f"{RED_IMAGE}.{RED_IMAGE + 1}")
    assert len(figures(app)) == 2
    assert "Read-only server" in app.info[0].value
    assert not _labels(app)
    assert not app.main.file_uploader


def test_without_its_weights_the_page_says_which_file_is_wanted(red: Path, open_page: Open) -> None:
    shutil.rmtree(red / "weights")
    table = open_payload(red / PAYLOAD).table
    recorded = Path(table.backbone["dino_weights_pt"])
    app = _open_maps(open_page)
    assert "The weights of this payload cannot be read here" in app.warning[0].value
    assert recorded.suffix == ".pth"


def test_what_is_uploaded_must_be_a_picture(red: Path, open_page: Open) -> None:
    app = _open_maps(open_page)
    app.main.file_uploader[0].upload("a.png", b"no picture", mime_type="image/png").run()
    assert not app.exception
    assert "cannot be shown as a picture" in app.warning[0].value


def test_uploaded_pictures_are_kept_up_to_a_limit(
    red: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(map_request, "MAX_UPLOADED_BYTES", 0)
    app = _open_maps(open_page)
    for number in (0, 1):
        content = (red / "data" / "train" / f"ID{number:04d}.jpg").read_bytes()
        app.main.file_uploader[0].upload(f"{number}.jpg", content, mime_type="image/jpeg").run()
        assert not app.warning
    kept = [path.read_bytes() for path in uploads_folder().iterdir()]
    assert kept == [content]


@pytest.mark.parametrize("nonsense", ["-1", "99999", "x", "7.5"])
def test_a_link_with_nonsense_shows_the_defaults(red: Path, open_page: Open, nonsense: str) -> None:
    for view in ("peaks", "footprint", "maps"):
        query = {"channel": nonsense, "pictures": nonsense, "picture": nonsense, "map": nonsense}
        app = open_page("images", view=view, **query)
        assert not app.exception


def _open_maps(open_page: Open, **query: str) -> AppTest:
    return open_page("images", view="maps", channel=str(CHANNEL), **query)


def _plan(red: Path, weights: str | None = None) -> MapRequest:
    picture = Picture.of(red / "data" / "train" / f"ID{RED_IMAGE:04d}.jpg")
    return plan_maps(open_payload(red / PAYLOAD).table, [picture], CHANNEL, weights=weights)


def _compute(red: Path, weights: str | None = None) -> None:
    request = _plan(red, weights)
    assert IMAGES > 1
    assert request.arms == (Arm.FROZEN,)
    compute_missing(request, ProgressReporter(quiet=True))
