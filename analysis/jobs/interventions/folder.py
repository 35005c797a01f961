"""The folder of one intervention run: one file per fact, written by the starter or the worker.

Files::

    request.json   what is asked for                                written once, before the start
    progress.json  `analysis.collect.run.progress.Progress`         replaced by the worker
    process.json   which process the worker is                      written by the starter
    stop           somebody asked it to stop
    alive.lock     locked while the worker lives
    log.txt        all that the worker printed
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from analysis.collect.interventions.request import InterventionRequest
from analysis.files.cache_folder import cache_folder

REQUEST_FILE = "request.json"
PROGRESS_FILE = "progress.json"
PROCESS_FILE = "process.json"
ALIVE_FILE = "alive.lock"
STOP_FILE = "stop"
LOG_FILE = "log.txt"


def run_folder(payload: Path, request: InterventionRequest, images_dir: str | None) -> Path:
    """Return the folder of a run: equal requests of an unchanged payload share it.

    Raises:
        OSError: If the payload is gone.
    """
    state = payload.stat()
    facts = (payload, state.st_size, state.st_mtime_ns, images_dir, request.to_json())
    key = hashlib.sha256(repr(facts).encode()).hexdigest()[:24]
    return cache_folder() / "interventions" / key
