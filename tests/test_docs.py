"""The documentation says what the code does: keys, links and examples are checked, not believed."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis import extract
from analysis.cli.extract import main
from analysis.files.cache_folder import CACHE_ENV
from analysis.files.read_only import READ_ONLY_ENV
from analysis.files.roots import ROOTS_ENV
from analysis.jobs.background import QUEUE_ENV
from analysis.payload.file import MAX_BYTES, load_payload
from tests import ROOT, payload_tables
from tests.factories.backbones import make_backbone
from tests.factories.projects import make_project

DOCS = sorted((ROOT / "docs").glob("*.md"))

NAMES = {
    "layer": r"\d+",
    "representation": "pre|per_layer_ln|global_ln",
    "measured": "pre|per_layer_ln",
    "role": "cls|patch",
    "any_role": r"cls|patch|storage_\d+",
    "storage": r"storage_\d+",
}
FREE = ("K", "S", "layers", "rows", "columns", "groups")
"""Lengths that a payload chooses; `analysis.payload.contract` holds them together."""
UNTIED_ONLY = {"extras.norm.cls_gamma", "extras.norm.cls_beta"}


def documented(section: str | None = None) -> dict[str, str]:
    """Type by key, of the tables in docs/payload.md; of one section or of all before the JSON."""
    text = (ROOT / "docs" / "payload.md").read_text()
    body, beside = text.split("## The JSON beside it")
    rows = re.findall(
        r"^\| `([\w.<>]+)` \| ([^|]+) \|", beside if section == "json" else body, re.M
    )
    return {key: kind for key, kind in rows if section == "json" or "." in key}


def pattern_of(key: str) -> re.Pattern[str]:
    parts = re.split(r"<(\w+)>", key)
    named = [f"(?:{NAMES[part]})" if i % 2 else re.escape(part) for i, part in enumerate(parts)]
    return re.compile("".join(named))


def walk(value: Any, path: str = "", leaves: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every leaf by dotted key; `leaves` are dicts that are documented as one value."""
    if isinstance(value, dict) and path not in leaves:
        for key, child in value.items():
            yield from walk(child, f"{path}.{key}" if path else str(key), leaves)
    else:
        yield path, value


def mismatch(kind: str, value: Any, channels: int) -> bool:
    """Whether a value is not of the type that the documentation names."""
    for alternative in kind.split(" or "):
        dtype, *shape = re.findall(r"\w+", alternative)
        if isinstance(value, torch.Tensor):
            sizes = [channels if size == "C" else size for size in shape]
            fits = len(sizes) == value.dim() and all(
                str(size) == str(found) or str(size) in FREE
                for size, found in zip(sizes, value.shape, strict=True)
            )
            if str(value.dtype) == f"torch.{dtype}" and fits:
                return False
        elif (value is None and dtype == "None") or type(value).__name__ == dtype:
            return False
    return True


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The payload of a real run."""
    project = make_project(tmp_path_factory.mktemp("run") / "project", images=3)
    flags = ["--project-dir", str(project), "--device", "cpu", "--quiet"]
    assert main(flags) == 0
    return next(project.rglob("feature_stats/*.pt"))


@pytest.fixture(scope="module")
def extracted() -> Mapping[str, Any]:
    """What `extract` makes of a model."""
    model = make_backbone("tiny")
    images = torch.randn(2, 3, 32, 48, generator=torch.Generator().manual_seed(0))
    return extract(model, [images], blocks=list(model.blocks), norm=model.norm, n_storage_tokens=4)


def faults(payload: Mapping[str, Any]) -> list[str]:
    """Leaves of a payload that the documentation lacks, or gives another type."""
    table = [(pattern_of(key), kind) for key, kind in documented().items()]
    channels = payload["meta"]["counts"]["embedding_dim"]
    found = []
    for path, value in walk(payload, leaves=("meta.config",)):
        kinds = [kind for pattern, kind in table if pattern.fullmatch(path)]
        if len(kinds) != 1 or mismatch(kinds[0], value, channels):
            found.append(f"{path}: {type(value).__name__}, documented as {kinds}")
    return found


def test_every_key_of_a_run_is_documented_with_its_type(written: Path) -> None:
    assert faults(load_payload(written)) == []


def test_every_key_of_an_extracted_model_is_documented(extracted: Mapping[str, Any]) -> None:
    assert faults(extracted) == []


def test_every_documented_key_is_written(written: Path) -> None:
    paths = [path for path, _ in walk(load_payload(written), leaves=("meta.config",))]
    unwritten = {
        key for key in documented() if not any(pattern_of(key).fullmatch(path) for path in paths)
    }
    assert unwritten == UNTIED_ONLY


def test_an_undocumented_key_or_another_type_is_found(extracted: Mapping[str, Any]) -> None:
    meta = extracted["meta"]
    counts = meta["counts"] | {"num_images": 2.0}
    changed = dict(extracted) | {"meta": meta | {"counts": counts, "more": 1}}
    assert [fault.split(":")[0] for fault in faults(changed)] == [
        "meta.counts.num_images",
        "meta.more",
    ]


def test_the_json_beside_a_payload_is_documented(written: Path) -> None:
    facts = json.loads(written.with_suffix(".json").read_text())
    table = documented("json")
    assert facts.keys() == table.keys()
    assert [key for key, value in facts.items() if mismatch(table[key], value, 0)] == []


def test_the_tables_of_the_payload_are_those_of_its_schema() -> None:
    text = payload_tables.DOCUMENT.read_text()
    assert text == payload_tables.write_tables(text), "run python -m tests.payload_tables"


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_local_link_leads_somewhere(path: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)", path.read_text())
    assert [link for link in links if "://" not in link and not (path.parent / link).exists()] == []


def test_every_test_that_the_documentation_names_exists() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", "".join(p.read_text() for p in DOCS))
    assert named
    missing = [
        (path, name)
        for path, name in named
        if not (ROOT / path).exists() or f"def {name}(" not in (ROOT / path).read_text()
    ]
    assert missing == []


def test_serving_names_what_the_server_is_set_to() -> None:
    text = (ROOT / "docs" / "serving.md").read_text()
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert config["server"]["address"] == "localhost"
    assert config["browser"]["gatherUsageStats"] is False
    assert f"upload may have {config['server']['maxUploadSize']} MB" in text
    assert f"client_max_body_size {config['server']['maxUploadSize']}m" in text
    assert f"unpack to {MAX_BYTES // 2**20} MB" in text
    sources = [*ROOT.glob("pages/**/*.py"), ROOT / "app.py"]
    style = r"_QUIET( \+ _PRESENTED if present\.is_on\(\) else _QUIET)?\)"  # constants
    raw_html = re.compile(rf"allow_html|st\.html\((?!{style})")
    assert [p.name for p in sources if raw_html.search(p.read_text())] == []
    for variable in (ROOTS_ENV, READ_ONLY_ENV, CACHE_ENV, QUEUE_ENV):
        assert f"| `{variable}` |" in text
