"""Twenty visitors for two minutes: ``python -m benchmarks.load [--out FILE]``, or ``make load``.

One real browser and 19 sessions over the websocket go through all pages of one server, with two
payloads of the size of ViT-7B, extras included. Each acts every five seconds, by turns opening the
next page and moving the slider of layers (or running the page again where it has none); an
extraction runs at the lowest priority all the while. Goals: no error, and at most 1.5 GB of memory
for the server, the same at the beginning of the last minute as at its end.

Visitors, browser, server and extraction share the machine, so waits include what the visitors
themselves take for reading what they are sent.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.pages.browser import Tab, launch, open_tab
from benchmarks.pages.project import make_project
from benchmarks.pages.server import ROOT, Server, serve
from benchmarks.pages.session import Session, open_session
from tests.factories.projects import make_project as make_source

PAGES = ("", "layers", "outliers", "channels", "images", "versions", "share", "runs")
TITLES = ("Overview", "Layers", "Outliers", "Channels", "Images", "Versions", "Share", "Runs")
INTERVAL_S = 5.0
MEMORY_GOAL_MB = 1500
SAMPLE_S = 1.0


@dataclass
class Record:
    """What the visitors have seen; every thread appends to its lists."""

    page_s: list[float] = field(default_factory=list)
    """Seconds from asking for a page to the end of its script."""
    rerun_s: list[float] = field(default_factory=list)
    """Seconds of a rerun on a page that is already there."""
    browser_s: list[float] = field(default_factory=list)
    """Seconds from a click in the navigation to the drawn page, in the real browser."""
    errors: list[str] = field(default_factory=list)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--sessions", type=int, default=19, help="beside the browser")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings = {name: value for name, value in vars(arguments).items() if name != "out"}

    with tempfile.TemporaryDirectory(prefix="load-") as folder, launch() as browser:
        project = Path(folder) / "project"
        project.mkdir()
        keys = make_project(project, arguments.layers, arguments.channels, versions=2)
        query = {"version": keys[0], "compare": keys[1]}
        with (
            extraction(Path(folder) / "source") as images,
            serve(project, Path(folder) / "cache") as server,
            open_tab(browser) as tab,
        ):
            result = {
                "machine": f"{os.cpu_count()} cores, {platform.machine()}",
                "load before": os.getloadavg()[0],
                "settings": settings,
                **measure(server, tab, query, arguments.sessions, arguments.seconds),
                "images extracted meanwhile": images(),
            }
    result["load after"] = os.getloadavg()[0]
    print(json.dumps(result, indent=2))
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")
    sys.exit(1 if result["errors"] else 0)


def measure(
    server: Server, tab: Tab, query: dict[str, str], sessions: int, seconds: float
) -> dict[str, Any]:
    """Let everybody in, then let them act for `seconds`; return what the server took."""
    record, begin, stop = Record(), threading.Barrier(sessions + 1), threading.Event()
    tab.page.on("pageerror", lambda error: record.errors.append(f"browser: {error}"))
    tab.page.goto(f"http://{server.address}/?version={query['version']}&compare={query['compare']}")
    tab.settle()
    visitors = [
        threading.Thread(target=_visit, args=(server, query, number, sessions, record, begin, stop))
        for number in range(sessions)
    ]
    for visitor in visitors:
        visitor.start()
    begin.wait(timeout=300)
    memory: list[float] = []
    sampler = threading.Thread(target=_sample_memory, args=(server.pid, memory, stop))
    sampler.start()
    start, cpu = time.perf_counter(), server.cpu_seconds()
    _browse(tab, record, seconds)
    wall, cpu = time.perf_counter() - start, server.cpu_seconds() - cpu
    stop.set()
    for thread in (*visitors, sampler):
        thread.join(timeout=150)
    minute = memory[-round(60 / SAMPLE_S) :]
    quarter = max(1, len(minute) // 4)
    first, last = statistics.mean(minute[:quarter]), statistics.mean(minute[-quarter:])
    return {
        "errors": record.errors,
        "seconds": round(wall, 1),
        "interactions": len(record.page_s) + len(record.rerun_s) + len(record.browser_s),
        "rerun ms": _describe(record.rerun_s),
        "page ms": _describe(record.page_s),
        "browser page ms": _describe(record.browser_s),
        "server processors": round(cpu / wall, 3),
        "server MB": {
            "at the beginning": round(memory[0]),
            "largest": round(max(memory)),
            "goal": MEMORY_GOAL_MB,
            "first quarter of the last minute": round(first),
            "last quarter of the last minute": round(last),
        },
    }


@contextmanager
def extraction(project: Path) -> Iterator[Any]:
    """Extract over and over at the lowest priority; yields a function that counts the images."""
    make_source(project, images=64, size=(256, 128), lora=False)
    command = ["nice", "-n", "19", sys.executable, "-m", "analysis", "--quiet", "--device=cpu"]
    progress, stop, done = project / "progress.json", threading.Event(), [0]
    running: list[subprocess.Popen[bytes]] = []

    def work() -> None:
        while not stop.is_set():
            flags = [f"--project-dir={project}", "--num-workers=0", f"--progress={progress}"]
            running[:] = [subprocess.Popen([*command, *flags], cwd=ROOT)]
            if running[0].wait() == 0:
                done[0] += 64
            elif not stop.is_set():
                raise RuntimeError(progress.read_text())

    thread = threading.Thread(target=work)
    thread.start()
    try:
        yield lambda: done[0] + (json.loads(progress.read_text())["done"] if running else 0)
    finally:
        stop.set()
        for process in running:
            process.terminate()
        thread.join(timeout=60)


def _visit(
    server: Server,
    query: dict[str, str],
    number: int,
    sessions: int,
    record: Record,
    begin: threading.Barrier,
    stop: threading.Event,
) -> None:
    try:
        with open_session(server, PAGES[number % len(PAGES)], **query) as session:
            begin.wait(timeout=300)
            stop.wait(INTERVAL_S * number / sessions)  # nobody waits for the others
            step = 0
            while not stop.is_set():
                started = time.perf_counter()
                _act(session, number, step, record)
                step += 1
                stop.wait(max(0.0, INTERVAL_S - (time.perf_counter() - started)))
    except Exception as error:
        record.errors.append(f"session {number}: {type(error).__name__}: {error}")
        begin.abort()


def _act(session: Session, number: int, step: int, record: Record) -> None:
    if step % 2 == 0:
        session.page = PAGES[(number + step // 2) % len(PAGES)]
        session.script_hash, session.layer_slider, session.layers = "", None, []
        record.page_s.append(session.rerun()[0])
        return
    layer = session.layers[(7 * step + number) % len(session.layers)] if session.layers else None
    record.rerun_s.append(session.rerun(layer)[0])


def _browse(tab: Tab, record: Record, seconds: float) -> None:
    end, turn = time.perf_counter() + seconds, 0
    while (started := time.perf_counter()) < end:
        turn += 1
        try:
            record.browser_s.append(tab.go(TITLES[turn % len(TITLES)]))
            if tab.page.locator("[data-testid=stException]").count():
                record.errors.append(f"browser: an exception on {TITLES[turn % len(TITLES)]}")
        except Exception as error:
            record.errors.append(f"browser: {type(error).__name__}: {error}")
        wait = min(INTERVAL_S - (time.perf_counter() - started), end - time.perf_counter())
        tab.page.wait_for_timeout(max(0.0, 1000 * wait))  # keeps reading what the page says


def _sample_memory(pid: int, memory: list[float], stop: threading.Event) -> None:
    """Append the resident memory of the process, MB, until told to stop."""
    while True:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        memory.append(pages * os.sysconf("SC_PAGE_SIZE") / 1e6)
        if stop.wait(SAMPLE_S):
            return


def _describe(seconds: Sequence[float]) -> dict[str, float]:
    ordered = sorted(1000 * value for value in seconds)
    if not ordered:
        return {"count": 0}
    at = min(len(ordered) - 1, round(0.95 * len(ordered)))
    return {
        "count": len(ordered),
        "median": round(statistics.median(ordered)),
        "p95": round(ordered[at]),
        "largest": round(ordered[-1]),
    }


if __name__ == "__main__":
    main()
