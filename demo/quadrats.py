"""Procedural pasture photographs: quadrats seen from above, with known ground cover.

A quadrat is painted on a canvas of twice its size: soil, then litter, clover and grass from the
ground up. Every canvas pixel remembers what it shows, so that the cover shares are counted, not
assumed. The same (seed, index, size, season) gives the same picture: all randomness comes from one
`numpy.random.default_rng([seed, index])`.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from demo.camera import cast_shadows, photograph, smooth_field
from demo.plants import Stroke, draw_blades, draw_clover, draw_litter, mix_colours, scatter
from demo.seasons import SEASONS, Season

COVERS = ("soil", "dead", "grass", "clover")
"""Names of the cover codes 0..3."""

FRAME = 255
"""Code of pixels that the quadrat frame hides."""

OVERSAMPLING = 2

TUBE = ((0, 1, 178), (0.12, 0.9, 214), (0.28, 0.66, 236), (0.4, 0.52, 248))
"""Stripes of a round white tube: start and stop across it, grey level."""


@dataclass(frozen=True)
class Quadrat:
    """One photograph and what it shows."""

    pixels: NDArray[np.uint8]
    """[height, width, 3], sRGB."""
    cover: NDArray[np.uint8]
    """[height, width]: index into `COVERS`, or `FRAME`."""
    season: str

    @property
    def shares(self) -> NDArray[np.float64]:
        """Share of each of `COVERS` in what the frame does not hide; sums to 1."""
        counts = np.bincount(self.cover[self.cover != FRAME], minlength=len(COVERS))
        return counts / counts.sum()


def _paint_soil(
    rng: np.random.Generator, season: Season, size: tuple[int, int], light: float
) -> Image.Image:
    """Bare, crumbly ground with a few stones, as an RGBA canvas whose alpha is 0."""
    width, height = size
    relief = np.zeros((height, width), np.float32)
    for cell, weight in ((60, 0.7), (18, 0.6), (6, 0.7), (2, 0.9)):
        cells = (max(2, height // cell), max(2, width // cell))
        relief += weight * (smooth_field(rng, cells, size) - 0.5)
    lit = relief - np.roll(relief, (round(2 * np.sin(light)), round(2 * np.cos(light))), (0, 1))
    dark, bright = (np.array(colour, np.float32) for colour in season.soil)
    tone = 0.25 + 0.5 * rng.random(dtype=np.float32) + 0.5 * relief + 0.8 * lit
    ground = dark + (bright - dark) * tone[..., None]
    soil = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    canvas = soil.resize((width * OVERSAMPLING, height * OVERSAMPLING), Image.Resampling.BILINEAR)
    canvas = canvas.convert("RGBA")
    canvas.putalpha(0)
    draw = ImageDraw.Draw(canvas)
    for u, v, big, pale in rng.random((int(rng.random() * 60), 4)).tolist():
        x, y, r, g = u * canvas.width, v * canvas.height, 2 + 8 * big**3, 75 + 80 * pale
        for shift, tone in ((0, 0.75), (1, 1.0)):
            box = (x - r, y - 0.8 * r, x + r - shift, y + 0.8 * r - 1.5 * shift)
            fill = tuple(int(g * tone * tint) for tint in (1, 0.93, 0.84))
            draw.ellipse(box, fill=(*fill, 2))
    return canvas


def _grow(
    rng: np.random.Generator, season: Season, size: tuple[int, int], light: float
) -> list[Stroke]:
    """Every plant part of a quadrat, in painting order."""
    width, height = size
    area = width * height

    def population(wanted: float, one: float) -> int:
        """How many overlapping things of area ``one`` hide the share ``wanted`` (Boolean model)."""
        return int(-np.log(1 - min(wanted, 0.97)) * area / one) + 1

    def place(n: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        x, y = scatter(rng, smooth_field(rng, (3, 6), (48, 24)).astype(np.float64), n)
        return x * width, y * height

    def draw(bounds: tuple[float, float]) -> float:
        return bounds[0] + (bounds[1] - bounds[0]) * rng.random()

    dead, clover, grass = (
        draw(bounds) for bounds in (season.dead_cover, season.clover_cover, season.grass_cover)
    )
    strokes: list[Stroke] = []

    for part, straw in ((0.45, (0.03, 0.10)), (0.55, (0.10, 0.36))):
        thickness = (0.007 * height, 0.019 * height)
        one = 0.5 * sum(straw) * height * 0.0098 * height
        x, y = place(population(part * dead, one))
        span = (straw[0] * height, straw[1] * height)
        strokes += draw_litter(rng, x, y, span, thickness, mix_colours(rng, season.dead, len(x)))

    radius = (0.030 * height, 0.056 * height)
    x, y = place(population(clover, 3 * 0.70 * (0.042 * height) ** 2))
    colours = mix_colours(rng, season.clover, len(x))
    strokes += draw_clover(rng, x, y, radius, colours, light, season.flowers)

    reach = draw((0.8, 1.2))
    length = (season.blade_length[0] * reach * height, season.blade_length[1] * reach * height)
    breadth = (0.009 * height, 0.023 * height)
    one = 0.5 * (length[0] + length[1]) * 0.0120 * height
    x, y = place(population(grass, one))
    tufted = rng.random(len(x)) < 0.45
    tufts = max(1, len(x) // 14)
    member = (rng.random(len(x)) * tufts).astype(np.int64)
    jitter = 0.016 * height
    x = np.where(tufted, x[member] + jitter * (rng.random(len(x)) - 0.5), x)
    y = np.where(tufted, y[member] + jitter * (rng.random(len(y)) - 0.5), y)
    colours = mix_colours(rng, season.grass, len(x))
    strokes += draw_blades(rng, x, y, length, breadth, colours, light)

    strokes.sort(key=lambda stroke: stroke.order)
    return strokes


def _lay_frame(rng: np.random.Generator, canvas: Image.Image) -> Image.Image:
    """White tubes along two to four edges; returns the mask of what they hide."""
    width, height = canvas.size
    mask = Image.new("L", canvas.size)
    pen, stencil = ImageDraw.Draw(canvas), ImageDraw.Draw(mask)
    tube = (0.035 + 0.02 * rng.random()) * height
    sides = rng.random(4) < 0.75
    slant = (rng.random((4, 2)) - 0.5) * 0.05 * height + 0.02 * height
    for side in range(4):
        if not sides[side]:
            continue
        for start, stop, tone in TUBE:
            near, far = slant[side] + start * tube, slant[side] + stop * tube
            line = ((0, near[0]), (1, near[1]), (1, far[1]), (0, far[0]))
            if side < 2:
                flip = height if side else 0
                outline = [(u * width, abs(flip - v)) for u, v in line]
            else:
                flip = width if side == 3 else 0
                outline = [(abs(flip - v), u * height) for u, v in line]
            pen.polygon(outline, fill=(tone, tone, int(tone * 0.97), 63))
            if start == 0:
                stencil.polygon(outline, fill=255)
    return mask


def _alpha(canvas: Image.Image) -> NDArray[np.uint8]:
    return np.asarray(canvas.getchannel("A"), np.uint8)


def make_quadrat(
    seed: int,
    index: int,
    *,
    size: tuple[int, int] = (480, 240),
    seasons: tuple[str, ...] = ("spring", "summer", "autumn"),
) -> Quadrat:
    """Paint and photograph one quadrat.

    Args:
        seed: Names the collection.
        index: Names the picture within it; the season goes round with it.
        size: Width and height in pixels; the framing, not the number of plants, scales with it.
        seasons: Keys of `demo.seasons.SEASONS` to go round.
    """
    rng = np.random.default_rng([seed, index])
    season = SEASONS[seasons[index % len(seasons)]]
    light = float(2 * np.pi * rng.random())
    canvas = _paint_soil(rng, season, size, light)
    paint = ImageDraw.Draw(canvas).polygon
    for stroke in _grow(rng, season, canvas.size, light):
        paint(stroke.outline, fill=stroke.fill)
    every = slice(None, None, OVERSAMPLING)
    cover = _alpha(canvas)[every, every] // np.uint8(64)
    if rng.random() < 0.3:
        mask = np.asarray(_lay_frame(rng, canvas))[every, every]
        cover = np.where(mask > 0, np.uint8(FRAME), cover)
    heights = _alpha(canvas)[every, every] % np.uint8(64)
    sun = season.sun[0] + (season.sun[1] - season.sun[0]) * rng.random()
    scene = np.asarray(canvas.convert("RGB").reduce(OVERSAMPLING)).astype(np.float32)
    scene *= cast_shadows(heights, light, sun)[..., None]
    return Quadrat(photograph(rng, scene, season), cover, season.name)
