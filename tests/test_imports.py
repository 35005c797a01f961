"""Every import goes down the table of docs/architecture.md: held by walking all of them."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests import ROOT

BASE = ("analysis.vocabulary", "analysis.errors", "analysis.language")
NOTHING_OF_TORCH = ("analysis.payload.file", "analysis.files.safe_load")


@dataclass(frozen=True)
class Rule:
    """What the modules of one folder may import, besides the standard library and each other."""

    packages: tuple[str, ...] = ()
    """Of other people."""
    ours: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    """Of what `ours` would allow."""


RULES = {
    "analysis/vocabulary.py": Rule(),
    "analysis/errors.py": Rule(),
    "analysis/language.py": Rule(),
    "analysis/files": Rule(("safetensors", "torch", "psutil", "platformdirs"), BASE),
    "analysis/payload": Rule(("numpy", "torch", "safetensors"), ("analysis.files", *BASE)),
    "analysis/collect/plan": Rule(
        ("yaml", "numpy", "safetensors"),
        (
            *("analysis.payload", "analysis.files", *BASE),
            *("analysis.collect.backbone.variants", "analysis.collect.backbone.weights_folder"),
            *("analysis.collect.backbone.weights_choice", "analysis.collect.backbone.names"),
            "analysis.collect.backbone.weights_formats",
        ),
        NOTHING_OF_TORCH,
    ),
    "analysis/collect": Rule(
        ("torch", "triton", "peft", "accelerate", "numpy", "PIL", "yaml", "safetensors", "tqdm"),
        ("analysis.payload", "analysis.files", *BASE),
    ),
    "analysis/read": Rule(
        ("numpy", "pandas", "scipy", "sklearn", "threadpoolctl", "PIL"),
        ("analysis.payload", "analysis.files.roots", *BASE),
        NOTHING_OF_TORCH,
    ),
    "analysis/show": Rule(
        ("plotly", "numpy", "pandas", "PIL", "yaml", "safetensors"),
        ("analysis.payload", "analysis.read", *BASE),
        NOTHING_OF_TORCH,
    ),
    "analysis/jobs/maps": Rule(
        ("numpy", "PIL", "torch"),
        (
            *("analysis.payload", "analysis.read.places", "analysis.files", "analysis.collect"),
            *("analysis.jobs.background", "analysis.jobs.limits", *BASE),
        ),
    ),
    "analysis/jobs/reader": Rule(
        ("numpy",),
        (
            *("analysis.payload", "analysis.read.places", "analysis.files"),
            *("analysis.jobs.limits", *BASE),
        ),
    ),
    "analysis/jobs/interventions": Rule(
        ("numpy",),
        (
            *("analysis.payload", "analysis.files", "analysis.collect", *BASE),
            *("analysis.jobs.background", "analysis.jobs.limits"),
        ),
    ),
    "analysis/jobs/summaries": Rule(
        (),
        (
            *("analysis.payload", "analysis.read", "analysis.files", *BASE),
            *("analysis.jobs.background", "analysis.jobs.limits"),
        ),
        NOTHING_OF_TORCH,
    ),
    "analysis/jobs": Rule(
        ("numpy", "torch", "psutil"),
        (
            *("analysis.payload", "analysis.files", "analysis.collect.plan", *BASE),
            "analysis.collect.run.progress",
            "analysis.collect.backbone.variants",
        ),
        NOTHING_OF_TORCH,
    ),
    "analysis/cli": Rule(("numpy",), ("analysis",), ("analysis.jobs",)),
    "analysis/api.py": Rule(("torch", "numpy", "PIL"), ("analysis",), ("analysis.jobs",)),
    "analysis/__init__.py": Rule(
        (),
        (
            *("analysis.api", "analysis.vocabulary", "analysis.payload.features"),
            "analysis.read.worth",
        ),
    ),
    "analysis/__main__.py": Rule((), ("analysis.cli",)),
    "pages/components/shared": Rule(
        ("streamlit", "numpy", "pandas", "plotly"),
        (
            *("analysis.payload", "analysis.read", "analysis.show", "analysis.jobs", *BASE),
            *("analysis.files.roots", "analysis.files.read_only", "analysis.files.atomic"),
            *("analysis.files.cache_folder", "analysis.files.writing"),
        ),
        NOTHING_OF_TORCH,
    ),
    "app.py": Rule(("streamlit",), ("pages.components.frame", "pages.components.shared")),
}
_SHARED = RULES["pages/components/shared"]
_FRAME = "pages.components.frame"


def _page_rule(*ours: str) -> Rule:
    return Rule(_SHARED.packages, ("pages.components.shared", *ours, *_SHARED.ours), _SHARED.never)


RULES["pages/components/frame"] = _page_rule()
for _page in (
    *("overview", "layers", "outliers", "channels", "images", "interventions"),
    *("targets", "similarity"),
):
    RULES[f"pages/components/{_page}"] = _page_rule()
for _page in ("home", "versions", "runs"):
    RULES[f"pages/components/{_page}"] = _page_rule(_FRAME)
RULES["pages"] = _page_rule("pages.components")
"""The most particular entry holds for a file."""

TORCH_IN_JOBS = {
    "analysis.jobs.maps.worker",
    "analysis.jobs.maps.token_maps",
    "analysis.jobs.extractions.devices",
}
"""The modules of `analysis.jobs` that import torch, each in a process of its own."""


def _module(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


SOURCES = {
    _module(path): path
    for path in [ROOT / "app.py", *ROOT.glob("pages/**/*.py"), *ROOT.glob("analysis/**/*.py")]
}


def _imports(source: str) -> Iterator[str]:
    """Yield every imported name: those in functions, and modules that strings name, included."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            if re.fullmatch(r"analysis(\.\w+)+", node.value):
                yield node.value
            elif "\n" not in node.value:
                yield from re.findall(r"(?:from|import) (analysis(?:\.\w+)+)", node.value)


def _starts_with(name: str, prefixes: Iterable[str]) -> bool:
    return any(name == prefix or name.startswith(f"{prefix}.") for prefix in prefixes)


def _rule_of(file: str) -> str:
    return max((key for key in RULES if file == key or file.startswith(f"{key}/")), key=len)


def _forbidden(source: str, file: str) -> list[str]:
    """Return what a file imports against the rule of its folder."""
    key = _rule_of(file)
    rule, own = RULES[key], key.replace("/", ".").removesuffix(".py")
    return [
        name
        for name in _imports(source)
        if name.split(".")[0] not in sys.stdlib_module_names
        and (
            _starts_with(name, rule.never)
            if name.startswith(f"{own}.") and own != "pages"
            else not _starts_with(name, (*rule.packages, *rule.ours))
            or _starts_with(name, rule.never)
        )
    ]


def _arrows(sources: Mapping[str, str]) -> dict[str, set[str]]:
    """Return for each module the modules of ours that it imports, whether lazily or not."""
    found: dict[str, set[str]] = {}
    for module, source in sources.items():
        names = found.setdefault(module, set())
        for name in _imports(source):
            target = name if name in sources else name.rpartition(".")[0]
            if target in sources and target != module:
                names.add(target)
    return found


def _circle(arrows: Mapping[str, Iterable[str]]) -> list[str]:
    try:
        TopologicalSorter(arrows).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def _folded(arrows: Mapping[str, Iterable[str]], depth: int) -> dict[str, set[str]]:
    """Return the arrows between folders: module names cut to `depth` parts."""

    def cut(name: str) -> str:
        return ".".join(name.split(".")[:depth])

    folders: dict[str, set[str]] = {}
    for module, targets in arrows.items():
        seen = folders.setdefault(cut(module), set())
        seen |= {cut(target) for target in targets} - {cut(module)}
    return folders


@pytest.mark.parametrize("module", sorted(SOURCES))
def test_a_module_imports_only_what_its_folder_may(module: str) -> None:
    path = SOURCES[module]
    assert _forbidden(path.read_text(), str(path.relative_to(ROOT))) == []


def test_every_rule_guards_a_file() -> None:
    used = {_rule_of(str(path.relative_to(ROOT))) for path in SOURCES.values()}
    assert used == set(RULES)


@pytest.mark.parametrize("depth", [2, 3, 4, 9])
def test_there_is_no_circle_at_any_level(depth: int) -> None:
    arrows = _arrows({module: path.read_text() for module, path in SOURCES.items()})
    # the package's face hands on names of its modules: an entrance, not a dependency
    arrows = {module: targets for module, targets in arrows.items() if module != "analysis"}
    assert _circle(_folded(arrows, depth)) == []


def test_the_rules_see_lazy_imports_and_names_in_strings() -> None:
    lazy = "def f():\n    from analysis.collect.run import loop\n"
    assert _forbidden(lazy, "pages/layers.py") == ["analysis.collect.run.loop"]
    named = 'COMMAND = ["-m", "analysis.collect.run.loop"]'
    assert _forbidden(named, "analysis/read/scores.py") == ["analysis.collect.run.loop"]
    torch = "from analysis.payload.file import load_payload"
    assert _forbidden(torch, "analysis/read/scores.py") == ["analysis.payload.file.load_payload"]
    assert _forbidden("import streamlit", "analysis/show/tour.py") == ["streamlit"]
    assert _forbidden("import demo", "analysis/api.py") == ["demo"]


def test_a_circle_is_found_between_modules_and_between_folders() -> None:
    sources = {"a.x": "import a.y", "a.y": "def f():\n    import a.x", "b.z": ""}
    assert set(_circle(_arrows(sources))) == {"a.x", "a.y"}
    apart = _arrows({"a.x": "import b.x", "b.x": "", "b.y": "import a.y", "a.y": ""})
    assert _circle(apart) == []
    assert set(_circle(_folded(apart, 1))) == {"a", "b"}


def test_torch_is_imported_by_the_named_modules_of_jobs_only() -> None:
    found = {
        module
        for module, path in SOURCES.items()
        if module.startswith("analysis.jobs.")
        and any(name.split(".")[0] == "torch" for name in _imports(path.read_text()))
    }
    assert found <= TORCH_IN_JOBS


def test_the_page_of_the_architecture_has_a_line_for_every_rule() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    folders = re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)
    assert set(folders) == set(RULES)


def _loaded_by(code: str, library: str = "torch") -> bool:
    """Whether running `code` in a new interpreter imports a library."""
    probe = f"{code}\nimport sys\nprint({library!r} in sys.modules)"
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


def test_the_first_page_does_not_wait_for_scipy() -> None:
    frame = "\n".join(f"import {name}" for name in SOURCES if name.startswith("pages.components."))
    assert not _loaded_by(frame, "scipy")


def test_a_reader_starts_without_what_extractions_import() -> None:
    assert not _loaded_by("import analysis.jobs.reader.worker", "analysis.jobs.extractions")


def test_the_torch_probe_can_fail() -> None:
    assert _loaded_by("import analysis.payload.file")


def test_sidecars_are_read_without_numpy() -> None:
    assert not _loaded_by(
        "import analysis.payload.sidecar, analysis.files.isolated_worker", "numpy"
    )
