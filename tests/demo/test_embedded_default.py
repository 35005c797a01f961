"""The committed images and table, and what `python -m demo` makes of an empty project dir."""

from __future__ import annotations

import csv
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from analysis.collect.plan.settings import load_settings
from demo.__main__ import ROOT, make
from demo.biomass import TARGETS
from demo.images import COLUMNS, COUNT, demo_quadrat, table_rows
from demo.seasons import SEASONS

DATA = ROOT / "data"


def _rows(table: Path) -> list[dict[str, str]]:
    with table.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_has_one_row_per_image_and_target() -> None:
    rows = _rows(DATA / "train.csv")
    assert tuple(rows[0]) == COLUMNS
    images = sorted({row["image_path"] for row in rows})
    assert len(images) == COUNT
    assert images == sorted(f"images/{path.name}" for path in (DATA / "images").iterdir())
    expected = {(image, target) for image in images for target in TARGETS}
    assert {(row["image_path"], row["target_name"]) for row in rows} == expected
    assert len(rows) == len(expected)
    for row in rows:
        assert row["sample_id"] == f"{Path(row['image_path']).stem}__{row['target_name']}"
        assert float(row["target"]) >= 0


def test_every_image_group_holds_every_season() -> None:
    # Else the noise floor of the Versions page would be the difference between seasons.
    months = {
        row["image_path"]: int(row["Sampling_Date"][5:7]) for row in _rows(DATA / "train.csv")
    }
    groups: dict[int, set[str]] = {group: set() for group in range(8)}
    for index, image in enumerate(sorted(months)):
        season = next(name for name in SEASONS if months[image] in SEASONS[name].months)
        groups[index % 8].add(season)
    assert all(seasons == set(SEASONS) for seasons in groups.values())


@pytest.mark.parametrize("index", [0, 17, 34])
def test_committed_image_and_rows_are_what_the_code_paints(index: int) -> None:
    quadrat = demo_quadrat(index)
    with Image.open(DATA / "images" / f"quadrat_{index:03d}.jpg") as image:
        stored = np.asarray(image).astype(float)
    assert np.abs(stored - quadrat.pixels).mean() < 8, "more than JPEG loses"
    committed = {row["sample_id"]: row for row in _rows(DATA / "train.csv")}
    for row in table_rows(index, quadrat):
        stored_row = committed[row["sample_id"]]
        assert float(row["target"]) == pytest.approx(float(stored_row["target"]), rel=0.02)
        assert row["Sampling_Date"] == stored_row["Sampling_Date"]


def test_the_committed_images_stay_small() -> None:
    assert sum(path.stat().st_size for path in DATA.rglob("*.*")) < 2.5e6


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("project")
    (root / "data").mkdir()
    (root / "data" / "train.csv").write_text("kept\n")
    make(root)
    return root


def test_making_the_missing_keeps_what_is_there(project: Path) -> None:
    assert (project / "data" / "train.csv").read_text() == "kept\n"
    assert make(project) == []


def test_nothing_missing_is_found_out_without_torch(project: Path) -> None:
    code = (
        "import sys; from demo.__main__ import main; status = main();"
        "sys.exit(status or ('torch' in sys.modules))"
    )
    command = [sys.executable, "-c", code, "--root", str(project)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_configs_differ_in_version_and_head_only() -> None:
    names = ("train.yaml", "train_frozen.yaml", "train_winter.yaml")
    adapted, frozen, winter = (load_settings(ROOT, ROOT / "configs" / name) for name in names)
    versions = [settings.version for settings in (adapted, frozen, winter)]
    assert versions == ["demo-autumn", "demo-frozen", "demo-winter"]
    assert "head_weights" not in adapted.analysis
    assert frozen.analysis["head_weights"] == "none"
    assert Path(str(winter.analysis["head_weights"])) == ROOT / "weights" / "head_winter"
    assert len({settings.default_output for settings in (adapted, frozen, winter)}) == 3
    for other in (frozen, winter):
        for field in ("backbone_name", "image_size", "mean", "std", "train_csv", "train_all"):
            assert getattr(adapted, field) == getattr(other, field)
    assert adapted.image_size == (480, 240)
    assert adapted.target_order == TARGETS
    assert adapted.train_csv == DATA / "train.csv"
