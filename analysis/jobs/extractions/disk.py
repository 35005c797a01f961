"""How much disk payloads, checkpoints and jobs take, and where the checkpoints are."""

from __future__ import annotations

import contextlib
import glob
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from analysis.jobs.extractions.job import Job, JobState


@dataclass(frozen=True)
class DiskUse:
    """Bytes on disk, by what they are for."""

    payloads: int
    """Payloads, and the replaced ones that are kept as `.bak`."""
    checkpoints: int
    """What interrupted and running extractions have counted so far."""
    jobs: int
    """Folders of jobs: log, progress, preview."""


def list_checkpoints(output: Path) -> list[Path]:
    """Return the checkpoints of the extraction that writes `output`, one per rank."""
    return sorted(output.parent.glob(f"{glob.escape(output.stem)}.rank*of*.checkpoint"))


def can_resume(job: Job) -> bool:
    """Return whether a job that did not come to its end has left what it had counted."""
    return (
        job.state in (JobState.FAILED, JobState.CANCELLED)
        and (job.replaces or not job.output.exists())
        and bool(list_checkpoints(job.output))
    )


def measure_disk(payloads: Iterable[Path], jobs: Iterable[Job]) -> DiskUse:
    """Return what the given payloads, and the given jobs with their checkpoints, take on disk."""
    payloads, jobs = set(payloads), list(jobs)
    folders = {path.parent for path in payloads} | {job.output.parent for job in jobs}
    kept = {path for folder in folders for path in folder.glob("*.pt.bak")}
    checkpoints = {path for folder in folders for path in folder.glob("*.checkpoint")}
    files = (path for job in jobs for path in job.folder.rglob("*"))
    return DiskUse(_sum(payloads | kept), _sum(checkpoints), _sum(files))


def _sum(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        with contextlib.suppress(OSError):  # gone since it was listed
            total += path.lstat().st_size
    return total
