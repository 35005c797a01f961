"""Read files of strangers through the readers where there are some, else in this process.

Only a server has one (`start_reader`): scripts, tests of pages and the command line read for
themselves, at the risk of whoever started them on a file.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from analysis.errors import ImageError, PayloadError
from analysis.files.isolated import read_elsewhere
from analysis.jobs.reader.process import SMALL_WORKER, Reader
from analysis.language import _
from analysis.payload import reading
from analysis.payload.reading import Reading
from analysis.read.places import photographs

SMALL_CPU_S = 30
SMALL_MEMORY = 2**30
"""Of a CSV, a config, a header."""

_reader: Reader | None = None
_small_reader: Reader | None = None
_guard = threading.Lock()


def start_reader(*, early: bool = True) -> None:
    """Let two processes read from now on, and start them; where that fails, at the first call.

    Args:
        early: Whether the one for payloads starts too, which imports torch; else at its first call
            or when this function is called again.
    """
    global _reader, _small_reader
    with _guard:
        if _reader is None or _small_reader is None:
            _small_reader = Reader(
                cpu_s=SMALL_CPU_S, memory_bytes=SMALL_MEMORY, worker=SMALL_WORKER
            )
            _reader = Reader()
            read_elsewhere(partial(_read_small, _small_reader))
    with contextlib.suppress(OSError):
        _small_reader.start()
        if early:
            _reader.start()


def _read_small(reader: Reader, kind: str, module: str, arguments: Sequence[Any]) -> Any:
    """Have what `analysis.files.isolated` registers carried out by a reader."""
    first = arguments[0] if arguments else ""
    what = first if isinstance(first, str) else kind
    asked = {"kind": kind, "module": module, "arguments": arguments, "path": what}
    answer, _content = reader.call("read", what, asked)
    return answer.get("value")


def open_payload(path: str) -> Reading:
    """Read a payload, see `analysis.payload.reading.open_payload`.

    Raises:
        PayloadError: If the file cannot be read or is no payload, or the reader ended over it.
    """
    if _reader is None:
        return reading.open_payload(path)
    for _attempt in range(2):  # the file may be replaced while it is read
        if (cached := reading.open_cached(path, None, _put_into_cache)) is not None:
            return cached
        folder = _put_into_cache(path)
        if (found := reading.open_cached(path, folder, _put_into_cache)) is not None:
            return found
    raise PayloadError(
        _(
            "{path}: what was read of it is not there. Load the page again if the file is just "
            "being written; else make room in the cache folder (DASHBOARD_CACHE)."
        ).format(path=path)
    )


def _put_into_cache(path: str) -> Path | None:
    """Have the reader put a payload into the cache; return its folder if it is not the user's."""
    assert _reader is not None
    answer, _content = _reader.call("payload", path, {"path": str(Path(path).absolute())})
    return None if answer.get("kept") is True else Path(_reader.scratch.name)


def load_photograph(
    source: Path | bytes, image_size: Sequence[int], network_size: Sequence[int] | None = None
) -> NDArray[np.uint8]:
    """Decode a picture, see `analysis.read.places.photographs.load_photograph`.

    Raises:
        ImageError: If it cannot be shown, or the reader ended over it.
    """
    if _reader is None:
        return photographs.load_photograph(source, image_size, network_size)
    is_upload = isinstance(source, bytes)
    name = "The uploaded file" if is_upload else str(source)
    arguments = {
        "path": None if is_upload else str(source.absolute()),
        "image_size": [int(side) for side in image_size],
        "network_size": None if network_size is None else [int(side) for side in network_size],
    }
    try:
        answer, content = _reader.call("photograph", name, arguments, source if is_upload else b"")
        pixels = np.frombuffer(content, np.uint8).reshape(answer["shape"])
    except (PayloadError, ValueError, TypeError, KeyError) as error:
        raise ImageError(str(error)) from error
    if pixels.ndim != 3 or pixels.shape[2] != 3:
        raise ImageError(_("{name}: cannot be shown as a picture.").format(name=name))
    return pixels
