"""Compute the maps that are asked for, one request after the other. A process.

``python -m analysis.jobs.maps.worker FOLDER LOCK`` serves the requests in the folder (`runs`) on
the CPU, and ends when none has come for a while. LOCK is the descriptor of the lock that says that
it lives.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import time
import traceback
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from analysis.collect.images.batches import normalize_pixels
from analysis.collect.images.decode import load_image
from analysis.collect.run.measured_network import MeasuredNetwork, load_measured
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import InputError
from analysis.files.locks import acquire_lock
from analysis.files.plain_output import print_plainly
from analysis.jobs.limits import end_when_quiet, limit_data, wait_quietly
from analysis.jobs.maps.folder import (
    ADAPTER_FILE,
    ALIVE_FILE,
    list_requests,
    progress_file,
    stop_file,
)
from analysis.jobs.maps.request import Arm, MapRequest
from analysis.jobs.maps.store import save_maps
from analysis.jobs.maps.token_maps import compute_maps, one_thread
from analysis.language import N_

IDLE_S = 120.0
"""How long the process waits for another request."""

POLL_INTERVAL_S = 0.1
DAY_S = 86_400

SMALL_PARAMETERS = 50_000_000
"""Smaller networks run on one thread: hardly slower on an idle machine, and several times faster on
a busy one, where threads wait for each other in every layer."""

MAX_KEPT_PARAMETERS = 500_000_000
"""Larger networks are loaded anew for each request: memory is for others too."""

_LOADING = {
    Arm.FROZEN: N_("loading the network without its adapter"),
    Arm.ADAPTER: N_("loading the network"),
}


class StoppedError(Exception):
    """Somebody wants no more of this request."""


@dataclass
class Networks:
    """The networks of the last request."""

    key: str = ""
    held: dict[Arm, MeasuredNetwork] = field(default_factory=dict)

    def get(self, request: MapRequest, arm: Arm) -> MeasuredNetwork:
        """Return a network of the request, loaded where it is not held."""
        if self.key != request.network_key:
            self.key, self.held = request.network_key, {}
        if arm not in self.held:
            self.held[arm] = load_arm(request, arm)
        return self.held[arm]


def compute_missing(
    request: MapRequest,
    reporter: ProgressReporter,
    networks: Networks | None = None,
    *,
    check: Callable[[], None] = lambda: None,
) -> None:
    """Compute and keep all maps of the request that are not kept yet.

    The frozen backbone comes first, since loading an adapter takes longer than a picture.

    Args:
        request: What to compute.
        reporter: Told about every picture.
        networks: Loaded before, and kept for later requests.
        check: Called between blocks; may raise to stop.

    Raises:
        InputError: If weights, head or a picture cannot be used, or are not those measured.
    """
    networks = networks or Networks()
    missing = request.missing()
    reporter.begin(total=len(missing))
    for arm in (Arm.FROZEN, Arm.ADAPTER):
        pictures = [picture for picture, its_arm in missing if its_arm is arm]
        if not pictures:
            continue
        check()
        reporter.say("running", _LOADING[arm])
        network = networks.get(request, arm)
        for picture in pictures:
            reporter.say("running", f"{picture.path.name} ({arm.value})")
            pixels = normalize_pixels(
                load_image(picture.path, request.image_size)[None], request.mean, request.std
            )
            with one_thread() if network.size < SMALL_PARAMETERS else nullcontext():
                maps = compute_maps(
                    network.backbone,
                    pixels,
                    request.channels,
                    sources=(network.weights_sha256, network.adapter_sha256),
                    check=check,
                )
            save_maps(request.result_path(picture, arm), maps)
            reporter.advance(1)
        if network.size > MAX_KEPT_PARAMETERS:
            networks.held.clear()
        del network


def load_arm(request: MapRequest, arm: Arm) -> MeasuredNetwork:
    """Load the backbone, with the adapter where the arm says so; refuse what was not measured.

    Raises:
        CheckpointError: If the weights cannot be used or are not those of the payload.
        AdapterError: If the adapter cannot be attached or is not that of the payload.
    """
    return load_measured(
        request.backbone,
        request.weights,
        request.head if arm is Arm.ADAPTER else None,
        request.config,
        weights_key=request.weights_key,
        weights_sha256=request.weights_sha256,
        adapter_sha256=request.adapter_sha256,
    )


def serve(folder: Path, alive: int) -> None:
    """Compute the requests of a folder until none has come for a while.

    Args:
        folder: As in `runs`.
        alive: Descriptor of the lock that says that this process lives.
    """
    networks, parent = Networks(), os.getppid()
    _end_orphans(folder)
    while True:
        _serve_until_idle(folder, networks, parent)
        os.close(alive)  # who asks from here on starts another process
        again = acquire_lock(folder / ALIVE_FILE, wait=False) if list_requests(folder) else None
        if again is None:
            return
        alive = again


def _serve_until_idle(folder: Path, networks: Networks, parent: int) -> None:
    idle_since = time.monotonic()
    while time.monotonic() - idle_since < IDLE_S:
        for path in list_requests(folder):
            _serve(path, networks)
            idle_since = time.monotonic()
        if os.getppid() != parent:
            return  # the server is gone
        _prepare(folder / ADAPTER_FILE)
        time.sleep(POLL_INTERVAL_S)


def _prepare(wanted: Path) -> None:
    """Import what adapters need, which takes longer than all the rest, while nobody waits."""
    if wanted.exists():
        wanted.unlink(missing_ok=True)
        with contextlib.suppress(Exception):  # said when an adapter is attached
            importlib.import_module("peft")


def _serve(path: Path, networks: Networks) -> None:
    """Compute one request and note how it ended."""
    folder, key = path.parent, path.stem

    def check() -> None:
        end_when_quiet()
        if stop_file(folder, key).exists():
            raise StoppedError

    reporter = ProgressReporter(progress_file(folder, key), quiet=True)
    end_when_quiet()
    try:
        text = path.read_text()
        reporter.say("running", N_("reading the request"))
        compute_missing(MapRequest.from_json(text), reporter, networks, check=check)
    except FileNotFoundError:
        return  # stopped before it began
    except StoppedError:
        reporter.end("cancelled")
    except InputError as error:
        reporter.end("failed", error=str(error))
    except Exception as error:  # the process goes on with the next request
        traceback.print_exc()
        reporter.end("failed", error=f"{type(error).__name__}: {error}")
    else:
        reporter.end("done")
    finally:
        wait_quietly()
    path.unlink(missing_ok=True)


def _end_orphans(folder: Path) -> None:
    """Note the end of requests whose process was killed: they may be what killed it.

    How requests ended is forgotten after a day.
    """
    for pattern in ("*.progress.json", "*.stop"):
        for path in folder.glob(pattern):
            if time.time() - path.stat().st_mtime > DAY_S:
                path.unlink(missing_ok=True)
    for path in list_requests(folder):
        if progress_file(folder, path.stem).exists():
            reporter = ProgressReporter(progress_file(folder, path.stem), quiet=True)
            reporter.end("failed", error="The process that computed it was killed. Ask again.")
            path.unlink(missing_ok=True)


if __name__ == "__main__":
    print_plainly()
    limit_data()
    serve(Path(sys.argv[1]), int(sys.argv[2]))
