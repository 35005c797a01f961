"""The folder through which the dashboard and the map process talk: one file per fact.

Each request has up to three files::

    <key>.json           what is asked for; removed when it has ended
    <key>.progress.json  `analysis.collect.run.progress.Progress`, from when it has begun
    <key>.stop           its presence stops the request
"""

from __future__ import annotations

from pathlib import Path

from analysis.jobs.maps.request import maps_folder

ALIVE_FILE = "alive.lock"


LOG_FILE = "log.txt"


PROCESS_FILE = "process"
"""Which process serves the folder, see `analysis.files.processes`; JSON that is no request."""


ADAPTER_FILE = "adapter.wanted"
"""Its presence asks a waiting process to get ready for adapters."""


def runs_folder() -> Path:
    """Return the folder of the requests; it need not exist."""
    return maps_folder() / "runs"


def request_file(folder: Path, key: str) -> Path:
    """Return where a request lies until it has ended."""
    return folder / f"{key}.json"


def progress_file(folder: Path, key: str) -> Path:
    """Return where the progress of a request is noted."""
    return folder / f"{key}.progress.json"


def stop_file(folder: Path, key: str) -> Path:
    """Return the file whose presence stops a request."""
    return folder / f"{key}.stop"


def list_requests(folder: Path) -> list[Path]:
    """Return the requests in a folder that have not ended, oldest first."""
    requests = []
    for path in folder.glob("*.json"):
        try:
            if ".progress" not in path.suffixes:
                requests.append((path.stat().st_mtime_ns, path))
        except FileNotFoundError:  # has ended meanwhile
            continue
    return [path for _, path in sorted(requests)]
