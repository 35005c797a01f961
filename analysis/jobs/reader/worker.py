"""Read what strangers wrote, within the limits of the system. A process.

``python -m analysis.jobs.reader.worker CPU_S MEMORY SCRATCH`` answers the frames that come to its
standard input, and ends with it. Payloads are left as arrays in the cache, or in SCRATCH where that
cannot be written; pictures are sent back.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from analysis.errors import InputError
from analysis.files.cache_folder import CACHE_ENV
from analysis.jobs.limits import limit_address_space, limit_processor_time
from analysis.jobs.reader.frames import FrameError, receive, send
from analysis.payload.reading import open_cached, open_payload
from analysis.read.places.photographs import load_photograph

Answer = tuple[dict[str, Any], bytes]


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


def serve(cpu_s: int, memory_bytes: int, scratch: Path) -> None:
    """Answer what comes to the standard input until its other end is closed."""
    # What a library prints must not stand between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit_address_space(memory_bytes)
    with contextlib.suppress(FrameError, BrokenPipeError):
        while True:
            asked, content = receive(sys.stdin.buffer)
            limit_processor_time(cpu_s)
            send(answers, *_answer(asked, content, scratch))


def _answer(asked: dict[str, Any], content: bytes, scratch: Path) -> Answer:
    try:
        return CALLS[asked["call"]](asked, content, scratch)
    except InputError as error:
        return {"refused": type(error).__name__, "message": str(error)}, b""
    except MemoryError:
        reason = "reading it takes more memory than one file may have"
    except Exception as error:
        traceback.print_exc()
        reason = f"cannot be read ({type(error).__name__}: {str(error)[:500]})"
    return {"refused": "PayloadError", "message": f"{asked.get('path')}: {reason}."}, b""


if __name__ == "__main__":
    import analysis.payload.file  # noqa: F401 (imports torch while nobody waits)

    serve(int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3]))
