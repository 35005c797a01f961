"""One process that summarises payloads.

It has no network, and a file that takes it too long ends it; the server notes that, and starts
another (`runs.start_missing`).

Started as ``python -m analysis.jobs.summaries.worker FOLDER LOCK PLACE NUMBER``. LOCK is the
descriptor of the lock that says that the process lives; it ends with the process. Each of NUMBER
processes begins at another place of the list and leaves out what another has stored meanwhile.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import traceback
from functools import lru_cache
from pathlib import Path

from analysis.files.atomic import replace_text
from analysis.files.confinement import limit_processor_time
from analysis.files.plain_output import print_plainly
from analysis.jobs.limits import limit_data
from analysis.jobs.summaries.folder import REQUEST_FILE, at_hand_path, to_fingerprint
from analysis.jobs.summaries.make import (
    make_entries,
    make_probe,
    save_probe_problem,
    save_problem,
)
from analysis.jobs.summaries.store import find_summaries
from analysis.payload.fingerprint import Fingerprint
from analysis.payload.reading import Reading, open_payload

SUMMARY_CPU_S, PROBE_CPU_S = 300, 3600
"""Processor time for one payload; the largest take seconds, and probes of many vectors minutes."""


def run(folder: Path, place: int = 0, number: int = 1) -> None:
    """Summarise the payloads that a folder's request names, beginning at a share of the list.

    Then probe the vectors of a share of those that are to be probed.
    """
    asked = json.loads((folder / REQUEST_FILE).read_text())
    files = [to_fingerprint(file) for file in asked["files"]]
    baseline = None if asked["baseline"] is None else to_fingerprint(asked["baseline"])

    @lru_cache(maxsize=1)
    def read_baseline() -> Reading:
        return open_payload(Path(asked["baseline"][0]), keep=False)

    def read(file: Fingerprint) -> Reading:
        return read_baseline() if file == baseline else open_payload(Path(file[0]), keep=False)

    start, at_hand = len(files) * place // number, at_hand_path(folder, place)
    for file in [*files[start:], *files[:start]]:
        if not find_summaries([file], baseline).list_missing([file], baseline):
            continue
        replace_text(at_hand, json.dumps(file))
        limit_processor_time(SUMMARY_CPU_S)
        try:
            make_entries(file, baseline, read, many=True)
        except Exception as error:
            traceback.print_exc()
            save_problem(file, baseline, f"{type(error).__name__}: {error}")
        finally:
            at_hand.unlink(missing_ok=True)
    for file in map(to_fingerprint, asked.get("probes", [])[place::number]):
        if file in find_summaries([file], None).probes:
            continue
        replace_text(at_hand, json.dumps({"probe": file}))
        limit_processor_time(PROBE_CPU_S)
        try:
            make_probe(file, read)
        except Exception as error:
            traceback.print_exc()
            save_probe_problem(file, f"{type(error).__name__}: {error}")
        finally:
            at_hand.unlink(missing_ok=True)


if __name__ == "__main__":
    print_plainly()
    os.nice(10)
    limit_data()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    run(Path(sys.argv[1]), int(sys.argv[3]), int(sys.argv[4]))
