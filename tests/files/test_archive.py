"""What is judged of an archive is what torch opens: files that show each reader something else."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch

from analysis.errors import InputError
from analysis.files.archive import inspect_archive
from analysis.files.safe_load import load_torch_file
from tests.hostile.archives import HARMLESS, as_zip, overlapping, with_two_directories, with_zip64
from tests.hostile.pickles import endless, in_dict


def save(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def load(path: Path, content: bytes) -> Any:
    path.write_bytes(content)
    return load_torch_file(path, kind="payload", error=InputError)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "x.pt"


def test_python_and_torch_read_two_directories_of_one_file_differently(path: Path) -> None:
    path.write_bytes(with_two_directories(save({"of": "torch"}), save({"of": "python"})))
    with zipfile.ZipFile(path) as archive:
        assert b"python" in archive.read("archive/data.pkl")
    assert torch.load(path, weights_only=True) == {"of": "torch"}


@pytest.mark.parametrize("name", ["tuple nested 10^6 deep as a key", "doubled tuple as a key"])
def test_a_file_with_two_directories_is_refused_before_torch_follows_one(
    path: Path, name: str
) -> None:
    hidden = as_zip(in_dict(endless()[name]))
    with pytest.raises(InputError, match="two directories"):
        load(path, with_two_directories(hidden, save({})))


def test_a_pickle_that_only_torch_sees_is_refused(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("analysis.files.archive._check_directory", lambda *_: None)
    monkeypatch.setattr("analysis.files.archive._check_entries", lambda *_: None)
    with pytest.raises(InputError, match=r"another data\.pkl"):
        load(path, with_two_directories(save({"a": 1}), save({"a": 2})))


def test_archives_of_other_programs_with_a_zip64_record_open(path: Path) -> None:
    tensors = {"a": torch.arange(3), "b": torch.ones(2, 2)}
    file = io.BytesIO()
    with (
        zipfile.ZipFile(io.BytesIO(save(tensors))) as saved,
        zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive,
    ):
        for entry in saved.infolist():
            archive.writestr(entry.filename, saved.read(entry))
    for content in (save(tensors), file.getvalue(), with_zip64(file.getvalue())):
        loaded = load(path, content)
        assert all(torch.equal(loaded[name], tensor) for name, tensor in tensors.items())


@pytest.mark.parametrize("place", range(-98, 0))
def test_no_byte_of_the_end_can_be_changed_so_that_the_two_readers_disagree(
    path: Path, place: int
) -> None:
    good = with_zip64(as_zip(HARMLESS))
    for bit in range(8):
        data = bytearray(good)
        data[place] ^= 1 << bit
        path.write_bytes(data)
        try:
            judged = inspect_archive(path, bytes(data[:64])).pickle
        except (ValueError, zipfile.BadZipFile):
            continue
        assert torch._C.PyTorchFileReader(str(path)).get_record("data.pkl") == judged


def test_entries_over_the_same_bytes_are_refused(path: Path) -> None:
    path.write_bytes(overlapping(4000, 100_000))
    with pytest.raises(ValueError, match="overlap"):
        inspect_archive(path, path.read_bytes()[:64])
