"""Which compute devices this machine has, asked of a child process: nothing here imports torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from dataclasses import asdict, dataclass

from analysis.files.processes import PACKAGE_ROOT


@dataclass(frozen=True)
class Device:
    """One place to compute on."""

    name: str
    """What `--device` takes: cpu, cuda:0, ..."""
    label: str
    """What it is, for people."""


_PROBE = "from analysis.jobs.extractions.devices import print_gpus; print_gpus()"
_CPU = Device("cpu", f"CPU, {os.cpu_count() or 1} cores")
_found: tuple[Device, ...] | None = None
_probe: subprocess.Popen[str] | None = None
_guard = threading.Lock()  # a dashboard serves every session from a thread of its own


def list_devices(*, wait: bool = True) -> tuple[Device, ...]:
    """Return the devices of this machine, fastest first; the CPU is always the last.

    Args:
        wait: Whether to wait for the first answer, which takes as long as importing torch.
            Otherwise only the CPU is named until the answer has come.
    """
    global _found, _probe
    with _guard:
        if _found is not None:
            return _found
        if _probe is None:
            _probe = subprocess.Popen(
                [sys.executable, "-c", _PROBE],
                cwd=PACKAGE_ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
        if not wait and _probe.poll() is None:
            return (_CPU,)
        output, _ = _probe.communicate()
        try:
            _found = (*(Device(**device) for device in json.loads(output)), _CPU)
        except ValueError:
            _found = (_CPU,)  # torch cannot be imported: the run itself will say why
        return _found


def resolve_device(name: str | None, devices: tuple[Device, ...]) -> Device:
    """Return the device that a `--device` value means on this machine.

    A name that is not among `devices` is returned as it is; the run refuses it with a reason.
    """
    if name in (None, "auto"):
        return devices[0]
    wanted = "cuda:0" if name == "cuda" else str(name)
    return next((device for device in devices if device.name == wanted), Device(wanted, wanted))


def print_gpus() -> None:
    """Print the GPUs that torch sees, as JSON. Imports torch: for a child process only."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    gpus = [Device(f"cuda:{index}", torch.cuda.get_device_name(index)) for index in range(count)]
    print(json.dumps([asdict(gpu) for gpu in gpus]))
