"""Laws of the procedural photographs."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from demo.biomass import GRAMS, TARGETS, biomass
from demo.painting import paint_many
from demo.quadrats import COVERS, FRAME, Quadrat, make_quadrat
from demo.seasons import SEASONS


@pytest.fixture(scope="module")
def quadrats() -> list[Quadrat]:
    return [make_quadrat(3, index, seasons=tuple(SEASONS)) for index in range(12)]


def test_the_same_seed_and_index_paint_the_same_picture(quadrats: list[Quadrat]) -> None:
    again = make_quadrat(3, 5, seasons=tuple(SEASONS))
    np.testing.assert_array_equal(again.pixels, quadrats[5].pixels)
    np.testing.assert_array_equal(again.cover, quadrats[5].cover)


def test_another_seed_or_index_paints_another_picture(quadrats: list[Quadrat]) -> None:
    here = quadrats[5].pixels
    for other in (make_quadrat(4, 5, seasons=tuple(SEASONS)), quadrats[9]):
        assert other.season == quadrats[5].season
        assert np.abs(other.pixels.astype(int) - here).mean() > 10


@pytest.mark.parametrize("size", [(480, 240), (160, 96)])
def test_pixels_and_cover_have_the_size_asked_for(size: tuple[int, int]) -> None:
    quadrat = make_quadrat(0, 0, size=size)
    assert quadrat.pixels.shape == (size[1], size[0], 3)
    assert quadrat.cover.shape == (size[1], size[0])
    assert quadrat.pixels.dtype == quadrat.cover.dtype == np.uint8


def test_shares_are_counted_from_the_cover_without_the_frame(quadrats: list[Quadrat]) -> None:
    framed = [quadrat for quadrat in quadrats if (quadrat.cover == FRAME).any()]
    assert 0 < len(framed) < len(quadrats)
    for quadrat in quadrats:
        seen = quadrat.cover[quadrat.cover != FRAME]
        expected = [(seen == code).mean() for code in range(len(COVERS))]
        np.testing.assert_allclose(quadrat.shares, expected)
        assert quadrat.shares.sum() == pytest.approx(1)


def test_the_cover_lines_up_with_the_colours(quadrats: list[Quadrat]) -> None:
    # A label map shifted or mirrored against the picture would lose this contrast.
    def greenness(quadrat: Quadrat, codes: tuple[int, ...]) -> float:
        red, green, _ = np.moveaxis(quadrat.pixels.astype(float), -1, 0)
        return float((green - red)[np.isin(quadrat.cover, codes)].mean())

    for quadrat in quadrats:
        assert greenness(quadrat, (2, 3)) > greenness(quadrat, (0, 1)) + 10


def test_no_picture_is_black_or_burnt_out(quadrats: list[Quadrat]) -> None:
    for quadrat in quadrats:
        assert 40 < quadrat.pixels.mean() < 190


def test_biomass_follows_each_share_alone() -> None:
    bare = biomass([1.0, 0.0, 0.0, 0.0])
    np.testing.assert_array_equal(bare, 0)
    for cover, target in (("clover", 0), ("dead", 1), ("grass", 2)):
        shares = np.zeros(4)
        shares[COVERS.index(cover)] = 1 - np.exp(-1)
        expected = np.zeros(3)
        expected[target] = GRAMS[TARGETS[target]]
        np.testing.assert_allclose(biomass(shares), expected)


def test_pictures_are_the_same_from_a_pool_and_in_this_process() -> None:
    with ThreadPoolExecutor(2) as pool:
        pooled = paint_many(pool, 1, 2, ("spring",))
    for some, other in zip(pooled, paint_many(None, 1, 2, ("spring",)), strict=True):
        np.testing.assert_array_equal(some, other)
