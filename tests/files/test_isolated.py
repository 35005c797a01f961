"""What the other process reads is what this one would have read, errors included."""

from __future__ import annotations

import json
import pkgutil
from collections.abc import Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

import analysis.collect.plan
import analysis.payload
from analysis.collect.backbone.weights_folder import find_model_folder
from analysis.collect.plan.config_file import load_config_file
from analysis.collect.plan.file_headers import _keep, may_hold_tensors, read_shapes
from analysis.collect.plan.find_weights import _read_json
from analysis.collect.plan.image_columns import read_labels, read_values
from analysis.collect.plan.image_csv import read_image_csv
from analysis.collect.plan.mixed_sets import MixedSet
from analysis.collect.plan.recorded_folds import read_recorded_fold
from analysis.collect.plan.run_checkpoints import choose_checkpoint
from analysis.errors import ConfigError, InputError, PayloadError
from analysis.files import isolated
from analysis.files.digest import digest_picture
from analysis.files.isolated import pack, read_elsewhere, unpack
from analysis.jobs.reader import calls
from analysis.jobs.reader.process import SMALL_WORKER, Reader
from analysis.payload import sidecar
from analysis.payload.annotations import _read_old
from analysis.payload.discovery import discover_payloads
from analysis.payload.metrics import read_metrics
from analysis.payload.sidecar import read_speeds
from analysis.payload.stored_tensors import open_tensors
from tests.factories.payloads import make_payload, write_payload

YAML = "1: [1, 2.5, null]\nyes: {2020-01-01: x, pairs: [a]}\nversion: 1.10\nnan: .nan\n"
CSV = "image_path,target_name,target,site\na.jpg,w,1,x\nb.jpg,w,,y\nb.jpg,w,2,y\n"


@pytest.fixture
def elsewhere() -> Iterator[list[str]]:
    """Have the real process read, and note the kinds that it was asked for."""
    reader, kinds = Reader(worker=SMALL_WORKER), list[str]()

    def ask(kind: str, module: str, arguments: Sequence[Any]) -> Any:
        kinds.append(kind)
        return calls._read_small(reader, kind, module, arguments)

    read_elsewhere(ask)
    yield kinds
    read_elsewhere(None)
    reader.stop()


@pytest.fixture
def project(tmp_path: Path) -> Path:
    write_payload(tmp_path / "outputs/v/feature_stats/p.pt", make_payload(version="v"))
    files = {"train.yaml": YAML, "train.csv": CSV, "more.csv": "image;status\nc.jpg;ok\nd.jpg;no\n",
             "outputs/v/metrics.json": '{"r2": 0.5}', "heads.json": '{"heads": [{"path": "x"}]}',
             "folds/fold_0/train.csv": CSV, "folds/fold_0/val.csv": CSV,
             "outputs/.dashboard.json": '{"payloads": {"a.pt": {"name": "n"}}}',
             "run/checkpoint-1/x": "", "run/checkpoint-2/x": "",
             "run/trainer_state.json": '{"best_model_checkpoint": "run/checkpoint-1"}',
             "hub/refs/main": "b", "hub/snapshots/a/x": "", "hub/snapshots/b/x": ""}  # fmt: skip
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    tensors = {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.ones(4, np.float16)}
    save_file(tensors, tmp_path / "x.safetensors", {"about": "this"})
    return tmp_path


for package in (analysis.payload, analysis.collect.plan):  # whatever they register
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        import_module(module.name)


def read_everything(project: Path) -> list[object]:
    """Return what every kind reads of a project."""
    sidecar._kept.clear()
    _keep.cache_clear()
    csv, images = project / "train.csv", [("a.jpg", "a.jpg"), ("b.jpg", "b.jpg")]
    config = load_config_file(project / "train.yaml")
    tensors = open_tensors(project / "x.safetensors")
    payload = discover_payloads([project])[0].path
    further = MixedSet("biomass_data", project, project / "more.csv", project)
    return [
        (repr(config.values), config.written),
        (discover_payloads([project]), read_speeds([payload]), read_metrics(payload)),
        (read_image_csv(csv, ["w"], project), read_values(csv, images, "site")),
        (read_labels(csv, images, ["site"]), read_labels(csv, images, ["none"])),
        read_recorded_fold(images, "train", 0, [project], project),
        further.list_images(set()),
        (read_shapes(project / "x.safetensors"), _read_json(project / "heads.json")),
        (tensors, tensors.read("b").tolist(), tensors.read("b", 1).tolist()),
        (choose_checkpoint(project / "run", Path.is_dir), find_model_folder(project / "hub")),
        (digest_picture(str(csv)), may_hold_tensors(csv), may_hold_tensors(project / "absent")),
        _read_old(project),
    ]


def test_every_kind_is_read_elsewhere_as_it_is_here(project: Path, elsewhere: list[str]) -> None:
    there = read_everything(project)
    assert set(elsewhere) == set(isolated._functions)
    read_elsewhere(None)
    assert there == read_everything(project)


@pytest.mark.parametrize("text", ["a: [", "- 1", "a: !!python/object:os.system {}", "a: &a [*a]"])
def test_a_refusal_is_the_one_that_this_process_gives(
    tmp_path: Path, elsewhere: list[str], text: str
) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(ConfigError) as there:
        load_config_file(tmp_path / "x.yaml")
    read_elsewhere(None)
    with pytest.raises(ConfigError) as here:
        load_config_file(tmp_path / "x.yaml")
    assert str(there.value) == str(here.value)
    assert elsewhere == ["config"]


def test_a_json_that_ends_the_reader_costs_its_payload_alone_its_facts(project: Path) -> None:
    bad = project / "outputs/w/feature_stats/p.pt"
    write_payload(bad, make_payload(version="w"))

    def ask(kind: str, module: str, arguments: Sequence[Any]) -> Any:
        if "outputs/w/" in json.dumps(arguments):
            raise PayloadError("the process that read it ended by SIGSEGV.")
        return isolated.carry_out(kind, module, arguments)

    sidecar._kept.clear()
    read_elsewhere(ask)
    try:
        found = {ref.path.parents[1].name: ref.facts.known for ref in discover_payloads([project])}
        assert found == {"v": True, "w": False}
    finally:
        read_elsewhere(None)
        sidecar._kept.clear()


def test_what_did_not_change_is_asked_for_once(project: Path, elsewhere: list[str]) -> None:
    sidecar._kept.clear()
    first = discover_payloads([project])
    assert discover_payloads([project]) == first
    assert elsewhere == ["sidecars"]
    write_payload(first[0].path, make_payload(version="other"))
    assert discover_payloads([project])[0].version == "other"


@pytest.mark.parametrize(
    "value", [{1: {"a": None}, None: [True, 2.5]}, {"pairs": [["a", 1]]}, [], "x", {"": {}}]
)
def test_plain_values_survive_the_way(value: object) -> None:
    assert unpack(json.loads(json.dumps(pack(value)))) == value


def test_a_tensor_of_a_file_that_was_cut_off_meanwhile_is_a_sentence(project: Path) -> None:
    tensors = open_tensors(project / "x.safetensors")
    (project / "x.safetensors").write_bytes(b"short")
    with pytest.raises(InputError, match="cut off"):
        tensors.read("b")
