"""The photographs and the training table of the embedded default, in CSIRO's long format."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from PIL import Image

from demo.biomass import TARGETS, biomass
from demo.quadrats import COVERS, Quadrat, make_quadrat
from demo.seasons import SEASONS

SEED = 20
COUNT = 48
TAKE_TURNS = 8
"""Images after which the seasons start one later."""
QUALITY = 88
"""Of the JPEG files: 48 of them stay below 2.5 MB."""

COLUMNS: tuple[str, ...] = (
    "sample_id",
    "image_path",
    "Sampling_Date",
    "State",
    "Species",
    "Pre_GSHH_NDVI",
    "Height_Ave_cm",
    "target_name",
    "target",
)


def demo_quadrat(index: int) -> Quadrat:
    """Make the photograph of one image of the table; all four seasons take turns.

    If every fourth image were of the same season, groups of every eighth image would hold one
    season only; so each eight start one season later.
    """
    eight, place = divmod(index, TAKE_TURNS)
    start = TAKE_TURNS * eight
    return make_quadrat(SEED, start + (place + eight) % TAKE_TURNS, seasons=tuple(SEASONS))


def table_rows(index: int, quadrat: Quadrat) -> Iterator[dict[str, str]]:
    """Yield the rows of one image, one per target.

    The greenness index and the height are not measured: they follow from the cover shares.
    """
    image = f"quadrat_{index:03d}"
    season = SEASONS[quadrat.season]
    months = season.months
    month = months[index // len(SEASONS) % len(months)]
    share = dict(zip(COVERS, quadrat.shares.tolist(), strict=True))
    green = share["grass"] + share["clover"]
    common = {
        "image_path": f"images/{image}.jpg",
        "Sampling_Date": f"2025-{month:02d}-{1 + 7 * index % 28:02d}",
        "State": "Demo",
        "Species": "Ryegrass_Clover" if share["clover"] > 0.02 else "Ryegrass",
        "Pre_GSHH_NDVI": f"{0.15 + 0.7 * green:.2f}",
        "Height_Ave_cm": f"{1 + 36 * share['grass'] * sum(season.blade_length):.1f}",
    }
    for target, grams in zip(TARGETS, biomass(quadrat.shares).tolist(), strict=True):
        yield {
            "sample_id": f"{image}__{target}",
            **common,
            "target_name": target,
            "target": f"{grams:.4f}",
        }


def write_images(root: Path) -> None:
    """Write `images/*.jpg` and `train.csv` below the data folder ``root``, replacing both."""
    folder = root / "images"
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, str]] = []
    for index in range(COUNT):
        quadrat = demo_quadrat(index)
        path = folder / f"quadrat_{index:03d}.jpg"
        Image.fromarray(quadrat.pixels).save(path, quality=QUALITY, optimize=True)
        rows += table_rows(index, quadrat)
    # The table comes last: where it exists, the images do too.
    with (root / "train.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
