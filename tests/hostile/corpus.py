"""Hundreds of files that nobody should trust, each with the reader that must withstand it."""

from __future__ import annotations

import io
import json
import os
import random
import struct
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as dump_safetensors

from analysis.collect.run.ranks import Ranks
from analysis.collect.run.resume import Checkpoint
from analysis.collect.run.tally import Tally
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.payload.array_cache import FORMAT
from tests.factories.backbones import make_backbone
from tests.factories.payloads import make_payload
from tests.hostile.amplified import amplified_extras, heads_of_every_float
from tests.hostile.archives import RECORDS, as_zip, lying_archives
from tests.hostile.crafted import (
    SPEEDS,
    archives_of_two_minds,
    crafted_headers,
    heads_of_hostile_settings,
)
from tests.hostile.payloads import CHANNELS, LAYERS, odd_payloads, wrong_extras, wrong_payloads
from tests.hostile.pickles import START, STOP, as_legacy, endless, executing, in_dict
from tests.hostile.readers import CACHED, IDENTITY
from tests.hostile.texts import hostile_json, hostile_yaml

PARTS = 50
REFUSED, ANY = "refused", "any"


@dataclass(frozen=True)
class Case:
    """One file (or folder), and what may come of reading it."""

    name: str
    reader: str
    path: Path
    expected: str = REFUSED
    """`REFUSED`, or `ANY`: opening it is right too, e.g. a cut text that is still YAML."""


def build_corpus(folder: Path, marker: Path) -> list[Case]:
    """Write every file below `folder`; none may ever make `marker` appear."""
    return [
        case
        for kind in (
            _pickles, _archives, _payloads, _damaged, _heads, _weights, _checkpoints, _texts,
            _cache_entries, _places, _safetensors, build_amplified, build_crafted,
        )
        for case in kind(folder / kind.__name__.strip("_"), marker)
    ]  # fmt: skip


def payload_files(cases: list[Case]) -> list[Path]:
    """Return the files that a dashboard could take for payloads."""
    return sorted({case.path for case in cases if case.reader == "payload"})


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _name(number: int, kind: str = "pt") -> str:
    return f"{number:04d}.{kind}"


def _dump(content: Any, *, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def _pickles(folder: Path, marker: Path) -> Iterator[Case]:
    wraps: Mapping[str, Callable[[bytes], bytes]] = {
        "zip": lambda value: as_zip(in_dict(value)),
        "legacy": lambda value: as_legacy(in_dict(value)),
        "bare": lambda value: START + value + STOP,
    }
    values = {f"runs {key}": value for key, value in executing(marker).items()}
    values |= {f"endless {key}": value for key, value in endless().items()}
    for number, (name, value) in enumerate(values.items()):
        for wrap, write in wraps.items():
            path = _write(folder / wrap / "feature_stats" / _name(number), write(value))
            yield Case(f"{name} ({wrap})", "payload", path)
            if wrap == "zip":
                yield Case(f"{name} as a head", "head", path)
            if wrap == "zip" and name.startswith("runs"):
                yield Case(f"{name} as weights", "weights", path)
                yield Case(f"{name} as a checkpoint", "checkpoint", path)


def _archives(folder: Path, marker: Path) -> Iterator[Case]:
    for number, (name, content) in enumerate(lying_archives().items()):
        path = _write(folder / "feature_stats" / _name(number), content)
        for reader in ("payload", "head", "weights"):
            yield Case(f"{name} as {reader}", reader, path)


def _payloads(folder: Path, marker: Path) -> Iterator[Case]:
    for expected, contents in ((REFUSED, wrong_payloads()), (ANY, odd_payloads())):
        for number, (name, content) in enumerate(contents.items()):
            path = folder / expected / "feature_stats" / _name(number)
            yield Case(name, "payload", _write(path, _dump(content)), expected)
            if expected == ANY and not name.startswith("extras"):
                yield Case(f"extras of {name}", "extras", path, ANY)
    for number, (name, content) in enumerate(wrong_extras().items()):
        path = _write(folder / "extras" / "feature_stats" / _name(number), _dump(content))
        yield Case(f"extras: {name}", "extras", path)
        yield Case(f"payload with extras: {name}", "payload", path, ANY)


def _damaged(folder: Path, marker: Path) -> Iterator[Case]:
    payload = make_payload(layers=LAYERS, channels=CHANNELS)
    good = {
        "payload": _dump(payload),
        "legacy payload": _dump(payload, legacy=True),
        "head": _dump(_head()),
        "weights": _dump({"storage_tokens": torch.ones(1, 4, 48)}),
        "checkpoint": _checkpoint(folder),
        "config": b"data: {root: data, image_size: [64, 32]}\nmodel: {backbone: x}\n" * 20,
        "sidecar": json.dumps({"version": "a", "num_images": 3, "size": 1}).encode(),
        "cache": _cached(),
    }
    for kind, content in good.items():
        reader = kind.removeprefix("legacy ")
        for number, data in enumerate(_cut(content)):
            path = _place(folder / kind / f"cut{number:02d}", reader, data)
            expected = ANY if reader in ("config", "sidecar", "cache") else REFUSED
            yield Case(f"{kind} cut at {number}/{PARTS}", reader, path, expected)
        for number, data in enumerate(_flip(content)):
            path = _place(folder / kind / f"flip{number:02d}", reader, data)
            yield Case(f"{kind} with bytes flipped, {number}", reader, path, ANY)


def _cut(content: bytes) -> Iterator[bytes]:
    for part in range(PARTS):
        yield content[: len(content) * part // PARTS]


def _flip(content: bytes, rounds: int = PARTS) -> Iterator[bytes]:
    for seed in range(rounds):
        choose, data = random.Random(seed), bytearray(content)
        for _ in range(1 + seed % 4):
            data[choose.randrange(len(data))] ^= 1 << choose.randrange(8)
        yield bytes(data)


def _place(folder: Path, reader: str, content: bytes) -> Path:
    """Write a file where its reader looks for it."""
    names = {"config": "train.yaml", "sidecar": "stats.json", "cache": CACHED, "payload": "x.pt"}
    if reader == "payload":
        folder = folder / "feature_stats"
    path = _write(folder / names.get(reader, "x.pt"), content)
    if reader == "sidecar":
        _write(path.with_suffix(".pt"), b"x")
    return path


def _head() -> dict[str, Any]:
    state = {
        f"base_model.model.blocks.0.attn.qkv.lora_{side}.weight": torch.ones(shape)
        for side, shape in (("A", (4, 48)), ("B", (144, 4)))
    }
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": {"qkv"}}
    return {"state_dict": {}, "meta": {"backbone": "x"}, "peft": {"config": config,
            "state_dict": state}}  # fmt: skip


def _heads(folder: Path, marker: Path) -> Iterator[Case]:
    state = _head()["peft"]["state_dict"]
    settings = _head()["peft"]["config"]
    nested: list[Any] = []
    for _ in range(60):
        nested = [nested, nested]
    pefts: dict[str, Any] = {
        "a list": [1], "a text": "x", "no config": {"state_dict": state}, "empty": {},
        "config of a tensor": {"config": torch.ones(3), "state_dict": state},
        "state of texts": {"config": settings, "state_dict": {"a": "b"}},
        "state of integers": {"config": settings, "state_dict": {"a": torch.ones(2).long()}},
        "names that are numbers": {"config": settings, "state_dict": {1: torch.ones(2)}},
        "names with line ends": {"config": settings, "state_dict": {"a\nb": torch.ones(2)}},
        "block of 5000 digits": {
            "config": settings, "state_dict": {f"blocks.{'9' * 5000}.x.lora_A": torch.ones(2)}
        },
        "settings of lists": {"config": {"r": [], "peft_type": [], "target_modules": [[]]},
                              "state_dict": state},
        "targets of dicts": {"config": {"target_modules": {"a": 1}}, "state_dict": state},
        "expanded": {"config": settings, "state_dict": {"a": torch.ones(1).expand(10**12)}},
        "rank beyond measure": {"config": settings | {"r": 10**600}, "state_dict": state},
        "doubled settings": {"config": settings | {"unknown": nested}, "state_dict": state},
        "storages shared": {"config": settings,
                            "state_dict": dict.fromkeys(range(1000), torch.ones(10**6))},
    }  # fmt: skip
    for number, (name, peft) in enumerate(pefts.items()):
        path = _write(folder / _name(number), _dump({"meta": {"backbone": 7}, "peft": peft}))
        yield Case(f"head: {name}", "head", path, ANY)
    views = {str(i): torch.zeros(10**6).as_strided((10**6,), (1,)) for i in range(1)}
    shared = {f"{i}": views["0"][:] for i in range(500)}
    path = _write(folder / "amplified.pt", _dump({"peft": {"config": settings,
                                                          "state_dict": shared}}))  # fmt: skip
    yield Case("head: one storage as 500 tensors", "head", path)
    for number, meta in enumerate(([1], "x", {"backbone": nested}, {1: 2}, {"backbone": "\udc80"})):
        path = _write(folder / "meta" / _name(number), _dump({"meta": meta, "state_dict": {}}))
        yield Case(f"head: meta {number}", "head", path, ANY)
    for name, content in hostile_json().items():
        number = len(list(folder.glob("adapter*")))
        adapter = folder / f"adapter{number:02d}"
        _write(adapter / "adapter_config.json", content)
        _write(adapter / "adapter_model.safetensors", dump_safetensors(state))
        yield Case(f"adapter settings: {name}", "head", adapter, ANY)
    for name, value in executing(marker).items():
        number = len(list(folder.glob("bin*")))
        adapter = folder / f"bin{number:02d}"
        _write(adapter / "adapter_config.json", json.dumps({"r": 4}).encode())
        _write(adapter / "adapter_model.bin", as_zip(in_dict(value)))
        yield Case(f"adapter runs {name}", "head", adapter)


def _weights(folder: Path, marker: Path) -> Iterator[Case]:
    official = {"storage_tokens": torch.ones(1, 4, 192), "cls_token": torch.ones(1, 1, 192)}
    full = make_backbone("dinov3_vitt16_demo", seed=7).state_dict()
    full = {name: tensor.half() for name, tensor in full.items()}
    first = next(name for name, tensor in full.items() if name.endswith("qkv.weight"))
    contents: dict[str, Any] = {
        "NaN": full | {first: full[first] * torch.nan},
        "one tensor less": {name: tensor for name, tensor in full.items() if name != first},
        "one tensor more": full | {"extra": torch.ones(1)},
        "another shape": full | {first: torch.ones(1)},
        "integers": full | {first: torch.ones_like(full[first]).to(torch.int8)},
        "expanded": full | {first: torch.ones(1).expand(full[first].shape)},
        "few": official,
        "numbers as names": {1: torch.ones(1), None: torch.ones(1)},
        "names with line ends": official | {"a\nb\u202e": torch.ones(1)},
        "two backbones": {f"{p}.{n}": t for p in "ab" for n, t in official.items()},
        "blocks of a million digits": {f"blocks.{'9' * 10**6}.x": torch.ones(1), **official},
        "dots": {"." * 10**6: torch.ones(1), "teacher." * 10**5: torch.ones(1), **official},
        "nested": {"teacher": {"teacher": {"teacher": {"teacher": official}}}},
        "list": list(official.values()),
        "nothing": None,
    }
    for number, (name, content) in enumerate(contents.items()):
        path = _write(folder / _name(number), _dump(content))
        # Few numbers shown as many are as good as any others, as long as they are not too many.
        yield Case(f"weights: {name}", "weights", path, *([ANY] if name == "expanded" else []))
    indices = {
        "outside": {"weight_map": {"a": "../../x.safetensors"}},
        "absolute": {"weight_map": {"a": "/etc/passwd"}},
        "list": {"weight_map": ["a"]},
        "numbers": {"weight_map": {"a": 1}},
        "nothing": {},
        "missing": {"weight_map": {"a": "x.safetensors"}},
        "nul": {"weight_map": {"a": "x\0"}},
    }
    for name, index in indices.items():
        path = folder / f"shards {name}"
        _write(path / "model.safetensors.index.json", json.dumps(index).encode())
        yield Case(f"shards: {name}", "weights", path)
    for number, content in enumerate(hostile_json().values()):
        path = folder / f"index{number}"
        _write(path / "model.safetensors.index.json", content)
        yield Case(f"shards: index {number}", "weights", path)


def _safetensors(folder: Path, marker: Path) -> Iterator[Case]:
    good = dump_safetensors({"reg_token": torch.ones(1, 4, 192), "b": torch.ones(1000)})
    contents: dict[str | int, bytes] = {}
    contents.update(enumerate((*_cut(good), *_flip(good))))
    float32 = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    headers: dict[str, Any] = {
        "huge shape": {"a": float32 | {"shape": [2**62, 2**62]}},
        "negative shape": {"a": float32 | {"shape": [-1]}},
        "huge offsets": {"a": float32 | {"data_offsets": [0, 2**63]}},
        "negative offsets": {"a": float32 | {"data_offsets": [-4, 0]}},
        "overlap": {"a": float32, "b": float32},
        "hole": {"a": float32 | {"data_offsets": [4, 8]}},
        "unknown dtype": {"a": float32 | {"dtype": "X99"}},
        "float 4": {"a": float32 | {"dtype": "F4", "shape": [8]}},
        "metadata": {"__metadata__": {"a": 1}},
        "line ends": {"a\nb": float32},
        "a list": [1],
        "many": {str(i): float32 | {"data_offsets": [0, 0], "shape": [0]} for i in range(50_000)},
    }
    for name, header in headers.items():
        raw = json.dumps(header).encode()
        contents[name] = struct.pack("<Q", len(raw)) + raw + bytes(8)
    contents["header beyond the file"] = struct.pack("<Q", 2**60) + b"{}"
    contents["header of zeros"] = struct.pack("<Q", 100) + bytes(100)
    contents["deep header"] = struct.pack("<Q", 100_000) + b'{"a":' * 20_000
    contents["blank header of 90 MB"] = struct.pack("<Q", 90_000_000) + b"{" + b" " * 89_999_999
    for number, (name, content) in enumerate(contents.items()):
        path = _write(folder / f"{number:03d}.safetensors", content)
        yield Case(f"safetensors: {name}", "weights", path)
        if isinstance(name, str):
            adapter = folder / f"adapter{number}"
            _write(adapter / "adapter_config.json", b'{"r": 4}')
            _write(adapter / "adapter_model.safetensors", content)
            yield Case(f"adapter of safetensors: {name}", "head", adapter, ANY)


def build_amplified(folder: Path, marker: Path) -> Iterator[Case]:
    """Yield small files from which much could be made."""
    for number, (name, content) in enumerate(amplified_extras().items()):
        path = _write(folder / "extras" / "feature_stats" / _name(number), content)
        yield Case(f"extras: {name}", "extras", path)
        yield Case(f"payload with extras: {name}", "payload", path, ANY)
    for number, (name, head) in enumerate(heads_of_every_float().items()):
        path = _write(folder / "heads" / _name(number), _dump(head))
        yield Case(f"head of {name}", "head", path, ANY)
        yield Case(f"attached head of {name}", "adapter", path, ANY)
    full = make_backbone("dinov3_vitt16_demo", seed=7).state_dict()
    packed = torch.zeros(1, dtype=torch.uint8).view(torch.float4_e2m1fn_x2)
    path = _write(folder / "weights.pt", _dump(full | {"cls_token": packed.expand(1, 1, 192)}))
    yield Case("weights of float4", "weights", path)


def build_crafted(folder: Path, marker: Path) -> Iterator[Case]:
    """Yield what a second round of attacks made."""
    for number, (name, head) in enumerate(heads_of_hostile_settings().items()):
        path = _write(folder / "heads" / _name(number), _dump(head))
        yield Case(f"head: {name}", "head", path, ANY)
        yield Case(f"attached head: {name}", "adapter", path, ANY)
    for number, (name, content) in enumerate(archives_of_two_minds().items()):
        path = _write(folder / "archives" / "feature_stats" / _name(number), content)
        for reader in ("payload", "head", "weights"):
            yield Case(f"{name} as {reader}", reader, path, ANY)
    for number, (name, content) in enumerate(crafted_headers().items()):
        path = _write(folder / "headers" / f"{number:02d}.safetensors", content)
        yield Case(f"safetensors: {name}", "weights", path)
        yield Case(f"header alone: {name}", "shapes", path, ANY)
        yield Case(f"vectors: {name}", "vectors", path)
    for number, (name, content) in enumerate(hostile_json().items()):
        place = folder / "scores" / str(number)
        (place / "feature_stats").mkdir(parents=True)
        for kind in ("json", "csv"):
            path = _write(place / f"metrics.{kind}", content)
            yield Case(f"scores: {name} as {kind}", "scores", path, ANY)
    for number, speed in enumerate(SPEEDS):
        text = f'{{"images_per_second": {speed}}}'.encode()
        path = _write(folder / "speeds" / f"{number}.json", text)
        yield Case(f"speed {speed[:9]}", "speeds", path, ANY)


def _checkpoint(folder: Path) -> bytes:
    folder.mkdir(parents=True, exist_ok=True)
    checkpoint = Checkpoint(folder / "x.pt", lambda: IDENTITY, Ranks(), every=0)
    checkpoint.save_if_due(StatisticsCollector(LAYERS, CHANNELS, 4, "cpu"), Tally(num_images=3))
    return checkpoint.path.read_bytes()


def _checkpoints(folder: Path, marker: Path) -> Iterator[Case]:
    path = _write(folder / "good", _checkpoint(folder))
    good = torch.load(path, weights_only=True)
    state = good["collector"]
    changes: dict[str, Any] = {
        "list": [good],
        "tensor": torch.ones(3),
        "other identity": good | {"identity": {"weights": "other"}},
        "identity of a tensor": good | {"identity": torch.ones(3)},
        "identity with tensors": good | {"identity": {"weights": torch.ones(3), "images": {}}},
        "NaN": good | {"collector": state | {"mean": state["mean"] * torch.nan}},
        "negative counts": good | {"collector": state | {"count": state["count"] - 1}},
        "one name less": good | {"collector": {"count": state["count"]}},
        "one name more": good | {"collector": state | {"x": state["count"]}},
        "texts": good | {"collector": dict.fromkeys(state, "x")},
        "another dtype": good | {"collector": state | {"mean": state["mean"].float()}},
        "no tally": good | {"tally": None},
        "tally of texts": good | {"tally": dict.fromkeys(good["tally"], "x")},
        "negative tally": good | {"tally": good["tally"] | {"num_images": -1}},
        "skipped of numbers": good | {"tally": good["tally"] | {"skipped": [1, 2]}},
        "more in the tally": good | {"tally": good["tally"] | {"x": 1}},
    }
    for number, (name, content) in enumerate(changes.items()):
        path = _write(folder / _name(number), _dump(content))
        yield Case(f"checkpoint: {name}", "checkpoint", path)


def _texts(folder: Path, marker: Path) -> Iterator[Case]:
    for number, (name, content) in enumerate(hostile_yaml().items()):
        path = _write(folder / f"{number:03d}.yaml", content)
        yield Case(f"config: {name}", "config", path)
    for number, (name, content) in enumerate(hostile_json().items()):
        path = _place(folder / "feature_stats" / str(number), "sidecar", content)
        yield Case(f"sidecar: {name}", "sidecar", path, ANY)


ABOUT = {
    "format": FORMAT,
    "fingerprint": ["/x.pt", 1, 1],
    "meta": {},
    "names": ["values", "counts", "layers"],
}


def _cached(**changes: Any) -> bytes:
    about = changes.pop("about", ABOUT)
    table: dict[str, Any] = {
        "values": np.ones((1, 3, 2, 3, 4), np.float32),
        "counts": np.ones((1, 2), np.int64),
        "layers": np.zeros(1, np.int64),
    } | changes
    raw = about if isinstance(about, bytes) else json.dumps(about).encode()
    file = io.BytesIO()
    np.savez(file, allow_pickle=True, about=np.frombuffer(raw, np.uint8), **table)
    return file.getvalue()


def _cache_entries(folder: Path, marker: Path) -> Iterator[Case]:
    about = ABOUT
    huge = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        huge, {"descr": "<f4", "fortran_order": False, "shape": (10**6, 3, 2, 3, 10**6)}
    )
    deep = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        deep, {"descr": "|O", "fortran_order": False, "shape": (1,)}
    )
    with zipfile.ZipFile(io.BytesIO(_cached())) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    compressed = io.BytesIO()
    np.savez_compressed(
        compressed,
        values=np.zeros((200, 3, 2, 3, 50_000), np.float32),
        counts=np.ones((200, 2), np.int64),
        layers=np.arange(200),
        about=np.frombuffer(json.dumps(about).encode(), np.uint8),
    )
    contents = {
        "objects": _cached(values=np.array([{"a": 1}], dtype=object)),
        "texts": _cached(values=np.array(["x"])),
        "integers": _cached(values=np.ones((1, 3, 2, 3, 4), np.int64)),
        "other axes": _cached(values=np.ones((3, 2, 3, 4), np.float32)),
        "other layers": _cached(layers=np.zeros(7, np.int64)),
        "layers of texts": _cached(layers=np.array(["a"])),
        "no axis": _cached(layers=np.int64(1)),
        "NaN": _cached(values=np.full((1, 3, 2, 3, 4), np.nan, np.float32)),
        "about of another": _cached(about=about | {"fingerprint": ["/y", 1, 1]}),
        "about a list": _cached(about=[1]),
        "about nothing": _cached(about=b""),
        "about deep": _cached(about=b"[" * 10**6),
        "meta a list": _cached(about=about | {"meta": [1]}),
        "declared 40 TB": as_zip(None, members | {"values.npy": huge.getvalue()}, root=""),
        "object header": as_zip(None, members | {"values.npy": deep.getvalue()}, root=""),
        "700 MB of zeros": compressed.getvalue(),
        "a torch file": as_zip(START + b"}" + STOP, RECORDS),
        "an array": np.lib.format.magic(1, 0) + b"\xff\xff",
        "a pickle": b"\x80\x02cos\nsystem\nX\x04\0\0\0truetR.",
        "empty": b"",
        "text": b"hello",
    }
    for number, (name, content) in enumerate(contents.items()):
        yield Case(f"cache: {name}", "cache", _place(folder / str(number), "cache", content), ANY)


def _places(folder: Path, marker: Path) -> Iterator[Case]:
    """Yield what is no regular file, under every name that a reader could be given."""
    good = _write(folder / "good.pt", _dump(make_payload(layers=LAYERS, channels=CHANNELS)))
    for reader in ("payload", "head", "weights", "checkpoint", "config", "sidecar", "cache"):
        name = {"config": "x.yaml", "sidecar": "x.json", "cache": CACHED}.get(reader, "x.pt")
        expected = ANY if reader in ("sidecar", "cache") else REFUSED
        for kind in (
            "pipe", "folder", "empty", "loop", "zero", "full", "passwd", "nowhere", "denied",
            "sealed", "pair",
        ):  # fmt: skip
            place = folder / reader / kind / "feature_stats"
            place.mkdir(parents=True)
            path = place / name
            if reader == "sidecar":
                (place / "x.pt").write_bytes(b"x")
            _make_place(kind, path, good)
            yield Case(f"{kind} as {reader}", reader, path, expected)
        if reader != "cache":
            for name in ("nul\0", "x" * 300, "x/" * 3000, "line\nend.pt", "\udcff.pt"):
                yield Case(f"{name[:9]!r} as {reader}", reader, folder / reader / name, expected)


def _make_place(kind: str, path: Path, good: Path) -> None:
    links = {"zero": "/dev/zero", "full": "/dev/full", "passwd": "/etc/passwd", "nowhere": "/no"}
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    elif kind == "empty":
        path.touch()
    elif kind == "loop":
        path.symlink_to(path)
    elif kind == "pair":
        path.symlink_to(path.with_name("other"))
        path.with_name("other").symlink_to(path)
    elif kind in links:
        path.symlink_to(links[kind])
    else:
        path.write_bytes(good.read_bytes())
        # Nobody's file, and a file in nobody's folder; see `readers.as_somebody`.
        (path if kind == "denied" else path.parent).chmod(0)
