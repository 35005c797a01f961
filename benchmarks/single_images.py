"""Probes and similarity at H+ size: ``python -m benchmarks.single_images [--out FILE]``.

Made-up vectors of 357 images, 32 layers, 1280 channels and two versions: the first curve of the
Targets page, all of its curves, and what each view of the Similarity page computes. Seconds in one
process, without Streamlit, with as many threads as the machine has cores; reading the files counts.
Goals: the first curve in 2 s, everything of Targets in 15 s. scikit-learn is imported ahead, as the
server does while people look at their first page. Processor seconds of all threads stand
beside them, since other work on the machine makes the first longer and not these.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from analysis.payload.features import STORED, features_path
from analysis.payload.features import read_features as read
from analysis.payload.image_vectors import ImageVectors, write_features
from analysis.payload.table import build_table
from analysis.read.worth.grams import LEFT_OUT
from analysis.read.worth.layers import (
    measure_planes,
    measure_spectra,
    rank_by_isolation,
    rank_by_movement,
)
from analysis.read.worth.probe import probe
from analysis.read.worth.problem import load_splitters
from analysis.read.worth.similarity import similarity
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, TokenRole
from tests.factories.payloads import make_payload, write_payload

WHERE = Representation.PRE, TokenRole.PATCH
GOALS = {"targets, first curve": 2.0, "targets, all curves": 15.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=357)
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--channels", type=int, default=1280)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    settings = {name: value for name, value in vars(arguments).items() if name != "out"}
    with tempfile.TemporaryDirectory(prefix="single-images-") as folder:
        paths = [Path(folder) / name / "feature_stats" / "stats.pt" for name in ("a", "b")]
        for seed, path in enumerate(paths):
            _write(path, seed=seed, **settings)
        result: dict[str, object] = {
            "machine": f"{os.cpu_count()} cores, {platform.machine()}",
            "load before": os.getloadavg()[0],
            "settings": settings,
            "file MB": round(features_path(paths[0]).stat().st_size / 1e6, 1),
            "goals s": GOALS,
        }
        measured = _measure(*paths)
        result["seconds"] = {name: round(wall, 2) for name, (wall, _) in measured.items()}
        result["processor seconds"] = {name: round(cpu, 2) for name, (_, cpu) in measured.items()}
    text = json.dumps(result, indent=2) + "\n"
    if arguments.out:
        arguments.out.write_text(text, encoding="utf-8")
    print(text, end="")


def _measure(first: Path, second: Path) -> dict[str, NDArray[np.float64]]:
    tables = read(first).table, read(second).table

    def probe_kinds(path: Path, kinds: list[tuple[Representation, TokenRole]]) -> None:
        features = read(path)
        for kind in kinds:
            probe(features, "Mass", cells=[Cell(n, *kind) for n in tables[0].layers.tolist()])

    load_splitters()
    found: dict[str, NDArray[np.float64]] = {}
    kinds = list(product(REPRESENTATIONS, ROLES))
    found["targets, first curve"] = _time(lambda: probe_kinds(first, [WHERE]))
    found["targets, second version"] = _time(lambda: probe_kinds(second, [WHERE]))
    found["targets, all curves"] = (
        _time(lambda: probe_kinds(first, [kind for kind in kinds if kind != WHERE]))
        + found["targets, first curve"]
        + found["targets, second version"]
    )
    a, b = read(first, tables[0]), read(second, tables[1])
    kind = {"representation": WHERE[0], "role": WHERE[1]}
    cell = Cell(int(tables[0].layers[-1]), *WHERE)
    for name, run in {
        "layers against layers": lambda: similarity(a, b, **kind),
        "the same without the largest channels": lambda: similarity(
            a, b, **kind, left_out=LEFT_OUT
        ),
        "map of the images, all layers": lambda: measure_planes(a, *WHERE),
        "variance spectra, all layers": lambda: measure_spectra(a, *WHERE),
        "images that moved, one layer": lambda: rank_by_movement(b, a, cell),
        "images apart, one layer": lambda: rank_by_isolation(a, cell),
    }.items():
        found[name] = _time(run)
    return found


def _time(run: Callable[[], object]) -> NDArray[np.float64]:
    """Return the seconds that pass, and those of all processors."""
    start = np.array([time.perf_counter(), time.process_time()])
    run()
    return np.array([time.perf_counter(), time.process_time()]) - start


def _write(path: Path, *, images: int, layers: int, channels: int, seed: int) -> None:
    payload = make_payload(layers=layers, channels=channels, version=path.parts[-3])
    write_payload(path, payload)
    table, rng = build_table(payload), np.random.default_rng(0)
    noise = np.random.default_rng([1, seed])
    common = rng.standard_normal((images, channels)).astype(np.float32)
    values = np.empty((images, layers, len(STORED), channels), np.float32)
    for layer in range(layers):
        for place, (role, representation) in enumerate(STORED):
            mean, std, _ = table[Cell(layer, representation, role)]
            own = noise.standard_normal((images, channels), np.float32)
            values[:, layer, place] = mean + std * (common + own)
    ones = np.ones(channels, np.float32)
    vectors = ImageVectors(
        np.arange(images),
        values,
        [f"{n}.jpg" for n in range(images)],
        {"Mass": common[:, :8].sum(axis=1).tolist()},
        norm={"gamma": ones, "beta": 0 * ones},
    )
    write_features(vectors, table, features_path(path))


if __name__ == "__main__":
    main()
