"""Whatever stands in a payload or a config, the answer is its content or one sentence about it.

A thousand inputs by default; `FUZZ_INPUTS=100000` asks for more. Inputs that once found a fault
are given as examples.
"""

from __future__ import annotations

import copy
import io
import json
import os
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import HealthCheck, event, example, given, settings
from hypothesis import strategies as st

from analysis.collect.plan.settings import Settings, load_settings
from analysis.errors import ConfigError, PayloadError
from analysis.payload.reading import open_payload
from analysis.payload.table import StatsTable
from tests.factories.payloads import make_payload
from tests.hostile import pickles
from tests.hostile.archives import as_zip

INPUTS = int(os.environ.get("FUZZ_INPUTS", "1000"))
LAYERS, CHANNELS = 2, 4

fuzzed = settings(
    max_examples=INPUTS // 4,
    deadline=None,
    derandomize="FUZZ_INPUTS" not in os.environ,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(autouse=True)
def _no_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", "/nonexistent")


# --- payloads

TENSORS = [
    torch.ones(CHANNELS), torch.zeros(CHANNELS), -torch.ones(CHANNELS), torch.ones(CHANNELS + 1),
    torch.full((CHANNELS,), torch.nan), torch.full((CHANNELS,), 3e38), torch.ones(0),
    torch.ones(CHANNELS).double(), torch.ones(1).expand(CHANNELS), torch.ones(CHANNELS, 1),
    torch.ones(2 * CHANNELS)[::2], torch.ones(CHANNELS).requires_grad_(), torch.tensor(1.0),
]  # fmt: skip
PLAIN = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.sampled_from([-1, 0, 1, 2, 3, 2**31, 2**63 - 1, 2**63, 2**64, -(2**63), 10**30]),
    st.floats(),
    st.text(st.characters(), max_size=8),
    st.sampled_from(["mean", "pre", "cls", "", "\udc80", "a\nb", "<b>", "../x"]),
)
KEYS = st.one_of(PLAIN, st.integers(-2, 4))
VALUES = st.recursive(
    PLAIN | st.sampled_from(TENSORS),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.tuples(inner, inner),
        st.dictionaries(KEYS, inner, max_size=3),
    ),
    max_leaves=6,
)
EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "delete", "add", "rename", "move"]),
        st.integers(0, 10**6),
        KEYS,
        VALUES,
    ),
    max_size=4,
)


def places(parent: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Yield the keys that lead to every value, breadth last."""
    if isinstance(parent, dict):
        for key, value in parent.items():
            yield (*above, key)
            yield from places(value, (*above, key))


def edit(payload: dict[Any, Any], edits: list[tuple[str, int, Any, Any]]) -> dict[Any, Any]:
    """Apply edits to a copy; each picks its place by number among those that are there."""
    payload = copy.deepcopy(payload)
    for verb, number, new_key, value in edits:
        found = list(places(payload))
        if not found:
            break
        *above, key = found[number % len(found)]
        parent = payload
        for step in above:
            parent = parent[step]
        if verb == "replace":
            parent[key] = value
        elif verb == "add" and isinstance(parent[key], dict):
            parent[key][new_key] = value
        elif verb == "rename":
            parent[new_key] = parent.pop(key)
        elif verb == "move":
            parent[key] = parent[next(iter(parent))]
        else:
            parent.pop(key)
    return payload


def open_table(path: Path) -> tuple[StatsTable | None, str]:
    """Return the table, or why there is none."""
    try:
        return open_payload(path).table, ""
    except PayloadError as error:
        return None, str(error)


def read(path: Path) -> str:
    """Read as a dashboard does; check what comes back, and return how it went."""
    table, refusal = open_table(path)
    if table is None:
        assert str(path) in refusal
        assert refusal.isprintable()
        return "refused"
    assert np.isfinite(table.values).all()
    assert (table.counts > 0).all()
    assert table.values.shape == (table.num_layers, 3, 2, 3, table.channels)
    json.dumps(table.meta, ensure_ascii=False).encode()
    for fact in (table.config, table.backbone, table.run):
        assert isinstance(fact, dict)
    assert table.num_images >= 0
    assert isinstance(table.tapped_layers, tuple)
    return "opened"


GOOD = make_payload(layers=LAYERS, channels=CHANNELS)


@fuzzed
@given(edits=EDITS, legacy=st.booleans())
def test_an_edited_payload_is_read_or_refused(
    tmp_path: Path, edits: list[tuple[str, int, Any, Any]], legacy: bool
) -> None:
    path = tmp_path / "x.pt"
    torch.save(edit(GOOD, edits), path, _use_new_zipfile_serialization=not legacy)
    event(read(path))


def _dumped() -> bytes:
    file = io.BytesIO()
    torch.save(GOOD, file)
    return file.getvalue()


DUMPED = _dumped()
with zipfile.ZipFile(io.BytesIO(DUMPED)) as _archive:
    MEMBERS = {name.partition("/")[2]: _archive.read(name) for name in _archive.namelist()}
PATCHES = st.lists(
    st.tuples(
        st.integers(0, len(DUMPED) - 1),
        st.one_of(
            st.binary(min_size=1, max_size=4),
            st.sampled_from([b"PK\5\6", b"PK\1\2", b"\xff\xff\xff\xff", b"R", b"\x85", b"s", b"."]),
            st.integers(0, 2**32 - 1).map(lambda value: struct.pack("<I", value)),
        ),
        st.booleans(),
    ),
    min_size=1,
    max_size=5,
)


@fuzzed
@given(patches=PATCHES, inside=st.booleans())
def test_a_payload_with_patched_bytes_is_read_or_refused(
    tmp_path: Path, patches: list[tuple[int, bytes, bool]], inside: bool
) -> None:
    data = bytearray(MEMBERS["data.pkl"] if inside else DUMPED)
    for place, patch, insert in patches:
        place %= len(data)
        data[place : place if insert else place + len(patch)] = patch
    path = tmp_path / "x.pt"
    # Inside, the archive is whole again: its checksums are right, its pickle is not.
    path.write_bytes(as_zip(None, MEMBERS | {"data.pkl": bytes(data)}) if inside else data)
    event(read(path))


SMALL = st.integers(0, 3)
FRAGMENTS = st.one_of(
    st.sampled_from([b"]", b"}", b")", b"N", b"(", b"t", b"l", b"e", b"u", b"s", b"a", b"R", b"b",
                     b"\x85", b"\x86", b"\x87", b"Q", b"\x81", b"0", b"2", b"\x88", b"d"]),
    st.sampled_from(["layers", "meta", "storage", "0", "cpu"]).map(pickles.text),
    st.sampled_from([0, 1, -1, 4, 2**31, 2**62, 2**64]).map(pickles.number),
    SMALL.map(pickles.put),
    SMALL.map(pickles.get),
    st.sampled_from(
        [
            "collections.OrderedDict", "torch._utils._rebuild_tensor_v2", "torch.FloatStorage",
            "torch._utils._rebuild_parameter", "torch._utils._rebuild_tensor", "torch.Size",
            "builtins.set", "torch.device", "torch.float32", "torch.UntypedStorage",
        ]
    ).map(pickles.name),
    st.builds(pickles.storage, st.sampled_from([4, 0, -1, 5, 2**40])),
    st.builds(
        pickles.tensor,
        st.lists(st.sampled_from([0, 1, 2, 4, -1, 2**40]), max_size=3),
        st.lists(st.sampled_from([0, 1, 2, -1, 2**40]), max_size=3),
        st.sampled_from([0, 1, -1, 2**40]),
    ),
)  # fmt: skip


@fuzzed
@given(fragments=st.lists(FRAGMENTS, max_size=25), legacy=st.booleans())
def test_a_pickle_of_random_opcodes_is_refused(
    tmp_path: Path, fragments: list[bytes], legacy: bool
) -> None:
    content = pickles.START + b"".join(fragments) + pickles.STOP
    path = tmp_path / "x.pt"
    path.write_bytes(pickles.as_legacy(content) if legacy else as_zip(content))
    assert read(path) == "refused"


# --- configs

CONFIG: dict[Any, Any] = {
    "seed": 42,
    "version": "v1",
    "data": {
        "root": "data",
        "train_csv": "train.csv",
        "image_size": [64, 32],
        "val_split": 0.2,
        "target_order": ["Dry_Clover_g"],
        "normalization": {"mean": [0.5, 0.5, 0.5], "std": [0.2, 0.2, 0.2]},
    },
    "model": {
        "backbone": "dinov3_vitt16_demo",
        "weights_path": "weights/x.pth",
        "backbone_layers": {"enabled": True, "indices": [5, 11]},
    },
    "peft": {"enabled": True, "r": 4},
    "train_all": {"enabled": True},
    "logging": {"log_dir": "outputs"},
    "analysis": {"max_images": 3, "batch_size": 4, "precision": "auto", "head_weights": "none"},
}
YAML_VALUES = st.recursive(
    PLAIN | st.dates() | st.binary(max_size=4),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=3)),
    max_leaves=6,
)
YAML_EDITS = st.lists(
    st.tuples(
        st.sampled_from(["replace", "delete", "add", "rename", "move"]),
        st.integers(0, 10**6),
        st.sampled_from(["root", "x", "enabled", "<<", "a.b"]) | KEYS,
        YAML_VALUES,
    ),
    max_size=3,
)
SNIPPETS = st.sampled_from(
    ["&a ", "*a", "<<: *a", "[", "]", "{", "}", "- ", "? ", ": ", "!!int ", "!!float ", "!!binary ",
     "!!set ", "!!omap ", "!!timestamp ", "!!python/name:os.system ", "!!null ", "!!bool ", "\t",
     "\n", "---\n", "...\n", "%YAML 1.1\n", "|\n", ">\n", "'", '"', "\\ud800", "1:59:59", "0x",
     "0b", "1_", ".nan", "-.inf", "~", "2024-02-30", "\ufeff", "\x85", "#", "=", "1e999", "${x}"]
)  # fmt: skip
TEXT_EDITS = st.lists(
    st.tuples(st.integers(0, 600), SNIPPETS | st.text(max_size=3), st.integers(0, 6)), max_size=4
)


def load(path: Path) -> tuple[Settings | None, str]:
    """Return the settings, or why there are none."""
    try:
        return load_settings(path.parent, path), ""
    except ConfigError as error:
        return None, str(error)


@fuzzed
@given(edits=YAML_EDITS, changes=TEXT_EDITS)
@example(edits=[("rename", 0, "\ud800", None)], changes=[])  # a name that no page can show
@example(edits=[], changes=[(0, "!!bool ", 0)])  # a KeyError inside PyYAML
@example(edits=[], changes=[(0, "!!timestamp ", 0)])  # an AttributeError inside PyYAML
@example(edits=[], changes=[(0, "a: 1" + ":59" * 200_000 + "\n", 0)])  # grows with the square
def test_an_edited_config_is_read_or_refused(
    tmp_path: Path, edits: list[Any], changes: list[tuple[int, str, int]]
) -> None:
    text = yaml.dump(edit(CONFIG, edits), allow_unicode=True)
    for place, snippet, removed in changes:
        place %= len(text) + 1
        text = text[:place] + snippet + text[place + removed :]
    path = tmp_path / "train.yaml"
    path.write_bytes(text.encode(errors="surrogatepass"))
    found, refusal = load(path)
    if found is None:
        assert str(tmp_path) in refusal
        assert refusal.isprintable()
        return
    json.dumps(found.config, ensure_ascii=False).encode()
    assert "\0" not in str(found.default_output)
    assert found.default_output.is_absolute()
    assert min(found.image_size) > 0
    assert all(np.isfinite([*found.mean, *found.std]))
