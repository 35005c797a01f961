"""The vectors of single images beside a payload, `<stem>.features.safetensors`, and how to read it.

Per image and layer: the CLS token of `pre`, and the mean patch token of `pre` and `per_layer_ln`.
All other cells follow from these. Stored is the deviation from the channel's mean in units of its
standard deviation, as float16: channels of ten thousand and channels of a hundredth keep the same
number of digits. Mean and std are those of the payload, so the file belongs to one payload.

The reader maps the file into memory and imports no torch; docs/payload.md lists the keys.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.files.atomic import is_regular
from analysis.files.own_state import read_small
from analysis.language import _
from analysis.payload.reading import open_payload
from analysis.payload.stored_tensors import StoredTensors, open_tensors
from analysis.payload.table import StatsTable
from analysis.vocabulary import LAYER_NORM_EPS, Cell, Representation, TokenRole

SUFFIX = ".features.safetensors"
SCHEMA_VERSION = "1"
UNITS = "deviation from the channel mean in channel standard deviations of the payload"
STORED = (
    (TokenRole.CLS, Representation.PRE),
    (TokenRole.PATCH, Representation.PRE),
    (TokenRole.PATCH, Representation.PER_LAYER_LN),
)
"""What is stored of an image, in this order; the tensors are named ``<role>.<representation>``."""
MAX_BYTES = 2**34
MAX_TEXT = 2**26
"""Characters of the header's lists of names."""

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Features:
    """The vectors of single images of one payload; made by `read_features`."""

    path: Path
    table: StatsTable
    """Statistics of the payload that they belong to."""
    images: NDArray[np.int64]
    """``[images]``: position in the image list, ascending."""
    paths: tuple[str, ...]
    """Relative path of each image."""
    targets: Mapping[str, NDArray[np.float64]]
    """Numeric columns of the CSV, ``[images]`` each; NaN where an image has no value."""
    categories: Mapping[str, NDArray[np.str_]]
    """Text columns of the CSV, ``[images]`` each; empty where an image has no value."""
    norm: Mapping[str, Floats]
    """Parameters of the model's output norm, ``[channels]`` each."""
    _file: StoredTensors = field(repr=False)

    def standardized(self, layer: int, role: TokenRole, representation: Representation) -> Floats:
        """Return a stored deviation in units of the channel's std, float32 ``[images, channels]``.

        Raises:
            KeyError: If this role and representation is derived, not stored (see `STORED`).
        """
        if (role, representation) not in STORED:
            raise KeyError(f"{role}.{representation} is derived; use `vectors`")
        part = self._file.read(f"{role}.{representation}", self.table.position(layer))
        return part.astype(np.float32)

    def vectors(self, cell: Cell) -> Floats:
        """Return the token of every image in a cell, float32 ``[images, channels]``.

        The CLS token, or the mean over the patches. NaN where the image had no finite token.
        """
        if cell.representation is Representation.PRE:
            return self._restore(cell)
        if cell.representation is Representation.GLOBAL_LN:
            normed = self.vectors(Cell(cell.layer, Representation.PER_LAYER_LN, cell.role))
            own = cell.role is TokenRole.CLS and "cls_gamma" in self.norm
            prefix = "cls_" if own else ""
            return normed * self.norm[f"{prefix}gamma"] + self.norm[f"{prefix}beta"]
        if cell.role is TokenRole.PATCH:
            return self._restore(cell)
        token = self._restore(Cell(cell.layer, Representation.PRE, cell.role)).astype(np.float64)
        centred = token - token.mean(axis=1, keepdims=True)
        variance = np.square(centred).mean(axis=1, keepdims=True)
        return (centred / np.sqrt(variance + LAYER_NORM_EPS)).astype(np.float32)

    def content(self) -> bytes:
        """Return the bytes of the file.

        Raises:
            OSError: If it is gone, or no regular file any more.
        """
        return read_small(self.path.resolve(), MAX_BYTES)

    def _restore(self, cell: Cell) -> Floats:
        mean, std, _largest = self.table[cell]
        return mean + std * self.standardized(cell.layer, cell.role, cell.representation)


def features_path(payload: Path) -> Path:
    """Return where the vectors of a payload are written."""
    return payload.with_name(payload.stem + SUFFIX)


def fingerprint_statistics(table: StatsTable) -> str:
    """Return a sha256 over all statistics of a payload, which the vectors are relative to."""
    return hashlib.sha256(np.ascontiguousarray(table.values, dtype="<f4").tobytes()).hexdigest()


def read_features(path: Path | str, table: StatsTable | None = None) -> Features:
    """Open the vectors of single images that stand beside a payload.

    Args:
        path: The payload, or the features file beside it.
        table: The payload's statistics, where they have been read already.

    Raises:
        PayloadError: If there is no such file, it is broken, or it belongs to another payload.
    """
    path = Path(path)
    if path.name.endswith(SUFFIX):
        payload = path.with_name(path.name.removesuffix(SUFFIX) + ".pt")
    else:
        payload, path = path, features_path(path)
    if not is_regular(path):
        raise PayloadError(
            _(
                "{path}: there is no such file: the payload was made without vectors of single "
                "images. Make it anew, without --image-features 0."
            ).format(path=path)
        )
    table = open_payload(payload).table if table is None else table
    if path.stat().st_size > MAX_BYTES:
        raise _fault(path, f"at most {MAX_BYTES} bytes", f"{path.stat().st_size}")
    try:
        file = open_tensors(path)
    except (OSError, ValueError) as error:
        raise _fault(path, "a safetensors file", str(error)) from error
    metadata = file.metadata
    if metadata.get("format") != "dinov3-image-features":
        raise _fault(path, "a features file of this tool", f"format {metadata.get('format')!r}")
    if metadata.get("schema_version") != SCHEMA_VERSION:
        found = f"version {metadata.get('schema_version')!r}"
        raise _fault(path, f"schema version {SCHEMA_VERSION}", found)
    if metadata.get("payload") != fingerprint_statistics(table):
        raise PayloadError(
            _(
                "{path}: belongs to another payload than {payload}: the statistics that its "
                "vectors are relative to are not the ones there. Copy the two files of one run "
                "together, or make the payload anew."
            ).format(path=path, payload=payload)
        )
    return _read(path, file, metadata, table)


def _read(
    path: Path, file: StoredTensors, metadata: Mapping[str, str], table: StatsTable
) -> Features:
    names = set(file.tensors)
    images = _load(path, file, names, "images", "I64", None)
    count, channels = len(images), table.channels
    if count and (images[0] < 0 or (np.diff(images) <= 0).any()):
        raise _fault(path, "image indices that ascend", "others")
    for role, representation in STORED:
        _check(
            path,
            file,
            names,
            f"{role}.{representation}",
            "F16",
            (table.num_layers, count, channels),
        )
    norm = {
        key: _load(path, file, names, f"norm.{key}", "F32", (channels,))
        for key in ("gamma", "beta", "cls_gamma", "cls_beta")
        if f"norm.{key}" in names or key in ("gamma", "beta")
    }
    if ("cls_gamma" in norm) != ("cls_beta" in norm):
        raise _fault(path, "norm.cls_gamma and norm.cls_beta", "one of them")
    paths = _texts(path, metadata, "paths", list)
    target_names = _texts(path, metadata, "targets", list)
    labels = _texts(path, metadata, "categories", dict)
    if len(paths) not in (0, count):
        raise _fault(path, f"{count} paths", str(len(paths)))
    targets = {}
    if target_names:
        shape = (len(target_names), count)
        values = _load(path, file, names, "targets", "F64", shape)
        targets = dict(zip(target_names, values, strict=True))
    categories = {}
    if labels:
        codes = _load(path, file, names, "categories", "I32", (len(labels), count))
        for row, (name, known) in zip(codes, labels.items(), strict=True):
            if count and not -1 <= row.min() <= row.max() < len(known):
                raise _fault(path, f"codes of {len(known)} labels of {name[:80]}", "others")
            categories[name] = np.array([*known, ""], dtype=np.str_)[row]
    return Features(path, table, images, tuple(paths), targets, categories, norm, file)


def _check(
    path: Path,
    file: StoredTensors,
    names: set[str],
    name: str,
    dtype: str,
    shape: tuple[int, ...] | None,
) -> None:
    if name not in names:
        raise _fault(path, f"the tensor {name}", "none")
    found = file.tensors[name][:2]
    if found[0] != dtype or (found[1] != shape if shape is not None else len(found[1]) != 1):
        raise _fault(path, f"{name} as {dtype} {shape or '(images,)'}", f"{found[0]} {found[1]}")


def _load(
    path: Path,
    file: StoredTensors,
    names: set[str],
    name: str,
    dtype: str,
    shape: tuple[int, ...] | None,
) -> NDArray[Any]:
    _check(path, file, names, name, dtype, shape)
    return file.read(name)


def _texts(path: Path, metadata: Mapping[str, str], key: str, kind: type) -> Any:
    text = metadata.get(key, "[]" if kind is list else "{}")
    if len(text) > MAX_TEXT:
        raise _fault(path, f"at most {MAX_TEXT} characters of {key}", str(len(text)))
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _fault(path, f"JSON in {key}", str(error)) from error
    lists = [value] if kind is list else list(value.values()) if isinstance(value, dict) else [None]
    if not isinstance(value, kind) or not all(
        isinstance(part, list) and all(isinstance(item, str) for item in part) for part in lists
    ):
        raise _fault(path, f"texts in {key}", type(value).__name__)
    if kind is list and key == "targets" and len(set(value)) != len(value):
        raise _fault(path, "different names of targets", "some twice")
    return value


def _fault(path: Path, expected: str, found: str) -> PayloadError:
    return PayloadError(
        _(
            "{path}: not vectors of single images. Expected {expected}, found {found}. "
            "Make the payload anew."
        ).format(path=path, expected=expected, found=found[:200])
    )
