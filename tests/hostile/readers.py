"""What the corpus is given to: the project's readers, and some that must be caught."""

from __future__ import annotations

import os
import pickle
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from analysis.collect.backbone.adapter_config import check_kind
from analysis.collect.backbone.adapter_facts import compare_with_training, describe_adapter
from analysis.collect.backbone.adapter_plan import plan_adapter
from analysis.collect.backbone.adapters import attach_adapter
from analysis.collect.backbone.head_file import read_head
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.collect.backbone.weights import load_backbone
from analysis.collect.plan.file_headers import read_shapes
from analysis.collect.plan.settings import load_settings
from analysis.collect.run.ranks import Ranks
from analysis.collect.run.resume import Checkpoint
from analysis.collect.statistics.collector import StatisticsCollector
from analysis.errors import AdapterError, CheckpointError, ConfigError, PayloadError
from analysis.files.atomic import is_regular
from analysis.files.cache_folder import CACHE_ENV
from analysis.payload import array_cache as table_cache
from analysis.payload.discovery import discover_payloads
from analysis.payload.metrics import read_metrics
from analysis.payload.reading import open_payload
from analysis.payload.sidecar import read_sidecar, read_speeds
from analysis.payload.stored_tensors import open_tensors
from analysis.vocabulary import Representation, TokenRole
from tests.factories.backbones import make_backbone
from tests.hostile.reference import allowed_seconds, measure_reference

IDENTITY = {"weights": "a" * 64, "images": "b" * 64}
FINGERPRINT = ("/x.pt", 1, 1)
CACHED = table_cache.cache_path(FINGERPRINT).name

TRAINING = {
    "model": {"backbone": "dinov3_vitt16_demo"},
    "peft": {"enabled": True, "r": 4, "target_modules": ["qkv"], "last_k_blocks": 2},
}


@dataclass(frozen=True)
class Reader:
    """A function of a path, and the errors that it may answer with."""

    read: Callable[[Path], object]
    errors: tuple[type[Exception], ...] = ()


def _read_payload(path: Path) -> object:
    table = open_payload(path).table
    assert np.isfinite(table.values).all(), "numbers that are none reached the table"
    assert repr(table.meta).encode(), "text that no page can show"
    return table.meta


def _read_extras(path: Path) -> object:
    table = open_payload(path).extras
    for role in table.roles:
        for representation in Representation:
            table.value_range(representation, role)
            table.storage(representation, role)
            table.norm_hist(representation, role)
    for layer in table.layers:
        for role in TokenRole:
            table.groups(int(layer), Representation.GLOBAL_LN, role)
    return table.image_paths[:3], table.grid, table.storage_values()


def _read_head(path: Path) -> object:
    head, backbone = read_head(path), _small_backbone()
    warnings = compare_with_training(head, TRAINING, backbone)
    assert "\n" not in "".join(warnings)
    if head.peft_config is not None and head.peft_state is not None and head.fault is None:
        try:
            check_kind(head.peft_config)
            plan_adapter(head, backbone)
        except AdapterError as error:  # `attach_adapter` sets the path before it
            raise AdapterError(f"{path}: {error}") from error
    return describe_adapter(head, backbone), head.fault


def _attach(path: Path) -> object:
    state = attach_adapter(lambda: make_backbone("dinov3_vitt16_demo", seed=7), path, {})[1]
    return state.lora_error


@cache
def _small_backbone() -> DinoVisionTransformer:
    return make_backbone("dinov3_vitt16_demo", seed=7)


def _read_checkpoint(path: Path) -> object:
    checkpoint = Checkpoint(Path("x.pt"), lambda: IDENTITY, Ranks(), every=0)
    checkpoint.path = path
    collector = StatisticsCollector(2, 6, 4, "cpu")
    tally = checkpoint.resume(collector)
    if tally is None:
        raise ConfigError(f"{path}: there is no checkpoint")
    return tally


def _read_sidecar(path: Path) -> object:
    payload = path.with_suffix(".pt")
    return read_sidecar(payload, payload.stat() if is_regular(payload) else Path("/").stat())


def _read_cache(path: Path) -> object:
    os.environ[CACHE_ENV] = str(path.parent)
    found = table_cache.open_arrays(FINGERPRINT)
    os.environ[CACHE_ENV] = "/nonexistent"
    assert found is None or isinstance(found[1], dict)
    return None if found is None else sorted(found[0])


def _discover(path: Path) -> object:
    refs = discover_payloads([path])
    assert all(ref.path.is_relative_to(path) for ref in refs), "a payload from outside"
    assert all(ref.label.isprintable() and ref.name.isprintable() for ref in refs)
    return [str(ref.path) for ref in refs]


def _read_vectors(path: Path) -> object:
    try:
        return sorted(open_tensors(path).tensors)
    except ValueError as error:  # its callers make sentences of it
        raise PayloadError(f"{path}: {' '.join(str(error).split())}") from error


def _trust(path: Path) -> object:
    return pickle.loads(path.read_bytes())


def _hang(path: Path) -> object:
    return os.open(path, os.O_RDONLY)  # of a pipe: waits for a writer


def _spin(path: Path) -> object:
    while True:
        pass


def _gorge(path: Path) -> object:
    return b"x" * 550_000_000


def _dawdle(path: Path) -> object:
    """Take twice the time that is allowed, half of that after which a reader counts as hung."""
    end = time.process_time() + 2 * allowed_seconds(measure_reference())
    while time.process_time() < end:
        pass
    return None


def _ask_for_too_much(path: Path) -> object:
    return bytearray(2**40)


def _talk(path: Path) -> object:
    error = PayloadError()
    error.__class__ = type("Talkative", (PayloadError,), {"__str__": lambda _: f"{path}\nno"})
    raise error


def _mumble(path: Path) -> object:
    raise PayloadError("something is wrong")


def _crash(path: Path) -> object:
    os.abort()


READERS: dict[str, Reader] = {
    "payload": Reader(_read_payload, (PayloadError,)),
    "extras": Reader(_read_extras, (PayloadError,)),
    "head": Reader(_read_head, (AdapterError,)),
    "adapter": Reader(_attach, (AdapterError,)),
    "weights": Reader(lambda path: load_backbone("dinov3_vitt16_demo", path), (CheckpointError,)),
    "checkpoint": Reader(_read_checkpoint, (ConfigError,)),
    "config": Reader(lambda path: load_settings(path.parent, path), (ConfigError,)),
    "sidecar": Reader(_read_sidecar),
    "cache": Reader(_read_cache),
    "vectors": Reader(_read_vectors, (PayloadError,)),
    "shapes": Reader(read_shapes),
    "scores": Reader(lambda path: read_metrics(path.parent / "feature_stats" / "x.pt")),
    "speeds": Reader(lambda path: read_speeds([path.with_suffix(".pt")])),
    "discover": Reader(_discover),
    "planted: trusts": Reader(_trust, (PayloadError,)),
    "planted: waits for a pipe": Reader(_hang, (PayloadError,)),
    "planted: spins": Reader(_spin, (PayloadError,)),
    "planted: gorges": Reader(_gorge, (PayloadError,)),
    "planted: dawdles": Reader(_dawdle, (PayloadError,)),
    "planted: asks for too much": Reader(_ask_for_too_much, (PayloadError,)),
    "planted: talks": Reader(_talk, (PayloadError,)),
    "planted: mumbles": Reader(_mumble, (PayloadError,)),
    "planted: crashes": Reader(_crash, (PayloadError,)),
    "planted: raises": Reader(lambda path: {}[path], (PayloadError,)),
}


@contextmanager
def as_somebody(path: Path) -> Iterator[None]:
    """Be an ordinary user while reading what root alone could read."""
    nobody = os.geteuid() == 0 and {"denied", "sealed"} & set(path.parts)
    if nobody:
        os.seteuid(65534)
    try:
        yield
    finally:
        if nobody:
            os.seteuid(0)


def describe(result: Any) -> str:
    """Shorten what a reader returned."""
    return repr(result)[:200]
