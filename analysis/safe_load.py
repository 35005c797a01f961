"""Open files from strangers without executing anything in them.

A `.pt` file is a pickle, and a pickle can run code. Everything here goes through
`torch.load(weights_only=True)`, which builds tensors and plain types only; a file that asks for
more is refused, and the message says what it asked for. There is no way round it on purpose.
"""

from __future__ import annotations

import hashlib
import json
import re
import warnings
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from analysis.errors import InputError

SafeGlobal = type | Callable[..., Any] | tuple[Callable[..., Any], str]
"""A class or function that a pickle may name; with a string, the full name it has in the file."""

_LOOKS_LIKE = (
    (b"version https://git-lfs", "is a Git LFS pointer, not the file itself: run `git lfs pull`"),
    (b"<", "is a web page or XML: the download did not deliver the file, fetch it again"),
    (b"\x89HDF", "is an HDF5 file: convert it to a PyTorch state dict"),
    (b"\x1f\x8b", "is compressed with gzip: unpack it first"),
)


def load_torch_file(
    path: Path,
    *,
    kind: str,
    error: type[InputError],
    allowed: Sequence[SafeGlobal] = (),
    max_bytes: int | None = None,
) -> Any:
    """Read what `torch.save` wrote: tensors (on the CPU) and plain types, nothing else.

    Zip archives are memory-mapped, so tensors are read when they are first used; files of the
    legacy format are read at once.

    Args:
        path: The file.
        kind: What the file should be, for messages: "head", "payload", "backbone weights".
        error: The class raised for everything that is wrong with the file.
        allowed: Classes and functions that the file may name besides torch's own; exactly the
            ones needed. A pair ``(function, "module.name")`` calls the function in place of what
            has that name in the file.
        max_bytes: Refuse a file that unpacks to more than this; None for no limit.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read, is not a torch
            file, is damaged, is too large, or needs more than is allowed.
    """
    start = _peek(path, kind, error)
    if is_safetensors(path):
        raise error(
            f"{path}: this is a safetensors file, expected a {kind} file written by torch.save."
        )
    size, mmap = _measure(path, start, kind, error)
    if max_bytes is not None and size > max_bytes:
        raise error(
            f"{path}: this {kind} file unpacks to {size} bytes, more than the limit of "
            f"{max_bytes}. Put it into a project dir instead of uploading it."
        )
    try:
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            # Odd files make torch warn before it refuses them; the error says it all.
            warnings.simplefilter("ignore", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True, mmap=mmap)
    except Exception as failure:  # a damaged pickle can fail in any way at all
        _refuse(path, start, kind, error, failure)


def load_safetensors(path: Path, *, kind: str, error: type[InputError]) -> dict[str, Tensor]:
    """Read a `.safetensors` file: a dict of CPU tensors, memory-mapped.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read or is damaged.
    """
    from safetensors.torch import load_file

    start = _peek(path, kind, error)
    try:
        return load_file(path)
    except Exception as failure:
        known = _looks_like(start)
        raise error(
            f"{path}: this {kind} file "
            + (known or f"is damaged or not in the safetensors format ({_first_line(failure)})")
            + ". Expected a complete .safetensors file; copy or download it again."
        ) from failure


def load_json_object(path: Path, *, kind: str, error: type[InputError]) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read, is not JSON, or
            holds something else than an object.
    """
    _peek(path, kind, error)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as failure:
        raise error(
            f"{path}: this {kind} file is not valid JSON ({_first_line(failure)}). "
            "Copy or download it again."
        ) from failure
    if not isinstance(value, dict):
        raise error(
            f"{path}: this {kind} file holds a JSON {type(value).__name__}, expected an object."
        )
    return value


def is_safetensors(path: Path) -> bool:
    """Tell by content whether a file is in the safetensors format; False if it is unreadable."""
    try:
        with path.open("rb") as file:
            start = file.read(9)
            header = int.from_bytes(start[:8], "little")
            return start[8:] == b"{" and header <= path.stat().st_size
    except (OSError, ValueError):
        return False


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _peek(path: Path, kind: str, error: type[InputError]) -> bytes:
    """Return the first bytes of a regular, readable, non-empty file."""
    try:
        if path.is_dir():
            raise error(f"{path}: this is a folder, expected a {kind} file. Name the file in it.")
        if not path.exists():
            raise error(f"{path}: no such file, expected a {kind} file. Check the path.")
        if not path.is_file():
            raise error(f"{path}: this is not a regular file, expected a {kind} file.")
        with path.open("rb") as file:
            start = file.read(64)
    except (OSError, ValueError) as failure:  # ValueError: a NUL byte in the path
        reason = failure.strerror if isinstance(failure, OSError) else failure
        raise error(
            f"{path}: the {kind} file cannot be read ({reason}). "
            "Check that it exists and that you may read it."
        ) from failure
    if not start:
        raise error(f"{path}: the {kind} file is empty. Copy or download it again.")
    return start


def _measure(path: Path, start: bytes, kind: str, error: type[InputError]) -> tuple[int, bool]:
    """Return the size after unpacking, in bytes, and whether the file can be memory-mapped."""
    size = path.stat().st_size
    if not start.startswith(b"PK"):
        return size, False
    try:
        with zipfile.ZipFile(path) as archive:
            entries = archive.infolist()
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as failure:
        raise error(
            f"{path}: this {kind} file is damaged or cut off ({_first_line(failure)}). "
            "Copy or download it again."
        ) from failure
    # torch never compresses; mapping a repacked archive would read compressed bytes as numbers.
    stored = all(entry.compress_type == zipfile.ZIP_STORED for entry in entries)
    return max(size, sum(entry.file_size for entry in entries)), stored


def _refuse(
    path: Path, start: bytes, kind: str, error: type[InputError], failure: Exception
) -> NoReturn:
    text = str(failure)
    asked = re.search(r"GLOBAL (\S+) (?:was not an allowed|whose module)", text)
    if asked:
        raise error(
            f"{path}: this {kind} file asks to run {asked[1]}, which is refused: only tensors and "
            "plain types (dict, list, str, numbers) are opened. If you trust it, load it where it "
            "was made and save again with torch.save, keeping tensors and plain types only."
        ) from failure
    if "TorchScript" in text:
        raise error(
            f"{path}: this {kind} file is a TorchScript archive, which contains code and is "
            "refused. Save the module's state_dict() with torch.save instead."
        ) from failure
    known = _looks_like(start)
    if known:
        raise error(f"{path}: this {kind} file {known}.") from failure
    raise error(
        f"{path}: this is not a {kind} file, or it is damaged or cut off "
        f"({_first_line(failure)}). Expected a file written by torch.save; copy or download it "
        "again."
    ) from failure


def _looks_like(start: bytes) -> str | None:
    return next((text for magic, text in _LOOKS_LIKE if start.lstrip().startswith(magic)), None)


def _first_line(failure: Exception) -> str:
    """Shorten an exception to one line, without torch's advice to switch the safety off."""
    text = str(failure).split("WeightsUnpickler error:")[-1].strip()
    line = text.splitlines()[0] if text else ""
    if "weights_only" in line or line.startswith("Weights only load failed"):
        line = "malformed pickle"
    return f"{type(failure).__name__}: {line[:200]}" if line else type(failure).__name__
