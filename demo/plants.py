"""Outlines of blades, clover leaves and litter, many at once, in painting order.

A `Stroke` is one flat polygon: its outline in canvas pixels, its colour, what it is and how high
above the ground it lies. All coordinates are computed with numpy for a whole population; only the
polygons themselves are filled one by one.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from demo.seasons import Colour, Range

Array = NDArray[np.float64]

SOIL, DEAD, GRASS, CLOVER = 0, 1, 2, 3
"""Cover codes: the order of every array of shares."""


class Stroke(NamedTuple):
    """One filled polygon."""

    order: float
    """Painted from low to high; the parts of one plant share it."""
    outline: list[float]
    """x0, y0, x1, y1, ... in canvas pixels."""
    fill: tuple[int, int, int, int]
    """Red, green, blue, and ``cover * 64 + height`` with a height of 0..63."""


def _between(rng: np.random.Generator, bounds: Range, n: int) -> Array:
    return bounds[0] + (bounds[1] - bounds[0]) * rng.random(n)


def mix_colours(rng: np.random.Generator, ends: tuple[Colour, Colour], n: int) -> Array:
    """Draw ``n`` colours ``[n, 3]`` between two ends, each a little off in hue and brightness."""
    share = rng.random((n, 1))
    base = (1 - share) * np.array(ends[0]) + share * np.array(ends[1])
    return base * (0.86 + 0.28 * rng.random((n, 1))) * (0.96 + 0.08 * rng.random((n, 3)))


def scatter(rng: np.random.Generator, density: Array, n: int) -> tuple[Array, Array]:
    """Place ``n`` points where a density field ``[rows, columns]`` in 0..1 is high.

    Returns:
        x and y as shares of width and height, a little beyond 0..1 so that plants cross the edge.
    """
    x, y = _between(rng, (-0.06, 1.06), 3 * n), _between(rng, (-0.1, 1.1), 3 * n)
    rows, columns = density.shape
    row = np.clip((y * rows).astype(np.int64), 0, rows - 1)
    column = np.clip((x * columns).astype(np.int64), 0, columns - 1)
    chosen = np.argsort(rng.random(3 * n) - 1.2 * density[row, column], kind="stable")[:n]
    return x[chosen], y[chosen]


def _strokes(
    outlines: Array, colours: Array, cover: int, heights: Array, order: Array
) -> list[Stroke]:
    """Zip arrays ``[n, points, 2]``, ``[n, 3]``, ``[n]``, ``[n]`` into strokes."""
    flat = outlines.reshape(len(outlines), 2 * outlines.shape[1]).round(2).tolist()
    codes = cover * 64 + np.clip(heights, 0, 63)
    fills = np.column_stack([np.clip(colours, 0, 255), codes]).astype(np.int64).tolist()
    return [
        Stroke(z, outline, (r, g, b, a))
        for z, outline, (r, g, b, a) in zip(order.tolist(), flat, fills, strict=True)
    ]


def _ribbons(
    x: Array, y: Array, angle: Array, length: Array, width: Array, bend: Array, taper: Array
) -> tuple[Array, Array, Array]:
    """Left edge, midrib and right edge ``[n, knots, 2]`` of tapering, bending ribbons."""
    knots = len(taper)
    t = np.linspace(0, 1, knots)
    heading = angle[:, None] + bend[:, None] * t
    step = length[:, None] / (knots - 1)
    dx, dy = np.cos(heading) * step, np.sin(heading) * step
    zero = np.zeros((len(x), 1))
    middle = np.stack(
        [
            x[:, None] + np.concatenate([zero, np.cumsum(dx[:, 1:], axis=1)], axis=1),
            y[:, None] + np.concatenate([zero, np.cumsum(dy[:, 1:], axis=1)], axis=1),
        ],
        axis=-1,
    )
    across = np.stack([-np.sin(heading), np.cos(heading)], axis=-1)
    across *= (width[:, None] * taper / 2)[..., None]
    return middle + across, middle, middle - across


def draw_blades(
    rng: np.random.Generator,
    x: Array,
    y: Array,
    length: Range,
    width: Range,
    colours: Array,
    light: float,
) -> list[Stroke]:
    """Grass blades: three bending segments, folded along the midrib, lighter towards the tip.

    Args:
        rng: Source of all randomness.
        x: Bases in canvas pixels, ``[n]``.
        y: Same.
        length: Range in canvas pixels.
        width: Range in canvas pixels.
        colours: ``[n, 3]``.
        light: Direction that the light comes from, radians.
    """
    n = len(x)
    lengths = _between(rng, length, n)
    angle = _between(rng, (0, 2 * np.pi), n)
    bend = _between(rng, (-1.1, 1.1), n)
    taper = np.array([0.65, 1.0, 0.8, 0.04])
    left, middle, right = _ribbons(x, y, angle, lengths, _between(rng, width, n), bend, taper)
    rise = _between(rng, (14, 60), n)
    order = rise + 12 * rng.random(n)
    facing = 0.13 * np.sin(angle + bend / 2 - light)
    strokes: list[Stroke] = []
    for k, (shade, up) in enumerate(((0.74, 0.35), (0.95, 0.75), (1.1, 1.0))):
        depth = (shade * (0.72 + 0.4 * rise / 60))[:, None]
        halves = ((left, right, 0.0),) if k == 0 else ((left, middle, 1.0), (right, middle, -1.0))
        for edge, other, side in halves:
            quad = np.stack([other[:, k], edge[:, k], edge[:, k + 1], other[:, k + 1]], axis=1)
            tint = colours * depth * (1 + side * facing + side * 0.05)[:, None]
            strokes += _strokes(quad, tint, GRASS, rise * up, order)
    return strokes


def draw_litter(
    rng: np.random.Generator,
    x: Array,
    y: Array,
    length: Range,
    width: Range,
    colours: Array,
) -> list[Stroke]:
    """Dead matter: flat straw lying in every direction, a few stalks standing above the sward."""
    n = len(x)
    angle = _between(rng, (0, 2 * np.pi), n)
    bend = _between(rng, (-0.5, 0.5), n) * (rng.random(n) < 0.6)
    left, middle, right = _ribbons(
        x,
        y,
        angle,
        _between(rng, length, n),
        _between(rng, width, n),
        bend,
        np.array([0.7, 1.0, 0.35]),
    )
    standing = rng.random(n) < 0.12
    height = np.where(standing, 30 + 28 * rng.random(n), 3 + 14 * rng.random(n))
    order = height + 8 * rng.random(n)
    strokes: list[Stroke] = []
    for edge, shade in ((left, 1.04), (right, 0.84)):
        outline = np.concatenate([middle, edge[:, ::-1]], axis=1)
        tint = colours * (shade * (0.78 + 0.26 * height / 60))[:, None]
        strokes += _strokes(outline, tint, DEAD, height, order)
    return strokes


def _leaflet(points: int) -> tuple[Array, Array]:
    """A heart-shaped leaflet along +x with its tip at the origin, and the pale V on it."""
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    notch = np.exp(-((t / 0.45) ** 2)) + np.exp(-(((t - 2 * np.pi) / 0.45) ** 2))
    radius = 0.5 * (1 - 0.16 * notch)
    outline = np.stack([0.52 + radius * np.cos(t), 0.92 * radius * np.sin(t)], axis=-1)
    mark = np.array(
        [[0.40, -0.30], [0.66, 0.0], [0.40, 0.30], [0.34, 0.24], [0.52, 0.0], [0.34, -0.24]]
    )
    return outline, mark


def draw_clover(
    rng: np.random.Generator,
    x: Array,
    y: Array,
    radius: Range,
    colours: Array,
    light: float,
    flowers: float,
) -> list[Stroke]:
    """Clover: three leaflets with a pale V on a thin stalk; now and then a white flower head."""
    n = len(x)
    size = _between(rng, radius, n)
    turn = _between(rng, (0, 2 * np.pi), n)
    height = _between(rng, (16, 52), n)
    order = height + 10 * rng.random(n)
    depth = (0.72 + 0.36 * height / 52)[:, None]
    outline, mark = _leaflet(12)
    strokes: list[Stroke] = []

    away = _between(rng, (0, 2 * np.pi), n)
    left, _, right = _ribbons(
        x, y, away, size * 1.6, size * 0.13, 0.6 * (rng.random(n) - 0.5), np.array([1.0, 1.0, 0.7])
    )
    stalk = np.concatenate([left, right[:, ::-1]], axis=1)
    strokes += _strokes(stalk, colours * depth * 0.86, CLOVER, height * 0.5, order - 4)

    for k in range(3):
        heading = turn + k * 2 * np.pi / 3 + 0.3 * (rng.random(n) - 0.5)
        tilt = 0.82 + 0.18 * rng.random(n)
        cos, sin = np.cos(heading) * size * tilt, np.sin(heading) * size * tilt
        shade = (1 + 0.12 * np.cos(heading - light))[:, None] * depth
        for shape, tint, lift in (
            (outline, colours * shade, 0.0),
            (mark, (0.62 * colours + 0.38 * np.array([168.0, 190.0, 158.0])) * shade, 0.0),
        ):
            px = x[:, None] + shape[:, 0] * cos[:, None] - shape[:, 1] * sin[:, None]
            py = y[:, None] + shape[:, 0] * sin[:, None] + shape[:, 1] * cos[:, None]
            strokes += _strokes(np.stack([px, py], axis=-1), tint, CLOVER, height + lift, order)

    blooming = np.flatnonzero(rng.random(n) < flowers)
    t = np.linspace(0, 2 * np.pi, 9, endpoint=False)
    for ring, tone in ((0.62, 196.0), (0.46, 224.0), (0.26, 238.0)):
        wobble = 0.8 + 0.4 * rng.random((len(blooming), 9))
        reach = size[blooming, None] * ring * wobble
        bloom = np.stack(
            [x[blooming, None] + reach * np.cos(t), y[blooming, None] + reach * np.sin(t)], axis=-1
        )
        white = np.tile([tone, tone, tone * 0.94], (len(blooming), 1))
        strokes += _strokes(
            bloom, white, CLOVER, np.full(len(blooming), 60.0), order[blooming] + 12
        )
    return strokes
