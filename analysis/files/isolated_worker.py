"""Read small files of strangers for a server, within the limits of the system. A process.

``python -m analysis.files.isolated_worker CPU_S MEMORY SCRATCH`` answers the frames that come to
its standard input, see `analysis.files.isolated`, and ends with it. It imports what a kind needs
when it is asked for the first time, so that it answers soon after its start.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from typing import Any

from analysis.errors import InputError
from analysis.files.confinement import limit_address_space, limit_processor_time
from analysis.files.frames import FrameError, receive, send
from analysis.files.isolated import carry_out
from analysis.language import _, use

Answer = tuple[dict[str, Any], bytes]


def serve(
    answer: Callable[[Mapping[str, Any], bytes], Answer], cpu_s: int, memory_bytes: int
) -> None:
    """Answer what comes to the standard input until its other end is closed.

    Args:
        answer: Takes a frame and returns the one to send back.
        cpu_s: Seconds of processor time for each answer.
        memory_bytes: Address space beyond what the process has now.
    """
    # What a library prints must not stand between the frames.
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    limit_address_space(memory_bytes)
    with contextlib.suppress(FrameError, BrokenPipeError):
        while True:
            asked, content = receive(sys.stdin.buffer)
            limit_processor_time(cpu_s)
            send(answers, *_answer(answer, asked, content))


def _answer(
    answer: Callable[[Mapping[str, Any], bytes], Answer], asked: Mapping[str, Any], content: bytes
) -> Answer:
    try:
        with use(str(asked.get("language"))):
            return answer(asked, content)
    except InputError as error:
        return {"refused": type(error).__name__, "message": str(error)}, b""
    except MemoryError:
        with use(str(asked.get("language"))):
            reason = _("reading it takes more memory than one file may have")
    except Exception as error:
        traceback.print_exc()
        with use(str(asked.get("language"))):
            reason = _("cannot be read ({error})").format(
                error=f"{type(error).__name__}: {str(error)[:500]}"
            )
    return {"refused": "PayloadError", "message": f"{asked.get('path')}: {reason}."}, b""


def read(asked: Mapping[str, Any], _content: bytes) -> Answer:
    """Return what a kind's function makes of the arguments.

    Raises:
        InputError: As the function.
    """
    return {"value": carry_out(asked["kind"], asked["module"], asked["arguments"])}, b""


if __name__ == "__main__":
    serve(read, int(sys.argv[1]), int(sys.argv[2]))
