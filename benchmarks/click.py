"""From the click to the payload: ``python -m benchmarks.click --out results.json``.

Jobs of the dashboard on the project given (the demo's, by default), by turns with a process that
has been kept ready and knows what the open form shows, and without one. Nothing but the start of
the process differs.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import tempfile
import time
from pathlib import Path

from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    JobState,
    forecast_extraction,
    list_devices,
    list_jobs,
    standby,
    start_job,
)

FAR = 600.0
WAYS = ("form open", "started")

Phases = tuple[tuple[str, float], ...]


def _wait_until_ready() -> None:
    while standby._waiting is None:
        standby.prepare_standby()  # in vain as long as the process of the last job ends
        time.sleep(0.05)
    ready = Path(f"/proc/{standby._waiting[0].pid}/stat")
    used = -1
    while (now := int(ready.read_text().rpartition(")")[2].split()[11])) != used:
        used = now  # it imports as long as it uses the processor
        time.sleep(1.0)


def measure_click(
    project: Path, config: Path | None, images: int | None, way: str
) -> tuple[float, Phases]:
    """Return the seconds from the start of a job to its end, and those of its phases."""
    os.environ[standby.STANDBY_ENV] = "0" if way == "started" else "1"
    if way != "started":
        _wait_until_ready()
    request = ExtractionRequest(project_dir=project, config=config, max_images=images)
    forecast = forecast_extraction(request)  # the form shows it before there is anything to click
    if way == "form open":
        standby.prepare_standby(forecast.pinned.to_arguments())
        _wait_until_ready()
    began = time.perf_counter()
    job = start_job(forecast, IfExists.REPLACE)
    while time.perf_counter() - began < FAR:
        now = next(other for other in list_jobs([project]) if other.id == job.id)
        if not now.is_live:
            if now.state is not JobState.DONE:
                raise SystemExit(f"{now.state}: {now.error}\n{now.read_log()}")
            return time.perf_counter() - began, now.phases
        time.sleep(0.02)
    raise SystemExit(f"not done after {FAR:.0f} s")


def main() -> None:
    """Measure and write the seconds of every click, and the ratio of the medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--project-dir", type=Path, default=Path.cwd())
    parser.add_argument("--config", type=Path)
    parser.add_argument("--images", type=int, help="of the config's list; all by default")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as queue:
        os.environ["DASHBOARD_QUEUE"] = queue
        os.environ["DASHBOARD_ROOTS"] = str(options.project_dir.resolve())
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        phases: dict[str, Phases] = {}
        for _ in range(options.repeats):
            for name, times in seconds.items():
                asked = options.project_dir.resolve(), options.config, options.images
                spent, phases[name] = measure_click(*asked, name)
                times.append(spent)
    medians = {name: statistics.median(times) for name, times in seconds.items()}
    results = {
        "device": list_devices()[0].label,
        "cores": len(os.sched_getaffinity(0)),
        "seconds": seconds,
        "phases of the last": phases,
        "median": medians,
        "ratio": medians["form open"] / medians["started"],
    }
    text = json.dumps(results, indent=1)
    print(text)
    if options.out is not None:
        options.out.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
