"""The files around the code agree with it, and the two READMEs with each other."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from analysis import __version__
from tests import ROOT

READMES = ("README.md", "README.zh-CN.md")


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def outside_code(text: str) -> str:
    return re.sub(r"^```.*?^```$", "", text, flags=re.M | re.S)


def headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", outside_code(text), re.M)]


def code_blocks(text: str) -> list[str]:
    """Fenced blocks without their comments, which are translated."""
    blocks = re.findall(r"^```(.*?)^```$", text, re.M | re.S)
    return [re.sub(r" *#.*", "", block) for block in blocks]


def in_backticks(text: str) -> set[str]:
    """Flags, keys and names: whatever stands in backticks outside of code blocks."""
    return set(re.findall(r"`([^`\n]+)`", outside_code(text)))


def links(text: str) -> set[str]:
    found = re.findall(r"\]\(([^)\s]+)\)", text)
    return {link for link in found if not link.startswith("README")}


@pytest.mark.parametrize(
    "part",
    [headings, code_blocks, in_backticks, links],
    ids=["headings", "code blocks", "names", "links"],
)
def test_both_readmes_have_the_same(part) -> None:
    english, chinese = (part(read(name)) for name in READMES)
    assert english
    assert chinese == english


def test_both_readmes_have_the_same_table_rows() -> None:
    english, chinese = (len(re.findall(r"^\|", read(name), re.M)) for name in READMES)
    assert chinese == english


@pytest.mark.parametrize("name", [*READMES, "CONTRIBUTING.md", "CHANGELOG.md"])
def test_every_local_link_leads_somewhere(name: str) -> None:
    found = re.findall(r"\]\(([^)#\s]+)", read(name))
    assert [link for link in found if "://" not in link and not (ROOT / link).exists()] == []


def test_every_page_has_its_figures_explained() -> None:
    sections = set(re.findall(r"^## (\w+)$", read("docs/figures.md"), re.M))
    assert sections == {path.stem.capitalize() for path in (ROOT / "pages").glob("[a-z]*.py")}


def test_the_changelog_names_the_version_of_the_code() -> None:
    assert f"[Unreleased] {__version__}" in read("CHANGELOG.md")


def test_the_commands_of_the_contributing_guide_are_targets() -> None:
    targets = set(re.findall(r"^([a-z]+):", read("Makefile"), re.M))
    commands = re.findall(r"^make (\w+)", read("CONTRIBUTING.md"), re.M)
    assert len(commands) == 3
    assert set(commands) <= targets


def test_the_workflow_runs_what_must_pass() -> None:
    workflow = yaml.safe_load(read(".github/workflows/check.yml"))
    steps = workflow["jobs"]["check"]["steps"]
    assert steps[-1]["run"] == "make check"
    assert "chromium" in steps[0]["run"]


def test_pre_commit_formats_with_the_pinned_ruff() -> None:
    hooks = {
        repo["repo"]: repo["rev"]
        for repo in yaml.safe_load(read(".pre-commit-config.yaml"))["repos"]
        if repo["repo"] != "local"
    }
    pinned = re.search(r"^ruff==(.+)$", read("constraints.txt"), re.M)
    assert pinned
    assert hooks["https://github.com/astral-sh/ruff-pre-commit"] == f"v{pinned[1]}"
    assert "ruff" in tomllib.loads(read("pyproject.toml"))["tool"]


def test_nothing_is_left_to_do() -> None:
    sources = [*ROOT.glob("*.py"), *ROOT.glob("docs/*.md")]
    for folder in ("analysis", "pages", "demo", "benchmarks", "tests"):
        sources += (ROOT / folder).rglob("*.py")
    mark = re.compile(r"\b(?:TO" + r"DO|FIX" + r"ME|X" + r"XX)\b")
    assert [path.name for path in sources if mark.search(path.read_text(encoding="utf-8"))] == []
