"""What passes between the server and its reader: a JSON object, and bytes behind it.

No pickle: the reader opens what strangers wrote, so what it sends is no more trusted than they.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from typing import IO, Any

MAX_JSON = 2**26
"""Of the values; the list of 100,000 images takes 8 MB."""
MAX_BYTES = 2**28
"""Of what follows the JSON: a picture, as a file or decoded."""

_LENGTHS = struct.Struct("<QQ")


class FrameError(Exception):
    """The other side has ended, or sends what is no frame."""


def send(stream: IO[bytes], values: Mapping[str, Any], content: bytes = b"") -> None:
    """Write a frame.

    Raises:
        FrameError: If it is too long.
        OSError: If the other side has ended.
    """
    text = json.dumps(values).encode()
    if len(text) > MAX_JSON or len(content) > MAX_BYTES:
        raise FrameError(f"{len(text)} and {len(content)} bytes are too many")
    stream.write(_LENGTHS.pack(len(text), len(content)) + text)
    stream.write(content)
    stream.flush()


def receive(stream: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read a frame.

    Raises:
        FrameError: If the other side has ended, or sends what is no frame.
    """
    text_length, length = _LENGTHS.unpack(_read(stream, _LENGTHS.size))
    if text_length > MAX_JSON or length > MAX_BYTES:
        raise FrameError(f"{text_length} and {length} bytes are too many")
    try:
        values = json.loads(_read(stream, text_length))
    except (ValueError, RecursionError) as error:
        raise FrameError(str(error)) from error
    if not isinstance(values, dict):
        raise FrameError("no JSON object")
    return values, _read(stream, length)


def _read(stream: IO[bytes], length: int) -> bytes:
    content = stream.read(length)
    if len(content) < length:
        raise FrameError("the other side has ended")
    return content
