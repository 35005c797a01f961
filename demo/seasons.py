"""How a pasture looks in each season: colours, what covers the ground, the light.

Colours are 8-bit sRGB before light and camera; cover ranges are shares of the photograph.
"""

from __future__ import annotations

from dataclasses import dataclass

Colour = tuple[float, float, float]
Range = tuple[float, float]


@dataclass(frozen=True)
class Season:
    """What a season does to a sward and to the light that falls on it."""

    name: str
    months: tuple[int, ...]
    """Months of a temperate southern pasture, 1..12."""
    grass: tuple[Colour, Colour]
    """The two ends of the range that the colour of a green blade is drawn from."""
    clover: tuple[Colour, Colour]
    dead: tuple[Colour, Colour]
    soil: tuple[Colour, Colour]
    grass_cover: Range
    clover_cover: Range
    dead_cover: Range
    blade_length: Range
    """Length of a blade as a share of the photograph's height."""
    flowers: float
    """Flower heads per clover leaf."""
    light: Colour
    """Gain of red, green and blue."""
    exposure: Range
    sun: Range
    """How dark a cast shadow is, 0..1: low under an overcast sky."""


SPRING = Season(
    name="spring",
    months=(9, 10, 11),
    grass=((74, 118, 40), (128, 162, 66)),
    clover=((66, 112, 44), (106, 150, 64)),
    dead=((176, 158, 112), (206, 190, 148)),
    soil=((70, 54, 42), (98, 78, 60)),
    grass_cover=(0.35, 0.93),
    clover_cover=(0.02, 0.75),
    dead_cover=(0.05, 0.55),
    blade_length=(0.16, 0.50),
    flowers=0.05,
    light=(1.0, 1.0, 0.97),
    exposure=(0.92, 1.14),
    sun=(0.15, 0.50),
)

SUMMER = Season(
    name="summer",
    months=(12, 1, 2),
    grass=((98, 118, 46), (150, 158, 76)),
    clover=((76, 110, 44), (116, 144, 66)),
    dead=((188, 164, 108), (224, 204, 152)),
    soil=((112, 88, 64), (148, 120, 90)),
    grass_cover=(0.20, 0.80),
    clover_cover=(0.0, 0.55),
    dead_cover=(0.30, 0.85),
    blade_length=(0.18, 0.55),
    flowers=0.02,
    light=(1.04, 1.0, 0.92),
    exposure=(1.0, 1.2),
    sun=(0.35, 0.62),
)

AUTUMN = Season(
    name="autumn",
    months=(3, 4, 5),
    grass=((94, 104, 48), (138, 138, 70)),
    clover=((72, 96, 42), (108, 124, 56)),
    dead=((140, 108, 70), (194, 160, 108)),
    soil=((84, 64, 48), (116, 90, 66)),
    grass_cover=(0.15, 0.75),
    clover_cover=(0.0, 0.50),
    dead_cover=(0.35, 0.92),
    blade_length=(0.12, 0.40),
    flowers=0.0,
    light=(1.07, 0.98, 0.85),
    exposure=(0.86, 1.08),
    sun=(0.30, 0.60),
)

WINTER = Season(
    name="winter",
    months=(6, 7, 8),
    grass=((66, 100, 42), (108, 136, 62)),
    clover=((56, 92, 44), (86, 120, 60)),
    dead=((124, 110, 88), (164, 150, 124)),
    soil=((48, 40, 35), (72, 60, 50)),
    grass_cover=(0.25, 0.85),
    clover_cover=(0.0, 0.60),
    dead_cover=(0.15, 0.65),
    blade_length=(0.10, 0.30),
    flowers=0.0,
    light=(0.92, 0.98, 1.08),
    exposure=(0.85, 1.1),
    sun=(0.0, 0.15),
)

SEASONS = {season.name: season for season in (SPRING, SUMMER, AUTUMN, WINTER)}
