from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from analysis.payload.groups import GroupStats
from analysis.read.places.footprint import (
    SINGLE_SENTENCES,
    Footprint,
    describe_footprint,
    describe_spread,
    measure_spread,
    share_between,
    summarise_footprints,
)

IMAGES, PATCHES = 96, 200


def _groups(tokens: np.ndarray) -> GroupStats:
    """Gather tokens ``[images, patches, channels]`` as a payload does: image index modulo 8."""
    parts = [tokens[group::8].reshape(-1, tokens.shape[-1]) for group in range(8)]
    count = np.array([len(part) for part in parts])
    present = [part if len(part) else np.full((1, tokens.shape[-1]), np.nan) for part in parts]
    return GroupStats(
        count,
        np.stack([part.mean(0) for part in present]),
        np.stack([part.std(0) for part in present]),
    )


def _tokens(seed: int = 0, images: int = IMAGES) -> np.ndarray:
    """Return four channels: a constant, few peaks, one that images decide, one that places do."""
    rng = np.random.default_rng(seed)
    tokens = rng.normal(0, 1, (images, PATCHES, 4))
    tokens[..., 0] += 50
    tokens[0, 7, 1] = 300
    tokens[..., 2] = 0.3 * tokens[..., 2] + rng.normal(0, 1, (images, 1))
    return tokens


def _describe(tokens: np.ndarray, groups: GroupStats | None) -> pd.DataFrame:
    flat = tokens.reshape(-1, tokens.shape[-1])
    return describe_footprint(
        np.array([3, 2, 1, 0]), flat.mean(0), flat.std(0), np.abs(flat).max(0), groups, PATCHES
    )


def test_each_kind_of_channel_is_told_from_the_others() -> None:
    tokens = _tokens()
    frame = _describe(tokens, _groups(tokens))
    assert frame["channel"].tolist() == [3, 2, 1, 0]
    assert frame["footprint"].tolist() == [
        Footprint.PLACE,
        Footprint.IMAGE,
        Footprint.SPARSE,
        Footprint.CONSTANT,
    ]
    assert summarise_footprints(frame) == (
        "Of the top 4 channels: 1 constant bias, 1 sparse high-norm patches, 1 image-dependent, "
        "1 patch-dependent."
    )


def test_the_share_between_images_is_right_on_average_and_within_its_bounds_mostly() -> None:
    shares, inside = [], 0
    truth = 1 / (1 + 0.3**2)
    for seed in range(60):
        share, low, high = share_between(_groups(_tokens(seed)), PATCHES, 4)
        flat = _tokens(seed)[..., 2]
        unclipped = IMAGES / 8 * _groups(_tokens(seed)).mean[:, 2].var(ddof=1) / flat.var()
        shares.append(unclipped)
        assert share[2] == pytest.approx(min(1, unclipped))
        inside += int(low[2] <= truth <= high[2])
    assert np.mean(shares) == pytest.approx(truth, rel=0.15)
    assert 0.65 < inside / 60 < 0.95  # 80 %


def test_channels_that_differ_within_images_only_have_next_to_no_share() -> None:
    share, _, high = share_between(_groups(_tokens()), PATCHES, 4)
    assert share[3] < 0.05
    assert high[3] < 0.1


@pytest.mark.parametrize("images", [0, 1, 3])
def test_too_few_images_give_no_share(images: int) -> None:
    groups = _groups(_tokens()[:images])
    assert np.isnan(share_between(groups, PATCHES, 4)).all()
    assert np.isnan(share_between(None, PATCHES, 4)).all()


def test_without_groups_constants_and_peaks_are_told_and_the_rest_cannot_be() -> None:
    kinds = _describe(_tokens(), None)["footprint"].tolist()
    unknown = Footprint.UNKNOWN
    assert kinds == [unknown, unknown, Footprint.SPARSE, Footprint.CONSTANT]


def test_the_peak_is_measured_on_its_own_side_where_the_ends_are_known() -> None:
    tokens = np.zeros((1, 100, 1))
    tokens[0, :, 0] = np.linspace(1, 3, 100)
    tokens[0, 0, 0] = -7.0
    flat = tokens.reshape(-1, 1)
    frame = describe_footprint(
        np.array([0]),
        flat.mean(0),
        flat.std(0),
        np.abs(flat).max(0),
        None,
        100,
        ends=np.stack([flat.min(0), flat.max(0)]),
    )
    assert frame["peak_z"][0] == pytest.approx((flat.mean() + 7) / flat.std())


def test_image_means_make_the_share_between_images_exact() -> None:
    tokens = _tokens()
    flat = tokens.reshape(-1, 4)
    frame = describe_footprint(
        np.arange(4),
        flat.mean(0),
        flat.std(0),
        np.abs(flat).max(0),
        None,
        PATCHES,
        image_means=tokens.mean(1).var(0),
    )
    expected = 1 - tokens.var(1).mean(0) / flat.var(0)
    np.testing.assert_allclose(frame["between"], expected, atol=1e-9)
    assert (frame["between_low"] == frame["between_high"]).all()
    assert frame["footprint"][2] == Footprint.IMAGE


def test_a_dead_channel_is_no_crash() -> None:
    tokens = np.zeros((IMAGES, PATCHES, 4))
    frame = _describe(tokens, _groups(tokens))
    assert frame["between"].isna().all()
    assert np.isfinite(frame["mean_over_std"]).all()
    assert (frame["footprint"] == Footprint.CONSTANT).all()
    zeros = np.zeros(4)
    single = describe_footprint(np.arange(4), zeros, zeros, zeros, None, tokens_per_image=1)
    assert (single["footprint"] == Footprint.CONSTANT).all()


def test_an_even_map_has_no_border_effect() -> None:
    spread = measure_spread(np.full((5, 10), 3.0))
    assert spread is not None
    assert spread.border == pytest.approx(spread.border_patches) == 26 / 50
    assert spread.corners == pytest.approx(spread.corner_patches) == 4 / 50
    assert spread.largest_over_median == 1
    assert describe_spread(spread) == (
        "No border effect: the outermost ring, 52% of the patches, holds 52% of the map, and the "
        "four corners, 8.0%, hold 8.0%. Largest at row 0, column 0: 1 times the median patch."
    )


@pytest.mark.parametrize(
    ("place", "said"),
    [
        ((0, slice(None)), "Larger at the border"),
        ((slice(None), -1), "Larger at the border"),
        ((slice(2, -2), slice(2, -2)), "Smaller at the border"),
        ((-1, 0), "Larger in the corners"),
    ],
)
def test_border_and_corners_are_told_from_the_inside(place: tuple[object, ...], said: str) -> None:
    values = np.ones((12, 12))
    values[place] = 5.0  # type: ignore[index]
    spread = measure_spread(values)
    assert spread is not None
    assert describe_spread(spread).startswith(said)
    ring = np.ones((12, 12), dtype=bool)
    ring[1:-1, 1:-1] = False
    assert spread.border == pytest.approx(values[ring].sum() / values.sum())
    corners = values[[0, 0, -1, -1], [0, -1, 0, -1]]
    assert spread.corners == pytest.approx(corners.sum() / values.sum())
    assert values[spread.row, spread.column] == values.max()


def test_patches_that_were_not_counted_belong_to_no_share() -> None:
    values = np.ones((4, 4))
    values[0] = np.nan
    spread = measure_spread(values)
    assert spread is not None
    assert spread.border == pytest.approx(spread.border_patches) == 8 / 12
    assert spread.corner_patches == 2 / 12


def test_a_grid_without_an_inside_and_an_empty_map_are_no_crash() -> None:
    thin = measure_spread(np.ones((2, 9)))
    assert thin is not None
    assert "Every patch" in describe_spread(thin)
    assert measure_spread(np.zeros((3, 3))) is None
    assert measure_spread(np.full((3, 3), np.nan)) is None


def test_single_tokens_differ_between_images_only() -> None:
    tokens = _tokens()[:, :1]
    tokens[0, 0, 1] = 300
    flat = tokens[:, 0]
    frame = describe_footprint(
        np.arange(4), flat.mean(0), flat.std(0), np.abs(flat).max(0), None, tokens_per_image=1
    )
    assert (frame[["between", "between_low", "between_high"]] == 1).all(axis=None)
    assert frame["footprint"].tolist()[0] == Footprint.CONSTANT
    assert frame["footprint"].tolist()[2:] == [Footprint.IMAGE, Footprint.IMAGE]
    assert Footprint.PLACE not in SINGLE_SENTENCES
    assert "sparse peaks" in summarise_footprints(
        frame.assign(footprint=Footprint.SPARSE.value), single=True
    )
