"""Open files from strangers without executing anything in them.

A `.pt` file is a pickle, and a pickle can run code. Everything here goes through
`torch.load(weights_only=True)`, which builds tensors and plain types only; a file that asks for
more is refused, and the message says what it asked for. There is no way round it on purpose.

What a small file can make of time and memory is bounded too: the archive
(`analysis.files.archive`) and the pickle (`analysis.files.pickle_scan`) are judged before torch
reads them, what came out (`analysis.files.plain_values`) before anybody walks through it.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

import torch
from torch import Tensor

from analysis.errors import InputError
from analysis.files.archive import MAX_PICKLE_BYTES, Archive, inspect_archive
from analysis.files.atomic import is_regular
from analysis.files.pickle_scan import scan_pickle
from analysis.files.plain_values import check_values
from analysis.files.refused_names import RefusedNameError
from analysis.language import N_, Texts, _

SafeGlobal = type | Callable[..., Any] | tuple[Callable[..., Any], str]
"""A class or function that a pickle may name; with a string, the full name it has in the file."""

MAX_JSON_BYTES = 4_000_000
"""Of adapter settings, and of the list of shards of the largest model many times over."""

MAX_SAFETENSORS_HEADER = 4_000_000
"""Bytes; 100 for each tensor are usual."""

_LEGACY_PICKLES = 5
"""Magic number, protocol, machine, content, storage keys: a file from before torch 1.6."""

KINDS = Texts(
    {
        "payload": N_("payload file"),
        "head": N_("head file"),
        "backbone weights": N_("backbone weights file"),
        "checkpoint": N_("checkpoint file"),
    }
)
"""What a file should be, in messages."""

_LOOKS_LIKE = (
    (
        b"version https://git-lfs",
        N_("is a Git LFS pointer, not the file itself: run `git lfs pull`"),
    ),
    (b"<", N_("is a web page or XML: the download did not deliver the file, fetch it again")),
    (b"\x89HDF", N_("is an HDF5 file: convert it to a PyTorch state dict")),
    (b"\x1f\x8b", N_("is compressed with gzip: unpack it first")),
)


def load_torch_file(
    path: Path,
    *,
    kind: str,
    error: type[InputError],
    allowed: Sequence[SafeGlobal] = (),
    max_bytes: int | None = None,
    checksums: bool = False,
    beside_tensors: bool = False,
) -> Any:
    """Read what `torch.save` wrote: tensors (on the CPU) and plain types, nothing else.

    Zip archives are memory-mapped, so tensors are read when they are first used; files of the
    legacy format are read at once.

    Args:
        path: The file.
        kind: What the file should be, for messages: a key of `KINDS`, if possible.
        error: The class raised for everything that is wrong with the file.
        allowed: Classes and functions that the file may name besides torch's own; exactly the
            ones needed. A pair ``(function, "module.name")`` calls the function in place of what
            has that name in the file.
        max_bytes: Refuse a file that unpacks to more than this; None for no limit.
        checksums: Compare those of a zip archive, which reads the whole file.
        beside_tensors: Also read what torch's own unpickler knows and training frameworks save:
            Counter, bytes, complex numbers, sparse, quantised and meta tensors.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read, is not a torch
            file, is damaged, is too large, or needs more than is allowed.
    """
    start = _peek(path, kind, error)
    if is_safetensors(path):
        sentence = _("{path}: this is a safetensors file, expected a {kind} written by torch.save.")
        raise error(sentence.format(path=path, kind=_name(kind)))
    try:
        archive = inspect_archive(path, start, max_bytes, checksums=checksums)
        with warnings.catch_warnings(), torch.serialization.safe_globals(list(allowed)):
            # Odd files make torch and Python warn before they are refused; the error says it all.
            warnings.simplefilter("ignore")
            _scan(path, archive, allowed, beside_tensors)
            loaded = torch.load(path, map_location="cpu", weights_only=True, mmap=archive.stored)
        classes = tuple(item for item in allowed if isinstance(item, type))
        check_values(loaded, archive.unpacked, classes, beside_tensors=beside_tensors)
    except error:
        raise
    except Exception as failure:  # a damaged pickle can fail in any way at all
        _refuse(path, start, kind, error, failure)
    return loaded


def load_safetensors(path: Path, *, kind: str, error: type[InputError]) -> dict[str, Tensor]:
    """Read a `.safetensors` file: a dict of CPU tensors, memory-mapped.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read or is damaged.
    """
    from safetensors.torch import load_file

    start = _peek(path, kind, error)
    try:
        if int.from_bytes(start[:8], "little") > MAX_SAFETENSORS_HEADER:
            raise ValueError(f"a header of more than {MAX_SAFETENSORS_HEADER} bytes")
        return load_file(path)
    except Exception as failure:
        known = _looks_like(start)
        reason = known or _("is damaged or not in the safetensors format ({error})").format(
            error=_first_line(failure)
        )
        raise error(
            _(
                "{path}: this {kind} {reason}. Expected a complete .safetensors file; copy or "
                "download it again."
            ).format(path=path, kind=_name(kind), reason=reason)
        ) from failure


def read_metadata(path: Path) -> dict[str, str]:
    """Return the texts by name in the header of a safetensors file that was loaded before."""
    from safetensors import safe_open

    with safe_open(path, "pt") as file:
        return dict(file.metadata() or {})


def load_json_object(path: Path, *, kind: str, error: type[InputError]) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Raises:
        InputError: As the class `error`, if the file is missing, cannot be read, is not JSON, or
            holds something else than an object.
    """
    _peek(path, kind, error)
    try:
        with path.open("rb") as file:
            content = file.read(MAX_JSON_BYTES + 1)
        if len(content) > MAX_JSON_BYTES:
            raise ValueError(f"more than {MAX_JSON_BYTES} bytes")
        value = json.loads(content.decode("utf-8"))
    except (OSError, ValueError, RecursionError) as failure:
        raise error(
            _("{path}: this {kind} is not valid JSON ({error}). Copy or download it again.").format(
                path=path, kind=_name(kind), error=_first_line(failure)
            )
        ) from failure
    if not isinstance(value, dict):
        raise error(
            _("{path}: this {kind} holds a JSON {type}, expected an object.").format(
                path=path, kind=_name(kind), type=type(value).__name__
            )
        )
    return value


def is_safetensors(path: Path) -> bool:
    """Tell by content whether a file is in the safetensors format; False if it is unreadable."""
    if not is_regular(path):
        return False
    try:
        with path.open("rb") as file:
            start = file.read(9)
            header = int.from_bytes(start[:8], "little")
            return start[8:] == b"{" and header <= path.stat().st_size
    except (OSError, ValueError):
        return False


def _name(kind: str) -> str:
    return KINDS.get(kind) or f"{kind} file"


def _peek(path: Path, kind: str, error: type[InputError]) -> bytes:
    """Return the first bytes of a regular, readable, non-empty file."""
    try:
        if path.is_dir():
            sentence = _("{path}: this is a folder, expected a {kind}. Name the file in it.")
            raise error(sentence.format(path=path, kind=_name(kind)))
        if not path.exists():
            sentence = _("{path}: no such file, expected a {kind}. Check the path.")
            raise error(sentence.format(path=path, kind=_name(kind)))
        if not path.is_file():
            sentence = _("{path}: this is not a regular file, expected a {kind}.")
            raise error(sentence.format(path=path, kind=_name(kind)))
        with path.open("rb") as file:
            start = file.read(64)
    except (OSError, ValueError) as failure:  # ValueError: a NUL byte in the path
        reason = failure.strerror if isinstance(failure, OSError) else failure
        raise error(
            _(
                "{path}: the {kind} cannot be read ({reason}). Check that it exists and that you "
                "may read it."
            ).format(path=path, kind=_name(kind), reason=reason)
        ) from failure
    if not start:
        raise error(
            _("{path}: the {kind} is empty. Copy or download it again.").format(
                path=path, kind=_name(kind)
            )
        )
    return start


def _scan(
    path: Path, archive: Archive, allowed: Sequence[SafeGlobal], beside_tensors: bool
) -> None:
    """Judge every pickle that torch is going to follow."""
    names = {
        item[1] if isinstance(item, tuple) else f"{item.__module__}.{item.__qualname__}"
        for item in allowed
    }
    if archive.pickle is not None:
        scan_pickle(archive.pickle, names, beside_tensors=beside_tensors)
        if torch._C.PyTorchFileReader(str(path)).get_record("data.pkl") != archive.pickle:
            raise ValueError("torch reads another data.pkl than the archive's directory names")
        return
    with path.open("rb") as file:
        data = file.read(MAX_PICKLE_BYTES)
    end = 0
    for _pickle in range(_LEGACY_PICKLES):
        end = scan_pickle(data, names, end, beside_tensors=beside_tensors)


def _refuse(
    path: Path, start: bytes, kind: str, error: type[InputError], failure: Exception
) -> NoReturn:
    text = str(failure)
    if isinstance(failure, RefusedNameError):
        raise error(
            _("{path}: this {kind} {reason}").format(
                path=path, kind=_name(kind), reason=failure.describe()
            )
        ) from failure
    if "TorchScript" in text:
        raise error(
            _(
                "{path}: this {kind} is a TorchScript archive, which contains code and is refused. "
                "Save the module's state_dict() with torch.save instead."
            ).format(path=path, kind=_name(kind))
        ) from failure
    known = _looks_like(start)
    if known:
        sentence = _("{path}: this {kind} {reason}.")
        raise error(sentence.format(path=path, kind=_name(kind), reason=known)) from failure
    raise error(
        _(
            "{path}: this is not a {kind}, or it is damaged or cut off ({error}). Expected a file "
            "written by torch.save; copy or download it again."
        ).format(path=path, kind=_name(kind), error=_first_line(failure))
    ) from failure


def _looks_like(start: bytes) -> str | None:
    texts = (_(text) for magic, text in _LOOKS_LIKE if start.lstrip().startswith(magic))
    return next(texts, None)


def _first_line(failure: Exception) -> str:
    """Shorten an exception to one line, without torch's advice to switch the safety off."""
    text = str(failure).split("WeightsUnpickler error:")[-1].strip()
    line = text.splitlines()[0] if text else ""
    if "weights_only" in line or line.startswith("Weights only load failed"):
        line = "malformed pickle"
    return f"{type(failure).__name__}: {line[:200]}" if line else type(failure).__name__
