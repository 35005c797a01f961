"""What is installed is pinned, used and audited."""

from __future__ import annotations

import ast
import importlib.metadata
import importlib.util
import json
import re
import sys
from types import ModuleType

import pytest
from packaging.requirements import Requirement

from tests import ROOT

MODULES = {
    "pillow": "PIL",
    "pyyaml": "yaml",
    "scikit-image": "skimage",
    "scikit-learn": "sklearn",
    "pytest-timeout": "timeout = ",  # a setting
    "pytest-xdist": "-n 2",  # a flag
    "ruff": "/ruff ",
    "pyright": "/pyright",
    "pandas-stubs": "pyright",  # types only
    "types-pyyaml": "pyright",
    "setuptools": "setuptools.build_meta",
}
"""Names under which packages are used that are not their own."""

UNPINNED = {"triton"}
"""Comes in the one version that the installed torch wants."""


def load(name: str) -> ModuleType:
    """Import a script from .ci."""
    spec = importlib.util.spec_from_file_location(name, ROOT / ".ci" / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


audit = load("audit")


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def lines(name: str) -> list[str]:
    text = (ROOT / name).read_text()
    return [line.partition("#")[0].strip() for line in text.splitlines() if line[:1] not in "#"]


def required(name: str) -> list[Requirement]:
    return [Requirement(line) for line in lines(name) if line]


PINS = {normal(line.partition("==")[0]): line for line in lines("constraints.txt") if line}


def test_constraints_are_exact() -> None:
    assert [line for line in PINS.values() if not re.fullmatch(r"[\w.-]+==[\w.]+", line)] == []


def test_all_that_is_installed_on_the_way_is_pinned() -> None:
    todo = [*required("requirements.txt"), *required("requirements-dev.txt")]
    seen: set[str] = set()
    while todo:
        one = todo.pop()
        name = normal(one.name)
        if name in seen or (one.marker and not one.marker.evaluate({"extra": ""})):
            continue
        try:
            todo += map(Requirement, importlib.metadata.requires(one.name) or [])
        except importlib.metadata.PackageNotFoundError:  # of another platform
            continue
        seen.add(name)
    # What a torch for GPUs brings along goes with it.
    free = {name for name in seen if name.startswith(("nvidia-", "cuda-"))} | UNPINNED
    assert {"torch", "streamlit", "tornado"} & seen
    assert sorted(seen - free - set(PINS)) == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-dev.txt"])
def test_what_is_required_is_used(name: str) -> None:
    tracked = [*ROOT.glob("*.py"), *ROOT.glob("tests/**/*.py"), *ROOT.glob("benchmarks/**/*.py")]
    for folder in ("analysis", "pages", "demo"):
        tracked += ROOT.glob(f"{folder}/**/*.py")
    modules = {
        (node.module or "").split(".")[0] if isinstance(node, ast.ImportFrom) else alias.name
        for path in tracked
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    used = {module.split(".")[0] for module in modules}
    settings = "\n".join((ROOT / file).read_text() for file in ("Makefile", "pyproject.toml"))
    idle = []
    for one in required(name):
        known_as = MODULES.get(normal(one.name), one.name)
        if known_as not in used and (known_as == one.name or known_as not in settings):
            idle.append(one.name)
    # pandas reads and writes Arrow for Streamlit through it.
    assert set(idle) <= {"pyarrow"}


def test_the_audit_is_part_of_the_check() -> None:
    found = re.search(r"^check: (.*?)(?: ##|$)", (ROOT / "Makefile").read_text(), re.M)
    assert found
    assert "audit" in found[1].split()


@pytest.mark.parametrize(
    ("answer", "code", "said"),
    [
        ({"name": "a", "version": "1", "vulns": []}, 0, "1 of 1 packages looked up"),
        ({"name": "a", "version": "1", "vulns": [{"id": "CVE-1"}]}, 1, "a 1: CVE-1"),
        ({"name": "a", "skip_reason": "not found"}, 0, "skipped, pip-audit's data knows none"),
        (None, 0, "skipped, pip-audit could not reach its data"),
    ],
    ids=["clean", "vulnerable", "unknown", "unreachable"],
)
def test_the_audit_says_what_came_of_it(
    capsys: pytest.CaptureFixture[str], answer: object, code: int, said: str
) -> None:
    text = json.dumps({"dependencies": [answer]}) if answer else ""
    assert audit.main([sys.executable, "-c", f"print({text!r})"]) == code
    assert said in capsys.readouterr().out
