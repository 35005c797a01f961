"""What a dashboard's server does for a job, in a process that can be killed.

``python -m tests.jobs.server PROJECT start|restart|resume [COMMAND ...]`` starts a job as the Runs
page does, prints its id and lives until its standard input ends.
"""

from __future__ import annotations

import sys
from pathlib import Path

from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    devices,
    list_jobs,
    restart_job,
    start_job,
)


def main(project: Path, verb: str, *command: str) -> None:
    devices._found = (devices.Device("cpu", "CPU"),)  # asking takes an import of torch
    chosen = command or (sys.executable, "-m", "analysis")
    if verb == "start":
        request = ExtractionRequest(
            project_dir=project, batch_size=1, num_workers=0, checkpoint_every=0.0
        )
        job = start_job(request, IfExists.REPLACE, command=chosen)
    else:
        job = restart_job(list_jobs([project])[0], resume=verb == "resume", command=chosen)
    print(job.id, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
