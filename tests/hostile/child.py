"""Reads files one after another in a process of its own; `harness` watches it from outside."""

from __future__ import annotations

import gc
import json
import os
import resource
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch

from tests.hostile.readers import READERS, as_somebody, describe
from tests.hostile.reference import allowed_seconds, measure_reference

RESIDUE = 50_000_000
"""Bytes after which rubbish is collected, so that it is not laid to the next file."""

ADDRESS_SPACE = 4 * 2**30
"""Bytes beyond those of the libraries, so that no fault can take the machine with it."""


def main() -> None:
    """Answer every line of standard input, a reader and a path, with a line of facts."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    limit = _memory("VmSize") + ADDRESS_SPACE
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    measure_reference()  # what is slow only once
    allowed = allowed_seconds(measure_reference())
    gc.collect()
    resident = _memory("VmRSS")
    answers.write(json.dumps({"allowed": allowed}) + "\n")
    for line in sys.stdin:
        reader, path = json.loads(line)
        answer = _answer(reader, Path(path), resident)
        if answer["seconds"] > allowed:  # is the file slow, or has the machine become so?
            allowed = allowed_seconds(measure_reference())
        answer["allowed"] = allowed
        answers.write(json.dumps(answer) + "\n")
        if answer["bytes"] > RESIDUE:
            gc.collect()
            gc.freeze()  # modules imported meanwhile need not be walked through again


def _answer(name: str, path: Path, resident: int) -> dict[str, Any]:
    reader = READERS[name]
    Path("/proc/self/clear_refs").write_text("5")  # the peak counts from now
    began, kind, text = time.process_time(), "opened", ""
    try:
        with as_somebody(path):
            text = describe(reader.read(path))
    except reader.errors as error:
        kind, text = "refused", str(error)
    except BaseException as error:
        kind, text = "escaped", f"{type(error).__name__}: {error}"[:2000]
    return {
        "kind": kind,
        "text": text,
        "seconds": time.process_time() - began,
        "bytes": max(_memory("VmHWM") - resident, 0),
    }


def _memory(field: str) -> int:
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(f"{field}:"):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


if __name__ == "__main__":
    main()
