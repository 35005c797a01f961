"""Measure every page at the size of ViT-7B: ``python -m benchmarks.pages [--out FILE]``.

Goals on two cores, two versions with extras loaded: a warm rerun at most 120 ms of the server's
time (p95), a page at most 1.5 MB to the browser, `streamlit run` to the first chart at most 9 s
through torch and 6 s from the cache of arrays, a warm page switch at most 1.5 s. A rerun is a
message over the websocket until the script has ended, from a session without a browser; where a
page has a slider of layers every rerun goes to another layer. Beside the wall time stands the
processor time of the server, which is what decides on a machine that others use too.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser

from benchmarks.pages.browser import launch, open_tab
from benchmarks.pages.project import make_project
from benchmarks.pages.server import Server, serve
from benchmarks.pages.session import open_session

VIEWS: dict[str, tuple[str, dict[str, str]]] = {
    "Home": ("", {"base": "oldest"}),  # a link with a version alone opens Overview
    "Overview": ("overview", {}),
    "Layers": ("layers", {}),
    "Layers, registers, panels": ("layers", {"storage": "on", "facets": "on"}),
    "Layers, largest activations": ("layers", {"view": "top"}),
    "Layers, token norms": ("layers", {"view": "norms"}),
    "Layers, min and max": ("layers", {"view": "range"}),
    "Layers, shared norm": ("layers", {"view": "shared_norm"}),
    "Layers, advice": ("layers", {"view": "advice"}),
    "Outliers": ("outliers", {}),
    "Outliers, robust score": ("outliers", {"score": "robust"}),
    "Channels": ("channels", {}),
    "Images": ("images", {}),
    "Versions": ("versions", {}),
    "Versions, three in a row": ("versions", {}),
    "Share": ("share", {}),
    "Runs": ("runs", {}),
}
"""What is measured: the page's path and its choices."""

PAGES = (
    "Home",
    "Overview",
    "Layers",
    "Outliers",
    "Channels",
    "Images",
    "Versions",
    "Share",
    "Runs",
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=40)
    parser.add_argument("--channels", type=int, default=4096)
    parser.add_argument("--reruns", type=int, default=30)
    parser.add_argument("--starts", type=int, default=3, help="cold starts of each kind")
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()

    with tempfile.TemporaryDirectory(prefix="pages-") as folder, launch() as browser:
        project, cache = Path(folder) / "project", Path(folder) / "cache"
        project.mkdir()
        keys = make_project(project, arguments.layers, arguments.channels, versions=3)
        result: dict[str, Any] = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "load before": os.getloadavg()[0],
            "settings": {name: value for name, value in vars(arguments).items() if name != "out"},
            "starts": measure_starts(browser, project, keys, Path(folder), arguments.starts),
        }
        with serve(project, cache) as server:
            result["pages"] = {
                name: measure_view(server, browser, name, keys, arguments.reruns) for name in VIEWS
            }
            result["switches"] = measure_switches(server, browser, keys)
        result["load after"] = os.getloadavg()[0]
    show(result)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=2) + "\n")


def measure_view(
    server: Server, browser: Browser, name: str, keys: list[str], reruns: int
) -> dict[str, float]:
    """Return milliseconds of warm reruns, and the bytes that a browser is sent for the page."""
    page, choices = VIEWS[name]
    query = _pick(keys[: 3 if name == "Versions, three in a row" else 2]) | choices
    with open_session(server, page, **query) as session:
        for _ in range(3):
            session.rerun()
        moves = [*session.layers, *session.layers]
        runs = [session.rerun(moves[i] if moves else None) for i in range(reruns)]
    walls, cpus, _ = (sorted(values) for values in zip(*runs, strict=True))
    with open_tab(browser) as tab:
        address = "&".join(f"{key}={value}" for key, value in query.items())
        tab.page.goto(f"http://{server.address}/{page}?{address}")
        tab.page.wait_for_selector("h1")
        tab.settle()
        tab.page.wait_for_timeout(500)
        received = tab.received
    last = min(len(walls) - 1, round(0.95 * len(walls)))
    found = {
        "median ms": 1000 * statistics.median(walls),
        "p95 ms": 1000 * walls[last],
        "processor median ms": 1000 * statistics.median(cpus),
        "processor p95 ms": 1000 * cpus[last],
        "MB": received / 1e6,
    }
    return {key: round(value, 3) for key, value in found.items()}


def measure_starts(
    browser: Browser, project: Path, keys: list[str], folder: Path, starts: int
) -> dict[str, list[float]]:
    """Return the seconds from the command to the first chart, through torch and from the cache.

    Beside them the processor seconds of the server, which leave out the browser's own.
    """
    kinds = ("torch", "cache")
    found: dict[str, list[float]] = {
        f"{kind}{what}": [] for kind in kinds for what in ("", ", processor")
    }
    address = "&".join(f"{key}={value}" for key, value in _pick(keys[:2]).items())
    for number in range(starts):
        for kind in kinds:
            # the second start of each pair finds the cache that the first has filled
            with (
                serve(project, folder / f"cache-{number}") as server,
                open_tab(browser) as tab,
            ):
                tab.open(f"http://{server.address}/?{address}")
                found[kind].append(round(time.perf_counter() - server.started, 2))
                found[f"{kind}, processor"].append(round(server.cpu_seconds(), 2))
                tab.settle()
    return found


def measure_switches(
    server: Server, browser: Browser, keys: list[str]
) -> dict[str, dict[str, list[float]]]:
    """Measure clicks in the navigation until the page is drawn, on pages seen before.

    Returns:
        By page the seconds, and how many of them were processor time of the server and work of
        the browser's one thread that draws.
    """
    parts = ("seconds", "server", "browser")
    found: dict[str, dict[str, list[float]]] = {
        title: {part: [] for part in parts} for title in PAGES
    }
    address = "&".join(f"{key}={value}" for key, value in _pick(keys[:2]).items())
    with open_tab(browser) as tab:
        tab.page.goto(f"http://{server.address}/runs?{address}")
        tab.settle()
        for turn in range(4):
            for title in PAGES:
                before = server.cpu_seconds()
                seconds, busy = tab.switch(title)
                measured = (seconds, server.cpu_seconds() - before, busy)
                for part, value in zip(parts, measured, strict=True):
                    if turn:
                        found[title][part].append(round(value, 3))
    return found


def show(result: dict[str, Any]) -> None:
    """Print the tables."""
    print(f"{'':30}{'p95 ms':>8}{'median':>8}{'cpu p95':>9}{'median':>8}{'MB':>7}")
    for name, row in result["pages"].items():
        print(
            f"{name:30}{row['p95 ms']:8.0f}{row['median ms']:8.0f}"
            f"{row['processor p95 ms']:9.0f}{row['processor median ms']:8.0f}{row['MB']:7.2f}"
        )
    for kind, seconds in result["starts"].items():
        print(f"first chart, {kind}: {seconds} s")
    for title, parts in result["switches"].items():
        told = ", ".join(f"{part} {values}" for part, values in parts.items())
        print(f"to {title}: {told}")


def _pick(keys: list[str]) -> dict[str, str]:
    return {"version": keys[0], "compare": ".".join(keys[1:])}


if __name__ == "__main__":
    main()
