"""Which images are measured, against pandas and numpy doing what training does."""

from __future__ import annotations

import csv
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.collect.plan.image_list import ImageList, list_images
from analysis.collect.plan.request import ExtractionRequest, fill_request
from analysis.collect.plan.settings import load_settings
from analysis.errors import ConfigError, ImageError
from tests.factories.projects import TARGETS, set_key, write_config

HEADER = ["sample_id", "image_path", "target_name", "target"]


def make_images(project: Path, names: list[str]) -> None:
    for number, name in enumerate(names):
        path = project / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x" * (number + 1))


def write_rows(project: Path, header: list[str], rows: list[list[Any]]) -> None:
    (project / "data").mkdir(parents=True, exist_ok=True)
    with (project / "data" / "train.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *rows])


def write_long(project: Path, names: list[str]) -> None:
    """Write every image with every target, rows shuffled."""
    rows = [[f"{n}__{t}", f"train/{n}.jpg", t, 1.5] for n in names for t in TARGETS]
    order = np.random.default_rng(3).permutation(len(rows))
    write_rows(project, HEADER, [rows[i] for i in order])
    make_images(project, [f"train/{n}.jpg" for n in names])


def list_project(
    project: Path, /, split: Any = None, max_images: Any = None, **changes: Any
) -> ImageList:
    config: dict[str, Any] = {
        "seed": 42,
        "data": {
            "root": "data",
            "train_csv": "train.csv",
            "image_size": 64,
            "val_split": 0.2,
            "target_order": list(TARGETS),
        },
        "model": {"backbone": "dinov3_vits16"},
    }
    for dotted, value in changes.items():
        set_key(config, dotted.replace("__", "."), value)
    write_config(project, config)
    settings = load_settings(project)
    filled = fill_request(ExtractionRequest(split=split, max_images=max_images), settings)
    return list_images(settings, str(filled.split), filled.max_images or 0)


def ids(images: ImageList) -> list[str]:
    return [entry.image_id for entry in images.entries]


def training_split(
    csv_path: Path, val_split: float, seed: int, targets: list[str]
) -> tuple[list[str], list[str]]:
    """Return the image ids of the training and validation parts, drawn as training does."""
    frame = pd.read_csv(csv_path)
    frame["image_id"] = frame["sample_id"].str.split("__").str[0]
    wide = frame.pivot_table(index="image_id", columns="target_name", values="target")
    wide = wide.dropna(subset=targets).sort_index()
    indices = np.arange(len(wide))
    rng = np.random.default_rng(seed)
    rng.shuffle(indices)
    n_val = max(1, int(len(wide) * val_split))
    held_out = set(indices[:n_val].tolist())
    names = wide.index.tolist()
    return (
        [name for i, name in enumerate(names) if i not in held_out],
        [name for i, name in enumerate(names) if i in held_out],
    )


@pytest.mark.parametrize("n", [2, 5, 23])
@pytest.mark.parametrize("val_split", [0.0, 0.2, 0.5])
@pytest.mark.parametrize("seed", [0, 42])
def test_split_is_the_one_that_training_draws(
    n: int, val_split: float, seed: int, tmp_path: Path
) -> None:
    write_long(tmp_path, [f"ID{(i * 7919) % 1000}" for i in range(n)])
    changes: dict[str, Any] = {"data__val_split": val_split, "seed": seed}
    train, val = training_split(tmp_path / "data" / "train.csv", val_split, seed, list(TARGETS))
    assert ids(list_project(tmp_path, "train", **changes)) == train
    assert ids(list_project(tmp_path, "val", **changes)) == val
    assert ids(list_project(tmp_path, "all", **changes)) == sorted(train + val)


def test_split_of_ten_images_is_the_one_on_record(tmp_path: Path) -> None:
    names = [f"ID{i}" for i in range(10)]
    write_long(tmp_path, names)
    # numpy.random.default_rng(42), shuffle(arange(10)) = 5 6 0 7 3 2 4 9 1 8
    assert ids(list_project(tmp_path, "val")) == ["ID5", "ID6"]


def test_default_split_is_training_part_or_everything_with_train_all(tmp_path: Path) -> None:
    write_long(tmp_path, [f"ID{i}" for i in range(10)])
    assert list_project(tmp_path).split == "train"
    assert len(list_project(tmp_path).entries) == 8
    everything = list_project(tmp_path, train_all={"enabled": True})
    assert (everything.split, len(everything.entries)) == ("all", 10)
    assert list_project(tmp_path, train_all={"enabled": True}, analysis__split="val").split == "val"
    typed = list_project(tmp_path, "train", train_all={"enabled": True}, analysis__split="val")
    assert typed.split == "train"


def test_limit_takes_the_first_of_the_sorted_split(tmp_path: Path) -> None:
    write_long(tmp_path, [f"ID{i}" for i in range(10)])
    whole = list_project(tmp_path)
    limited = list_project(tmp_path, max_images=3)
    assert ids(limited) == ids(whole)[:3] == sorted(ids(whole))[:3]
    assert (limited.total, whole.total) == (8, 8)
    assert ids(list_project(tmp_path, max_images=0)) == ids(whole)
    assert ids(list_project(tmp_path, max_images=99)) == ids(whole)
    assert ids(list_project(tmp_path, analysis__max_images=2)) == ids(whole)[:2]
    assert ids(list_project(tmp_path, max_images=0, analysis__max_images=2)) == ids(whole)


def test_rows_of_one_image_are_one_entry(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID2", "ID1"])
    images = list_project(tmp_path, "all")
    assert [(e.image_id, e.relative) for e in images.entries] == [
        ("ID1", "train/ID1.jpg"),
        ("ID2", "train/ID2.jpg"),
    ]
    assert images.entries[0].path == tmp_path / "data" / "train" / "ID1.jpg"


def test_image_id_may_itself_contain_the_separator(tmp_path: Path) -> None:
    write_rows(tmp_path, HEADER, [["a__b__Dry__Green", "x.jpg", "Dry__Green", 1]])
    make_images(tmp_path, ["x.jpg"])
    assert ids(list_project(tmp_path, "all", data__target_order=["Dry__Green"])) == ["a__b"]


def test_sample_id_without_target_column_is_cut_at_its_last_separator(tmp_path: Path) -> None:
    write_rows(tmp_path, ["sample_id", "image_path"], [["a__b__x", "x.jpg"], ["a__b__y", "x.jpg"]])
    make_images(tmp_path, ["x.jpg"])
    assert ids(list_project(tmp_path, "all")) == ["a__b"]


def test_images_that_lack_a_target_are_dropped_before_the_split_and_counted(tmp_path: Path) -> None:
    names = [f"ID{i}" for i in range(12)]
    rows = [[f"{n}__{t}", f"train/{n}.jpg", t, 1.5] for n in names for t in TARGETS]
    rows[4][3] = ""  # ID1 has no value for its second target
    rows[9][3] = "NaN"  # nor has ID3 for its first
    del rows[22]  # nor ID7 a row
    write_rows(tmp_path, HEADER, rows)
    make_images(tmp_path, [f"train/{n}.jpg" for n in names])
    everything = list_project(tmp_path, "all")
    assert ids(everything) == sorted(set(names) - {"ID1", "ID3", "ID7"})
    assert everything.dropped_missing_target == 3
    assert "3 of 12 images lack a target" in everything.notices[0]
    train, _ = training_split(tmp_path / "data" / "train.csv", 0.2, 42, list(TARGETS))
    assert ids(list_project(tmp_path)) == train
    fewer = list_project(tmp_path, "all", data__target_order=[TARGETS[2]])
    assert fewer.dropped_missing_target == 0


def test_csv_without_target_names_drops_nothing(tmp_path: Path) -> None:
    write_rows(tmp_path, ["image_path", "label"], [["b.jpg", 1], ["a.jpg", ""], ["b.jpg", 2]])
    make_images(tmp_path, ["a.jpg", "b.jpg"])
    images = list_project(tmp_path, "all")
    assert (ids(images), images.dropped_missing_target) == (["a.jpg", "b.jpg"], 0)


def test_no_image_with_all_targets_is_an_error_that_names_them(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1"])
    with pytest.raises(ImageError, match=r"GDM_g.*its targets are: Dry_Clover_g, Dry_Dead_g"):
        list_project(tmp_path, data__target_order=["GDM_g"])


def test_one_file_under_two_ids_is_two_images(tmp_path: Path) -> None:
    write_rows(tmp_path, ["sample_id", "image_path"], [["b", "x.jpg"], ["a", "x.jpg"]])
    make_images(tmp_path, ["x.jpg"])
    assert ids(list_project(tmp_path, "all")) == ["a", "b"]


def test_two_spellings_of_a_path_are_one_image(tmp_path: Path) -> None:
    write_rows(tmp_path, ["image_path"], [["./t/x.jpg"], ["t/x.jpg"], ["t//x.jpg"]])
    make_images(tmp_path, ["t/x.jpg"])
    assert [e.relative for e in list_project(tmp_path, "all").entries] == ["t/x.jpg"]


def test_absolute_paths_are_used_and_shown_as_they_are(tmp_path: Path) -> None:
    make_images(tmp_path, ["../elsewhere/x.jpg"])
    outside = tmp_path / "elsewhere" / "x.jpg"
    write_rows(tmp_path, ["image_path"], [[outside], ["../elsewhere/x.jpg"]])
    images = list_project(tmp_path, "all")
    assert [e.relative for e in images.entries] == ["../elsewhere/x.jpg", str(outside)]
    assert [e.path.resolve() for e in images.entries] == [outside, outside]


def test_spreadsheet_exports_are_read(tmp_path: Path) -> None:
    make_images(tmp_path, ["ä, b.jpg"])
    text = 'note,image_path \r\n"two\r\nlines","ä, b.jpg"\r\n\r\n'
    (tmp_path / "data" / "train.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert ids(list_project(tmp_path, "all")) == ["ä, b.jpg"]


def test_without_csv_every_image_below_the_root_is_listed(tmp_path: Path) -> None:
    taken = ["B.JPG", "a.jpeg", "sub/c.PNG", "sub/deep/d.webp", "e.bmp", "f.tif", "g.TIFF"]
    make_images(tmp_path, [*taken, "notes.txt", ".hidden.jpg", ".cache/h.jpg", "jpg"])
    (tmp_path / "data" / "sub" / "loop").symlink_to(tmp_path / "data")
    images = list_project(tmp_path, "all", data__train_csv=None)
    assert [e.relative for e in images.entries] == sorted(taken)
    assert ids(images) == sorted(taken)


def test_fingerprint_follows_names_sizes_order_and_choice_only(tmp_path: Path) -> None:
    write_long(tmp_path, [f"ID{i}" for i in range(6)])
    first = list_project(tmp_path, "all").fingerprint
    assert list_project(tmp_path, "all").fingerprint == first
    assert list_project(tmp_path, "all", max_images=5).fingerprint != first
    image = tmp_path / "data" / "train" / "ID0.jpg"
    os.utime(image, (1, 1))
    assert list_project(tmp_path, "all").fingerprint == first
    image.write_bytes(b"another size")
    assert list_project(tmp_path, "all").fingerprint != first


def test_fingerprint_does_not_depend_on_where_the_project_lies(tmp_path: Path) -> None:
    for project in ("a", "b"):
        write_long(tmp_path / project, ["ID1", "ID2"])
    here, there = (list_project(tmp_path / project, "all") for project in ("a", "b"))
    assert here.fingerprint == there.fingerprint


def test_missing_images_are_noticed_and_stay_in_the_list(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1", "ID2", "ID3"])
    (tmp_path / "data" / "train" / "ID2.jpg").unlink()
    images = list_project(tmp_path, "all")
    assert ids(images) == ["ID1", "ID2", "ID3"]
    assert "1 of 3 images do not exist" in images.notices[0]
    assert "ID2.jpg" in images.notices[0]


def test_no_existing_image_is_an_error_that_names_root_and_first_path(tmp_path: Path) -> None:
    write_rows(tmp_path, ["image_path"], [["b.jpg"], ["a.jpg"]])
    with pytest.raises(ImageError, match=r"data\.root .*data; the first is .*data/a\.jpg"):
        list_project(tmp_path, "all")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("", "no column image_path", id="empty file"),
        pytest.param("image_path\n", "no rows", id="header only"),
        pytest.param("a;b\n1;2\n", "its columns are: a;b", id="no image_path"),
        pytest.param("image_path,a\nx.jpg\n", "row 2: 1 fields; expected 2", id="short row"),
        pytest.param("image_path,a\nx.jpg,1\n ,2\n", "row 3: image_path is ''", id="no path"),
        pytest.param("image_path\n" + "x" * 200_000, "cannot be read", id="endless field"),
        pytest.param(b"image_path\n\xff\xfe.jpg\n", "cannot be read", id="not UTF-8"),
    ],
)
def test_csv_that_cannot_be_used_is_an_error(text: str | bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    path = tmp_path / "data" / "train.csv"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    with pytest.raises(ImageError, match=rf"train\.csv.*{said}"):
        list_project(tmp_path, "all")


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_csv_of_a_spreadsheet_names_the_same_images(delimiter: str, tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1", "ID2"])
    commas = [entry.image_id for entry in list_project(tmp_path, "all").entries]
    path = tmp_path / "data" / "train.csv"
    rows = path.read_text().splitlines()
    empty = delimiter * rows[0].count(",")
    text = "\r\n".join([*(row.replace(",", delimiter) for row in rows), empty, ""])
    path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert [entry.image_id for entry in list_project(tmp_path, "all").entries] == commas


def test_missing_csv_and_root_are_named(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"data\.root .*data is not a folder"):
        list_project(tmp_path)
    (tmp_path / "data").mkdir()
    with pytest.raises(ImageError, match=r"data\.train_csv .*train\.csv cannot be read"):
        list_project(tmp_path)
    (tmp_path / "data" / "trian.csv").touch()
    (tmp_path / "data" / "secret.txt").touch()
    with pytest.raises(ImageError, match=r"its folder holds trian\.csv\. Correct"):
        list_project(tmp_path)
    with pytest.raises(ImageError, match=r"no such file\. Correct") as outside:
        list_project(tmp_path, data__train_csv=str(tmp_path / "train.csv"))
    assert "trian" not in str(outside.value)
    (tmp_path / "data" / "trian.csv").unlink()
    with pytest.raises(ImageError, match=r"data\.root .* holds no image"):
        list_project(tmp_path, data__train_csv=None)


def test_split_without_val_split_is_an_error_that_names_the_key(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1", "ID2"])
    with pytest.raises(ConfigError, match=r"data\.val_split is missing"):
        list_project(tmp_path, data__val_split=None)
    assert len(list_project(tmp_path, "all", data__val_split=None).entries) == 2


def test_empty_split_is_an_error(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1"])
    with pytest.raises(ImageError, match=r"split train of 1 image.* is empty"):
        list_project(tmp_path)


def test_impossible_flags_are_refused(tmp_path: Path) -> None:
    write_long(tmp_path, ["ID1", "ID2"])
    with pytest.raises(ConfigError, match="--split test: unknown"):
        list_project(tmp_path, "test")
    with pytest.raises(ConfigError, match="--max-images -1: must be"):
        list_project(tmp_path, max_images=-1)


@pytest.mark.parametrize("row", [",,,", ",", " , ,,", "", '"",,,'])
def test_rows_that_a_spreadsheet_left_empty_are_skipped(tmp_path: Path, row: str) -> None:
    write_long(tmp_path, ["a", "b"])
    csv_path = tmp_path / "data" / "train.csv"
    csv_path.write_text(csv_path.read_text() + f"{row}\n{row}\n")
    assert ids(list_project(tmp_path, split="all")) == ["a", "b"]


@pytest.mark.parametrize("suffix", ["avif", "jp2", "JPE", "gif", "pfm", "tga"])
def test_a_folder_is_listed_with_every_format_that_is_read(tmp_path: Path, suffix: str) -> None:
    make_images(tmp_path, [f"a.{suffix}", "b.txt", "c.pt"])
    assert ids(list_project(tmp_path, split="all", data__train_csv=None)) == [f"a.{suffix}"]


def test_photographs_that_pillow_does_not_read_are_said(tmp_path: Path) -> None:
    make_images(tmp_path, ["a.jpg", "b.HEIC", "c.jxl"])
    images = list_project(tmp_path, split="all", data__train_csv=None)
    assert ids(images) == ["a.jpg"]
    assert "2 photograph(s)" in images.notices[0]
    assert "b.HEIC" in images.notices[0]


def test_a_folder_of_unreadable_photographs_alone_says_why(tmp_path: Path) -> None:
    make_images(tmp_path, ["b.heic"])
    with pytest.raises(ImageError, match="convert"):
        list_project(tmp_path, split="all", data__train_csv=None)
