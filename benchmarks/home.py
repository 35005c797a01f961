"""How long Home takes with many payloads: to list them at first, warm, and drawn anew.

    python -m benchmarks.home --payloads 300 --read 40

The payloads have the size of ViT-H+ (32 layers of 1280 channels, with all extras); a few different
ones are linked to many paths, so that every path is a file of its own to the dashboard. `--read`
of them are summarised in the background as on a first visit; for the warm measurements the others
take over the summaries of the files that they are links to.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from analysis.files.cache_folder import CACHE_ENV
from analysis.jobs.summaries import find_summaries, is_running, start_missing
from analysis.jobs.summaries.store import pair_key, payload_key, save_entries
from analysis.payload.discovery import discover_payloads
from analysis.payload.fingerprint import Fingerprint
from analysis.payload.index import index_path, save_index
from analysis.payload.reading import open_payload
from analysis.read.summary import summarize, to_json
from tests.factories.payloads import make_payload, write_payload

DIFFERENT = 4
LAYERS, CHANNELS, IMAGES = 32, 1280, 32
ROOT = Path(__file__).resolve().parent.parent


def main() -> None:
    """Measure, and print the numbers as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--payloads", type=int, default=300)
    parser.add_argument("--read", type=int, default=40, help="read on a first visit")
    parser.add_argument("--no-index", action="store_true", help="as runs before wrote payloads")
    parser.add_argument("--reruns", type=int, default=9)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        os.environ[CACHE_ENV] = f"{folder}/cache"
        os.environ["DASHBOARD_QUEUE"] = f"{folder}/queue"
        project = Path(folder, "project")
        size = write_payloads(project, options.payloads, indexed=not options.no_index)
        os.chdir(project)
        print(json.dumps(measure(options) | {"file_bytes": size}, indent=1))


def write_payloads(project: Path, number: int, *, indexed: bool = True) -> int:
    """Write a few payloads and link them to many paths; return the bytes of one.

    Args:
        project: Where.
        number: How many paths.
        indexed: Whether the index of a finished run stands beside each.
    """
    written: list[Path] = []
    for place in range(number):
        path = project / f"outputs/v{place:03d}/feature_stats/dinov3_feature_stats.pt"
        if place < DIFFERENT:
            payload = make_payload(
                layers=LAYERS,
                channels=CHANNELS,
                images=IMAGES,
                version=f"v{place:03d}",
                drift=0.3 * place,
                used_lora=place > 0,
                backbone="dinov3_vith16plus",
                extras=True,
                seed=place,
            )
            written.append(write_payload(path, payload))
            reading = open_payload(path, keep=False)
            if indexed:
                save_index(path, reading, to_json(summarize(reading)))
            continue
        original = written[place % DIFFERENT]
        path.parent.mkdir(parents=True)
        os.link(original, path)
        about = json.loads(original.with_suffix(".json").read_text())
        if indexed:
            os.link(index_path(original), index_path(path))
        path.with_suffix(".json").write_text(json.dumps(about | {"version": f"v{place:03d}"}))
    return written[0].stat().st_size


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Return seconds: to find the payloads, to read some, and of Home once all are known."""
    start = time.perf_counter()
    refs = discover_payloads()
    found = time.perf_counter() - start
    files = [ref.fingerprint for ref in sorted(refs, key=lambda ref: ref.path)]
    baseline, some = files[0], files[: options.read]
    start = time.perf_counter()
    start_missing(some, baseline)
    while is_running():
        time.sleep(0.05)
    read = time.perf_counter() - start
    of_workers = os.times()
    used = of_workers.children_user + of_workers.children_system
    assert not find_summaries(some, baseline).list_missing(some, baseline)
    hand_on(files, baseline)
    PagesManager.uses_pages_directory = False
    app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=120)
    start = time.perf_counter()
    app.run()
    first = time.perf_counter() - start
    assert not app.exception
    assert len(app.dataframe[0].value) == options.payloads
    reruns = []
    for _ in range(options.reruns):
        start = time.perf_counter()
        app.run()
        reruns.append(time.perf_counter() - start)
    return {
        "payloads": options.payloads,
        "find_s": round(found, 3),
        "read": options.read,
        "read_s": round(read, 1),
        "read_processor_s": round(used, 1),
        "indexed": not options.no_index,
        "warm_first_run_s": round(first, 2),
        "rerun_median_s": round(statistics.median(reruns), 3),
        "processors": os.cpu_count(),
        "load": os.getloadavg()[0],
    }


def hand_on(files: list[Fingerprint], baseline: Fingerprint) -> None:
    """Store for every file what is known of the payload that it is a link to."""
    known = find_summaries(files[:DIFFERENT], baseline)
    entries: dict[str, tuple[str | None, str | None]] = {}
    for place, file in enumerate(files):
        original = files[place % DIFFERENT]
        summary = known.payloads[original].summary
        drift = known.drifts[files[place % DIFFERENT or 1]].summary
        assert summary is not None
        assert drift is not None
        entries[payload_key(file)] = to_json(summary), None
        if file != baseline:
            entries[pair_key(file, baseline)] = to_json(drift), None
    save_entries(entries)


if __name__ == "__main__":
    main()
