"""The README knows every flag and every key of the payload."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from analysis.cli import compare as compare_cli
from analysis.cli import intervene as intervene_cli
from analysis.collect.plan.flags import build_parser
from analysis.collect.plan.image_list import list_images
from analysis.collect.plan.settings import _ANALYSIS, load_settings
from analysis.payload.contract.payload import Backbone, Counts
from tests import ROOT

README = (ROOT / "README.md").read_text()
FLAGS = [
    flag
    for parser in (build_parser(), compare_cli.build_parser(), intervene_cli.build_parser())
    for action in parser._actions
    for flag in action.option_strings
    if flag.startswith("--") and flag != "--help"
]


@pytest.mark.parametrize("flag", FLAGS)
def test_every_flag_is_documented(flag: str) -> None:
    assert f"`{flag}" in README


@pytest.mark.parametrize("key", [*Backbone.__annotations__, *Counts.__annotations__])
def test_every_meta_key_is_documented(key: str) -> None:
    assert f"`{key}`" in README


@pytest.mark.parametrize(
    "page", sorted((ROOT / "pages").glob("[a-z]*.py")), ids=lambda path: path.stem
)
def test_every_page_is_documented(page: Path) -> None:
    assert f"**{page.stem.capitalize()}**" in README


def test_every_local_link_leads_somewhere() -> None:
    links = [part.split(")")[0] for part in README.split("](")[1:]]
    local = [link.split("#")[0] for link in links if "://" not in link and link.split("#")[0]]
    assert [link for link in local if not (ROOT / link).exists()] == []


def test_the_least_config_lists_the_images_of_a_csv(tmp_path: Path) -> None:
    least = re.findall(r"^```yaml\n(.*?)^```$", README, re.M | re.S)[0]
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "train.yaml").write_text(least, encoding="utf-8")
    (tmp_path / "data").mkdir()
    photographs = sorted((ROOT / "data" / "images").iterdir())[:3]
    for photograph in photographs:
        shutil.copy(photograph, tmp_path / "data")
    rows = "\n".join(photograph.name for photograph in photographs)
    (tmp_path / "data" / "train.csv").write_text(f"image_path\n{rows}\n", encoding="utf-8")
    listed = list_images(load_settings(tmp_path))
    assert [entry.path.name for entry in listed.entries] == [path.name for path in photographs]


def test_every_default_that_a_config_may_hold_is_documented() -> None:
    sentence = re.search(r"^Defaults for (.*?) may stand in", README, re.M | re.S)
    assert sentence
    assert set(re.findall(r"`(\w+)`", sentence[1])) == set(_ANALYSIS) - {"group_by"}
    assert "`analysis.group_by`" in README


def measured(name: str) -> dict[str, Any]:
    return json.loads((ROOT / "benchmarks" / "results" / f"{name}.json").read_text())


def test_the_numbers_on_performance_are_those_that_were_measured() -> None:
    job, longer = measured("h200-start"), measured("h100-cruise")
    warm = sorted(run["seconds"] for run in job["ours, 357, warm"])
    large, small = (job[f"{shape}, images/s"] for shape in ("960x480 batch 8", "256x256 batch 64"))
    default, bf16 = (job[f"specification, 357, {name}"] for name in ("fp32", "bf16"))
    click, two = job["ours, 357, from the click"], measured("h200-two-gpus")
    text = README.partition("## Performance")[2].partition("## ")[0].replace("\n", " ")
    for sentence in (
        f"takes {warm[0]:.1f} to {warm[-1]:.1f} s on one",
        f"algorithm {default:.1f} s by default, {bf16:.1f} s in bf16",
        f"{job['ours, 357, no kernels']['seconds']:.1f} s the first time",
        f"{job['ours, 357, no bytecode, no kernels']['seconds']:.1f} s where Python keeps no",
        f"From the click in the form it takes {click['median']['form open']:.1f} s",
        f"1600 images take {longer['ours, 1600, warm'][0]['seconds']:.1f} s",
        f"{large['fused, extras']:.1f} images/s with all statistics",
        f"{large['fused, extras / limit']:.2f} of what the matrix products",
        f"({small['fused, extras']:.1f} and {small['fused, extras / limit']:.2f} at 256x256)",
        f"{two['speedup, running']:.2f} times the speed of one",
    ):
        assert sentence in text
