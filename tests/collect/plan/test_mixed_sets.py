"""Training concatenates further data sets: so does the image list, or it says what is missing."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from analysis.cli.extract import main
from analysis.collect.plan.image_list import ImageList, list_images
from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.plan.settings import load_settings
from analysis.payload.file import load_payload
from tests.factories.projects import make_photograph, make_project

IRISH = {"enabled": True, "root": "irish", "csv": "data.csv", "image_dir": "images"}
BIOMASS = {"enabled": True, "root": "biomass", "csv": "b.csv", "image_dir": "photos"}
AIGC = {"enabled": True, "subdir": "made", "manifest": "manifest.csv"}


def make(project: Path, **changes: Any) -> Path:
    make_project(project, images=5, lora=False, changes=changes)
    for folder, names in (
        ("irish/images", ["b.jpg", "a.jpg"]),
        ("biomass/photos", ["1.png", "2.png", "3.png"]),
        ("data/made", ["x.png", "y.png", "z.png"]),
    ):
        (project / folder).mkdir(parents=True, exist_ok=True)
        for name in names:
            make_photograph(64, 32).save(project / folder / name)
    (project / "irish/data.csv").write_text("image_name,height\nb.jpg,1\na.jpg,2\n,\n")
    (project / "biomass/b.csv").write_text("id;image_file_name\n1;1.png\n2;2.png\n3;3.png\n")
    (project / "data/made/manifest.csv").write_text(
        "image_id,aug_name,image_path,status\n"
        "ID0000,light,made/x.png,success\n"
        "ID0001,noise,made/y.png,success\n"
        "ID0001,noise,made/y.png,success\n"
        "ID0002,light,made/z.png,failed\n"
        "ID9999,light,made/z.png,success\n"
    )
    return project


def listed(project: Path, split: str = "all") -> ImageList:
    return list_images(load_settings(project), split)


def test_sets_are_appended_in_order_with_their_counts(tmp_path: Path) -> None:
    changes = {"irish_glass_clover": IRISH, "biomass_data": BIOMASS, "data.aigc_aug": AIGC}
    images = listed(make(tmp_path, **changes))
    names = [entry.path.name for entry in images.entries[5:]]
    assert names == ["x.png", "y.png", "b.jpg", "a.jpg", "1.png", "2.png", "3.png"]
    assert all(entry.path.is_file() for entry in images.entries)
    assert images.total == 12
    shares = "5 of data.train_csv, 2 of data.aigc_aug, 2 of irish_glass_clover, 3 of biomass_data"
    assert shares in images.notices[-1]


@pytest.mark.parametrize("section", ["irish_glass_clover", "biomass_data", "data.aigc_aug"])
def test_validation_and_a_section_that_is_off_add_nothing(tmp_path: Path, section: str) -> None:
    settings = {**IRISH, **AIGC, "csv": "data.csv"}
    assert len(listed(make(tmp_path / "on", **{section: settings}), "val").entries) == 1
    off = make(tmp_path / "off", **{section: {**settings, "enabled": False}})
    assert len(listed(off).entries) == 5


def test_augmented_images_are_those_of_the_training_part(tmp_path: Path) -> None:
    project = make(tmp_path, **{"data.aigc_aug": AIGC, "train_all": {"enabled": False}})
    trained = {entry.image_id for entry in listed(project, "train").entries}
    made = [e.path.name for e in listed(project, "train").entries if e.section]
    sources = {"x.png": "ID0000", "y.png": "ID0001"}
    assert made == [name for name, source in sources.items() if source in trained]


@pytest.mark.parametrize("types", ["light", ["light"]])
def test_augmented_images_may_be_chosen_by_type(tmp_path: Path, types: object) -> None:
    images = listed(make(tmp_path, **{"data.aigc_aug": {**AIGC, "types": types}}))
    assert [entry.path.name for entry in images.entries[5:]] == ["x.png"]


@pytest.mark.parametrize(
    ("section", "value", "said"),
    [
        ("irish_glass_clover", {**IRISH, "image_size": [640, 640]}, "2 images are left out"),
        ("irish_glass_clover", {**IRISH, "csv": "missing.csv"}, "missing.csv"),
        ("irish_glass_clover", {**IRISH, "csv": None}, "enabled without a csv"),
        ("irish_glass_clover", {**IRISH, "root": None}, "without a root"),
        ("ndvi_dense", {"enabled": True, "root": "biomass"}, "3 images below"),
        ("data.pseudo_labels", {"enabled": True, "root": "irish"}, "2 images below"),
    ],
)
def test_what_cannot_be_listed_is_named(
    tmp_path: Path, section: str, value: dict[str, Any], said: str
) -> None:
    project = make(tmp_path, **{section: value})
    notices = plan_extraction(ExtractionRequest(project_dir=project)).notices
    found = [text for text in notices if said in text]
    assert found
    assert section in found[0]


def test_the_payload_counts_the_images_by_set(tmp_path: Path) -> None:
    changes = {"irish_glass_clover": IRISH, "analysis.group_by": "sample_kind"}
    project = make(tmp_path, **changes)
    table = project / "data" / "train.csv"
    header, *rows = table.read_text().splitlines()
    kinds = [f"{row},{'a' if 'ID0000' in row else 'b'}" for row in rows]
    table.write_text("\n".join([f"{header},sample_kind", *kinds]) + "\n")
    plan = plan_extraction(ExtractionRequest(project_dir=project))
    assert sorted(Counter(plan.image_groups).values()) == [1, 2, 4]
    assert main([f"--project-dir={project}", "--quiet", "--device=cpu", "--no-extras"]) == 0
    run = load_payload(plan.output)["meta"]["run"]
    assert run["image_sets"] == [
        {"section": "data.train_csv", "images": 5},
        {"section": "irish_glass_clover", "images": 2},
    ]
    assert [text for text in run["warnings"] if "2 of irish_glass_clover" in text]
