"""Read what strangers wrote, within the limits of the system. A process.

``python -m analysis.jobs.reader.worker CPU_S MEMORY SCRATCH`` answers the frames that come to its
standard input, and ends with it. Payloads are left as arrays in the cache, or in SCRATCH where that
cannot be written; pictures are sent back.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.files.cache_folder import CACHE_ENV
from analysis.files.isolated_worker import Answer, serve
from analysis.payload.reading import open_cached, open_payload
from analysis.read.places.photographs import load_photograph


def read_payload(arguments: Mapping[str, Any], _content: bytes, scratch: Path) -> Answer:
    """Leave the arrays of a payload in the cache; `kept` says whether in the user's own.

    Raises:
        PayloadError: If the file is no payload.
    """
    path = arguments["path"]
    open_payload(path)
    if open_cached(path) is not None:
        return {"kept": True}, b""
    chosen = os.environ.get(CACHE_ENV)
    os.environ[CACHE_ENV] = str(scratch)
    try:
        open_payload(path)
    finally:
        del os.environ[CACHE_ENV]
        if chosen is not None:
            os.environ[CACHE_ENV] = chosen
    return {"kept": False}, b""


def read_photograph(arguments: Mapping[str, Any], content: bytes, _scratch: Path) -> Answer:
    """Return a picture as RGB, its shape and its bytes.

    Raises:
        ImageError: If it cannot be shown.
    """
    path = arguments["path"]
    source = content if path is None else Path(path)
    pixels = load_photograph(source, arguments["image_size"], arguments["network_size"])
    return {"shape": pixels.shape}, pixels.tobytes()


CALLS: Mapping[str, Callable[[Mapping[str, Any], bytes, Path], Answer]] = {
    "payload": read_payload,
    "photograph": read_photograph,
}


def read(asked: Mapping[str, Any], content: bytes, scratch: Path) -> Answer:
    """Carry out a call.

    Raises:
        InputError: As the call.
    """
    return CALLS[asked["call"]](asked, content, scratch)


if __name__ == "__main__":
    import analysis.payload.file  # noqa: F401 (imports torch while nobody waits)

    folder = Path(sys.argv[3])
    serve(lambda asked, content: read(asked, content, folder), int(sys.argv[1]), int(sys.argv[2]))
