"""Measure how fast this process is now, by a reading that any payload may take."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from analysis.payload.file import load_payload
from tests.factories.payloads import make_payload, write_payload

MIN_SECONDS = 2.0
"""Of processor time, allowed on any machine."""

TIMES = 10
"""How often the reference reading is allowed; 2 s where it takes 0.2 s."""

HUNG_TIMES = 4
"""After how many times the allowed time a reader is no longer waited for."""

IMAGES = 20_000
"""Paths in the list of the ordinary payload."""


def measure_reference() -> float:
    """Return the processor time of one reading of an ordinary payload, in seconds."""
    payload = make_payload(layers=24, channels=1024, extras=True)
    payload["extras"]["images"]["paths"] = [f"train/{i:06d}.jpg" for i in range(IMAGES)]
    with tempfile.TemporaryDirectory() as folder:
        path = write_payload(Path(folder) / "ordinary.pt", payload)
        began = time.process_time()
        load_payload(path)
        return time.process_time() - began


def allowed_seconds(reference: float) -> float:
    """Return the processor time that a reading may take where the reference takes this long."""
    return max(MIN_SECONDS, TIMES * reference)
