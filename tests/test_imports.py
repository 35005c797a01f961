"""The two halves meet in the payload file only: held by walking every import statement."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests import ROOT

READERS = [
    *("discovery", "tables", "extra_tables", "outliers", "scores", "role_overlap", "checks"),
    "spread",
    *("versions", "comparison", "depth", "maps", "sharing", "figures", "jobs"),
    *("annotations", "read_only", "tour", "vocabulary", "errors"),
]
PAGE_ALLOWS = ["pages.components", *(f"analysis.{name}" for name in READERS)]
NUMPY_ONLY = ["numpy", "pandas", "analysis.payload.table", "analysis.vocabulary", "analysis.errors"]

# file pattern -> what its imports may start with, besides the standard library and itself
RULES: dict[str, list[str]] = {
    "app.py": ["streamlit", "numpy", "pandas", "plotly", *PAGE_ALLOWS],
    "pages/**/*.py": ["streamlit", "numpy", "pandas", "plotly", *PAGE_ALLOWS],
    "analysis/figures/*.py": [
        "plotly",
        "numpy",
        "pandas",
        "analysis.vocabulary",
        "analysis.show.figures",
    ],
    "analysis/read/scores.py": NUMPY_ONLY,
    "analysis/read/outliers.py": [*NUMPY_ONLY, "analysis.read.scores", "analysis.read.headroom"],
    "analysis/read/compare/drift.py": [
        *NUMPY_ONLY,
        "analysis.read.scores",
        "analysis.read.compare.compatibility",
        "analysis.read.compare.overlap",
    ],
    "analysis/read/compare/compatibility.py": NUMPY_ONLY,
    "analysis/read/checks.py": NUMPY_ONLY,
    "analysis/read/spread.py": NUMPY_ONLY,
    "analysis/collect/statistics/moments.py": ["torch", "analysis.errors"],
}


def _imports(source: str) -> Iterator[str]:
    """Yield every imported module, as `package.module` or `package.module.name`."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def _forbidden(source: str, allowed: list[str]) -> list[str]:
    return [
        name
        for name in _imports(source)
        if name.split(".")[0] not in sys.stdlib_module_names
        and not any(name == prefix or name.startswith(prefix + ".") for prefix in allowed)
    ]


@pytest.mark.parametrize("pattern", RULES)
def test_each_module_imports_only_what_its_layer_may(pattern: str) -> None:
    files = sorted(ROOT.glob(pattern))
    assert files, f"no file matches {pattern}: the rule guards nothing"
    found = {
        str(path.relative_to(ROOT)): _forbidden(path.read_text(), RULES[pattern]) for path in files
    }
    assert {path: names for path, names in found.items() if names} == {}


def test_nothing_under_analysis_imports_streamlit() -> None:
    guilty = [
        path.name
        for path in (ROOT / "analysis").rglob("*.py")
        if any(name.split(".")[0] == "streamlit" for name in _imports(path.read_text()))
    ]
    assert guilty == []


def test_nothing_in_the_product_imports_the_demo() -> None:
    files = [ROOT / "app.py", *ROOT.glob("pages/**/*.py"), *ROOT.glob("analysis/**/*.py")]
    guilty = [
        path.name
        for path in files
        if any(name.split(".")[0] == "demo" for name in _imports(path.read_text()))
    ]
    assert guilty == []


def test_the_rules_can_fail() -> None:
    source = (
        "import numpy\nfrom analysis import collect\nfrom analysis.payload.file import load_payload"
    )
    assert _forbidden(source, RULES["pages/**/*.py"]) == [
        "analysis.collect.run.loop",
        "analysis.payload.file.load_payload",
    ]


def _loaded_by(code: str) -> bool:
    """Whether running `code` in a new interpreter imports torch."""
    probe = f"{code}\nimport sys\nprint('torch' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stdout.strip() == "True"


def test_what_pages_import_does_not_import_torch() -> None:
    sources = [ROOT / "app.py", *ROOT.glob("pages/**/*.py")]
    lines = {
        f"from {node.module} import {alias.name}"
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("analysis")
        for alias in node.names
    }
    assert len(lines) > 50
    assert not _loaded_by("\n".join(sorted(lines)))


def test_the_torch_probe_can_fail() -> None:
    assert _loaded_by("import analysis.payload.file")
