"""Reading files from strangers: what is wrong is said in one line, and nothing in them runs."""

from __future__ import annotations

import argparse
import codecs
import hashlib
import json
import os
import pickle
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch._tensor import _rebuild_from_type_v2

from analysis.errors import InputError
from analysis.files.digest import sha256_of
from analysis.files.safe_load import (
    is_safetensors,
    load_json_object,
    load_safetensors,
    load_torch_file,
)


class WidgetError(InputError):
    pass


def load(path: Path, **options: Any) -> Any:
    return load_torch_file(path, kind="widget", error=WidgetError, **options)


def refusal(read: Callable[[], object]) -> str:
    """Return the message, after the checks that every message must pass."""
    with pytest.raises(WidgetError) as caught:
        read()
    message = str(caught.value)
    assert "\n" not in message
    assert "weights_only" not in message, "the way round the safety is not advertised"
    return message


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "file.pt"


CONTENT = {"weight": torch.arange(1000.0), "nested": [{"n": 1, "text": "a"}, (True, None, 0.5)]}


def assert_is_content(loaded: Any) -> None:
    assert loaded["nested"] == CONTENT["nested"]
    assert torch.equal(loaded["weight"], torch.arange(1000.0))


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
def test_tensors_and_plain_types_come_back(path: Path, zipped: bool) -> None:
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    assert_is_content(load(path))


def recompress(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)


def test_recompressed_archive_gives_the_same_numbers(path: Path) -> None:
    torch.save(CONTENT, path)
    recompress(path)
    assert_is_content(load(path))


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="needs Linux's /proc")
def test_zip_file_is_memory_mapped(path: Path) -> None:
    torch.save(CONTENT, path)
    loaded = load(path)
    assert str(path) in Path("/proc/self/maps").read_text()
    assert_is_content(loaded)


# --- hostile files


class Gadget:
    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return os.system, (f"touch {self.marker}",)


def save_zip(content: Any, path: Path) -> None:
    torch.save(content, path)


def save_legacy(content: Any, path: Path) -> None:
    torch.save(content, path, _use_new_zipfile_serialization=False)


def save_bare_pickle(content: Any, path: Path) -> None:
    path.write_bytes(pickle.dumps(content, protocol=2))


@pytest.mark.parametrize("allowed", [(), (set,)], ids=["nothing allowed", "set allowed"])
@pytest.mark.parametrize("save", [save_zip, save_legacy, save_bare_pickle])
def test_hostile_pickle_does_not_run(
    path: Path, save: Callable[[Any, Path], None], allowed: tuple[Any, ...]
) -> None:
    marker = path.parent / "executed"
    save({"weight": Gadget(marker)}, path)
    message = refusal(lambda: load(path, allowed=allowed))
    assert str(path) in message
    assert "system" in message
    assert not marker.exists()


def test_refusal_names_what_was_asked_for_and_how_to_save_again(path: Path) -> None:
    torch.save({"value": Fraction(1, 3)}, path)
    message = refusal(lambda: load(path))
    assert "fractions.Fraction" in message
    assert "torch.save" in message


def test_allowed_class_is_read(path: Path) -> None:
    torch.save({"value": Fraction(1, 3)}, path)
    assert load(path, allowed=[Fraction]) == {"value": Fraction(1, 3)}


def test_allowed_name_can_be_read_as_something_else(path: Path) -> None:
    torch.save({"value": Decimal("1.5")}, path)
    assert load(path, allowed=[(str, "decimal.Decimal")]) == {"value": "1.5"}


def test_allowance_ends_with_the_call(path: Path) -> None:
    torch.save({"value": Fraction(1, 3)}, path)
    load(path, allowed=[Fraction])
    refusal(lambda: load(path))
    torch.save({"value": Gadget(path)}, path)
    refusal(lambda: load(path, allowed=[Fraction]))
    assert Fraction not in torch.serialization.get_safe_globals()


def test_torchscript_archive_is_refused_for_the_code_in_it(path: Path) -> None:
    torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(path))
    message = refusal(lambda: load(path))
    assert "TorchScript" in message
    assert "state_dict" in message


def test_archive_that_unpacks_to_more_than_the_limit_is_refused(path: Path) -> None:
    torch.save({"zeros": torch.zeros(100_000)}, path)
    recompress(path)
    assert path.stat().st_size < 10_000
    assert "limit" in refusal(lambda: load(path, max_bytes=10_000))
    assert load(path, max_bytes=1_000_000)["zeros"].sum() == 0


# --- damaged files and other things


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("part", [0.001, 0.1, 0.5, 0.9, 0.999])
def test_truncated_file_is_refused(path: Path, part: float, zipped: bool) -> None:
    torch.save(CONTENT, path, _use_new_zipfile_serialization=zipped)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * part)])
    message = refusal(lambda: load(path))
    assert str(path) in message
    assert "widget" in message
    assert "again" in message


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        pytest.param(b"", "empty", id="empty"),
        pytest.param(b"hello\nworld\n", "torch.save", id="text"),
        pytest.param(b"\x00" * 5000, "torch.save", id="zeros"),
        pytest.param(bytes(range(256)) * 20, "torch.save", id="bytes"),
        pytest.param(b"\n<!DOCTYPE html><html></html>", "web page", id="html"),
        pytest.param(b"version https://git-lfs.github.com/spec/v1\n", "git lfs pull", id="lfs"),
        pytest.param(b"\x1f\x8b" + b"\x00" * 50, "gzip", id="gzip"),
        pytest.param(b"\x89HDF\r\n\x1a\n" + b"\x00" * 50, "HDF5", id="hdf5"),
        pytest.param(b"\x80\x02" + b"]" * 10**5 + b"a" * 99_999 + b".", "torch.save", id="deep"),
    ],
)
def test_file_that_is_something_else_is_refused(path: Path, content: bytes, hint: str) -> None:
    path.write_bytes(content)
    message = refusal(lambda: load(path))
    assert str(path) in message
    assert hint in message


def test_archive_that_torch_did_not_write_is_refused(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("readme.txt", "nothing here")
    assert str(path) in refusal(lambda: load(path))


def test_missing_file_is_named(path: Path) -> None:
    message = refusal(lambda: load(path))
    assert str(path) in message
    assert "no such file" in message


def test_folder_is_refused(tmp_path: Path) -> None:
    assert "folder" in refusal(lambda: load(tmp_path))


def test_device_is_refused_without_reading_it() -> None:
    assert "regular file" in refusal(lambda: load(Path("/dev/zero")))


@pytest.mark.parametrize("name", ["nul\0byte", "x" * 300], ids=["nul byte", "too long"])
def test_impossible_path_is_refused(tmp_path: Path, name: str) -> None:
    refusal(lambda: load(tmp_path / name))


@pytest.fixture
def unreadable(path: Path) -> Iterator[Path]:
    torch.save(CONTENT, path)
    path.chmod(0)
    root = os.geteuid() == 0
    if root:  # root may read everything, so be somebody else for a moment
        os.seteuid(65534)
    try:
        yield path
    finally:
        if root:
            os.seteuid(0)


def test_file_without_permission_is_refused(unreadable: Path) -> None:
    message = refusal(lambda: load(unreadable))
    assert "Permission denied" in message
    assert str(unreadable) in message


# --- safetensors and JSON


@pytest.fixture
def tensors_path(tmp_path: Path) -> Path:
    path = tmp_path / "file.safetensors"
    save_file({"weight": torch.arange(6.0).reshape(2, 3)}, path)
    return path


def test_safetensors_come_back(tensors_path: Path) -> None:
    loaded = load_safetensors(tensors_path, kind="widget", error=WidgetError)
    assert torch.equal(loaded["weight"], torch.arange(6.0).reshape(2, 3))


@pytest.mark.parametrize("keep", [4, 12, -3], ids=["no header", "half a header", "no tail"])
def test_truncated_safetensors_are_refused(tensors_path: Path, keep: int) -> None:
    tensors_path.write_bytes(tensors_path.read_bytes()[:keep])
    message = refusal(lambda: load_safetensors(tensors_path, kind="widget", error=WidgetError))
    assert str(tensors_path) in message


def test_safetensors_where_a_torch_file_is_expected_are_refused(tensors_path: Path) -> None:
    assert "safetensors" in refusal(lambda: load(tensors_path))


def test_safetensors_are_known_by_content_not_by_name(tmp_path: Path, tensors_path: Path) -> None:
    renamed = tensors_path.rename(tmp_path / "weights.pt")
    assert is_safetensors(renamed)
    torch.save(CONTENT, tensors_path)
    assert not is_safetensors(tensors_path)
    tensors_path.write_bytes(b"\xff" * 8 + b"{ a header longer than the file")
    assert not is_safetensors(tensors_path)
    assert not is_safetensors(tmp_path / "missing")


def test_json_object_comes_back(path: Path) -> None:
    path.write_text(json.dumps({"r": 8, "targets": ["qkv"]}))
    assert load_json_object(path, kind="widget", error=WidgetError)["targets"] == ["qkv"]


@pytest.mark.parametrize(
    "text",
    ["{", "[1, 2]", "", "[" * 10**6, "\udc80"],
    ids=["cut", "list", "empty", "deep", "not UTF-8"],
)
def test_json_that_is_no_object_is_refused(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8", errors="surrogateescape")
    message = refusal(lambda: load_json_object(path, kind="widget", error=WidgetError))
    assert str(path) in message


def test_sha256_is_that_of_the_bytes(path: Path) -> None:
    data = os.urandom(3_000_000)
    path.write_bytes(data)
    assert sha256_of(path) == hashlib.sha256(data).hexdigest()


# --- what torch reads beside tensors


def with_attribute() -> Any:
    tensor = torch.arange(3.0)
    tensor.tag = "x"  # pyright: ignore[reportAttributeAccessIssue]
    return tensor


def parameter_with_attribute() -> Any:
    parameter = torch.nn.Parameter(torch.arange(3.0))
    parameter.tag = "x"  # pyright: ignore[reportAttributeAccessIssue]
    return parameter


BESIDE = {
    "Counter": Counter({3: 1, 7: 2}),
    "empty Counter": Counter(),
    "bytes": b"a\xff" * 700,
    "bytearray": bytearray(b"abc"),
    "complex": 1 - 2j,
    "complex tensor": torch.ones(2, dtype=torch.complex64),
    "sparse": torch.eye(3).to_sparse(),
    "compressed": torch.eye(3).to_sparse_csr(),
    "layout": torch.sparse_coo,
    "meta": torch.zeros(2, device="meta"),
    "attribute": with_attribute(),
    "parameter": parameter_with_attribute(),
    "tuple as key": {(0, "a"): 1},
    "dtype": torch.bfloat16,
    "keys": {b"a": 1, torch.float32: 2, torch.device("cpu"): 3, 1j: 4, torch.Size([1]): 5},
    "class of tensors": torch.FloatTensor,
    "expanded": torch.ones(1).expand(5),
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("value", BESIDE.values(), ids=BESIDE.keys())
def test_what_torch_reads_beside_tensors_is_read_where_it_is_asked_for(
    path: Path, value: Any, zipped: bool
) -> None:
    torch.save(CONTENT | {"beside": value}, path, _use_new_zipfile_serialization=zipped)
    loaded = load(path, beside_tensors=True)
    assert_is_content(loaded)
    assert type(loaded["beside"]) is type(value)
    if not isinstance(value, torch.Tensor):
        assert loaded["beside"] == value


def test_a_nested_tensor_beside_the_others_is_read(path: Path) -> None:
    torch.save(CONTENT | {"beside": torch.nested.nested_tensor([torch.ones(2)])}, path)
    assert_is_content(load(path, beside_tensors=True))


@pytest.mark.parametrize("value", [Counter([1]), b"a", 1j, torch.eye(2).to_sparse()], ids=repr)
def test_it_is_refused_elsewhere(path: Path, value: Any) -> None:
    torch.save({"beside": value}, path)
    refusal(lambda: load(path))


class Calls:
    """Pickles as a call that the file chooses."""

    def __init__(self, function: Any, *arguments: Any) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> Any:
        return self.call


TEXT = "a" * 10_000
HOSTILE_CALLS = {
    "slow codec": lambda: Calls(codecs.encode, TEXT, "punycode"),
    "huge bytearray": lambda: Calls(bytearray, 10**12),
    "bytearray of a list": lambda: Calls(bytearray, [1, 2]),
    "Counter of a text": lambda: Calls(Counter, TEXT),
    "Counter of a tensor": lambda: Calls(Counter, torch.zeros(3)),
    "one text over and over": lambda: [Calls(codecs.encode, TEXT, "latin1") for _ in range(99)],
    "call in a call": lambda: Calls(
        _rebuild_from_type_v2, codecs.encode, torch.Tensor, (TEXT, "punycode"), {}
    ),
    "complex of a tensor": lambda: Calls(complex, torch.zeros(1)),
    "system": lambda: Calls(os.system, "true"),
    "Fraction": lambda: Fraction(1, 3),
    "namespace": lambda: argparse.Namespace(lr=1),
}


@pytest.mark.parametrize("make", HOSTILE_CALLS.values(), ids=HOSTILE_CALLS.keys())
def test_everything_else_is_refused_as_before(path: Path, make: Callable[[], Any]) -> None:
    torch.save({"value": make()}, path)
    refusal(lambda: load(path, beside_tensors=True))
