"""The README knows every flag and every key of the payload."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.cli import build_parser
from analysis.comparison import command as compare_cli
from analysis.payload import BACKBONE_KEYS, COUNT_KEYS

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
FLAGS = [
    flag
    for parser in (build_parser(), compare_cli.build_parser())
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
