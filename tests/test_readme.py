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
from analysis.payload.schema import BACKBONE_KEYS, COUNT_KEYS
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


@pytest.mark.parametrize("key", [*BACKBONE_KEYS, *COUNT_KEYS])
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
    rows = measured("h100-specification")["rows"]
    tax = measured("h100-tax")
    kept, fp32 = (
        tax[f"forward, {case}, 960x480 batch 8"]["extras ratio"]
        for case in ("bf16 compiled", "fp32 eager")
    )
    two = measured("h200-two-gpus")
    said = README.partition("## Performance")[2].partition("## ")[0].replace("\n", " ")
    for sentence in (
        f"{rows['ours bf16 compiled']['images/s']:.1f} images/s by default",
        f"against {rows['specification fp32']['images/s']:.1f} for",
        f"{rows['specification bf16']['images/s']:.1f} at the same precision",
        f"the compiled forward keeps {kept:.3f} of its speed, {fp32:.3f} in fp32",
        f"{two['speedup, running']:.2f} times the speed of one, {two['speedup, whole']:.2f} times",
    ):
        assert sentence in said
