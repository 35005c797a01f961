"""Every part of the payload's ``extras`` against an independent numpy reference."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from analysis.collect.statistics.batch import MEDIAN_SAMPLE, sample_stride
from analysis.collect.statistics.norm import NormParameters
from tests.collect.statistics.reference import (
    ROLES,
    STORAGE,
    by_role,
    collect,
    expect,
    layer_norm,
    make_outputs,
)

CHANNELS = 40
BATCHES = [[0, 1, 2, 3], [4, -1, 5, 6], [7, 8, 9, 10]]
GAMMA, BETA = torch.randn(2, CHANNELS, generator=torch.Generator().manual_seed(9))
NORM = NormParameters(GAMMA, BETA)


def make_broken_outputs() -> torch.Tensor:
    """Block outputs with tokens to leave out: some of each role, and one whole image."""
    outputs = make_outputs()
    outputs[2, 3, 0, 1] = torch.nan
    outputs[2, 3, 2, 1] = torch.inf
    outputs[2, 4, [5, 6, 20], 1] = torch.nan
    outputs[2, 7] = torch.nan
    return outputs


@pytest.fixture(scope="module", params=["finite", "broken"])
def case(request: pytest.FixtureRequest) -> tuple[np.ndarray, dict[str, Any]]:
    """Block outputs, NaN throughout where a token is to be left out, and the extras of them."""
    outputs = make_outputs() if request.param == "finite" else make_broken_outputs()
    extras = collect(outputs, BATCHES, extras=True).finalize(NORM).extras
    assert extras is not None
    array = outputs.numpy().copy()
    array[~np.isfinite(array).all(-1)] = np.nan
    return array, extras


def represent(tokens: np.ndarray, representation: str) -> np.ndarray:
    return tokens if representation == "pre" else layer_norm(tokens)


def measured(tokens: np.ndarray) -> np.ndarray:
    rows = tokens.reshape(-1, tokens.shape[-1])
    return rows[~np.isnan(rows[:, 0])]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("representation", ["pre", "per_layer_ln"])
def test_range_is_signed(case: Any, layer: int, role: str, representation: str) -> None:
    outputs, extras = case
    tokens = represent(measured(by_role(outputs[layer + 1], role)), representation)
    found = extras["layers"][layer]["range"][representation][role]
    np.testing.assert_allclose(found["min"], tokens.min(0), rtol=1e-5)
    np.testing.assert_allclose(found["max"], tokens.max(0), rtol=1e-5)
    assert found["min"].dtype == found["max"].dtype == torch.float32


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("role", ROLES)
def test_argmax_names_image_and_patch_of_the_largest_magnitude(
    case: Any, layer: int, role: str
) -> None:
    outputs, extras = case
    magnitudes = np.abs(by_role(outputs[layer + 1], role))
    images, tokens, channels = magnitudes.shape
    flat = np.nanargmax(magnitudes.reshape(images * tokens, channels), axis=0)
    image, patch = np.divmod(flat, tokens)
    found = extras["layers"][layer]["argmax"][role]
    assert found.dtype == torch.int32
    assert found.shape == (channels, 2)
    np.testing.assert_array_equal(found[:, 0], image)
    np.testing.assert_array_equal(found[:, 1], patch if role == "patch" else -1)


def test_argmax_of_equal_magnitudes_is_the_earliest_whatever_the_batches() -> None:
    outputs = make_outputs()
    outputs[..., 3] = -7.5
    for batches in (BATCHES, [list(range(11))], [[8, 9, 10], [0, 1, 2, 3, 4, 5, 6, 7]]):
        extras = collect(outputs, batches, extras=True).finalize(NORM).extras
        assert extras is not None
        assert extras["layers"][1]["argmax"]["patch"][3].tolist() == [0, 0]


@pytest.mark.parametrize("layer", [0, 1])
def test_footprint_is_the_mean_magnitude_at_every_patch(case: Any, layer: int) -> None:
    outputs, extras = case
    found = extras["layers"][layer]["footprint"]
    watched = found["channels"].tolist()
    assert watched == [CHANNELS - 1, 0]
    magnitudes = np.abs(by_role(outputs[layer + 1], "patch"))[..., watched]
    expected = np.nanmean(magnitudes, axis=0).T
    np.testing.assert_allclose(found["mean_abs"].flatten(1), expected, rtol=1e-6)
    assert found["mean_abs"].dtype == torch.float32


def test_a_patch_that_no_image_measured_has_no_footprint() -> None:
    outputs = make_outputs()
    outputs[1, :, 1 + STORAGE + 2, 0] = torch.nan
    extras = collect(outputs, BATCHES, extras=True).finalize(NORM).extras
    assert extras is not None
    mean = extras["layers"][0]["footprint"]["mean_abs"].flatten(1)
    assert mean.isnan().any(0).nonzero().flatten().tolist() == [2]


def test_images_of_another_grid_than_announced_are_refused() -> None:
    collector = collect(make_outputs(), BATCHES, extras=True)
    collector.begin_batch(torch.tensor([0]), torch.tensor([True]))
    with pytest.raises(RuntimeError, match="25 patches per image, 24 were announced"):
        collector.observe(-1, torch.zeros(1, 1 + STORAGE + 25, CHANNELS))


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("role", ROLES)
def test_exceed_counts_tokens_beyond_each_threshold(case: Any, layer: int, role: str) -> None:
    outputs, extras = case
    magnitudes = np.abs(measured(by_role(outputs[layer + 1], role)))
    found = extras["layers"][layer]["exceed"][role]
    assert found.dtype == torch.int32
    for row, threshold in enumerate((6, 20, 100)):
        np.testing.assert_array_equal(found[row], (magnitudes > threshold).sum(0))


def test_a_value_at_the_threshold_does_not_exceed_it() -> None:
    outputs = torch.zeros(2, 1, 1 + STORAGE + 4, CHANNELS)
    outputs[:, 0, 6, 0] = 6
    outputs[:, 0, 7, 0] = float(np.nextafter(np.float32(6), np.float32(7)))
    extras = collect(outputs, [[0]], extras=True).finalize(NORM).extras
    assert extras is not None
    assert extras["layers"][0]["exceed"]["patch"][:, 0].tolist() == [1, 0, 0]


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("representation", ["pre", "per_layer_ln"])
def test_norm_histogram_counts_every_token_once(
    case: Any, layer: int, role: str, representation: str
) -> None:
    outputs, extras = case
    tokens = represent(measured(by_role(outputs[layer + 1], role)), representation)
    norms = np.linalg.norm(tokens.astype("f8"), axis=1)
    edges = np.concatenate(([-np.inf], np.logspace(-1, 5, 65), [np.inf]))
    found = extras["layers"][layer]["norm_hist"][representation][role]
    assert found.dtype == torch.int64
    np.testing.assert_array_equal(found, np.histogram(norms, edges)[0])


def test_norms_beyond_the_edges_fall_into_the_end_bins() -> None:
    outputs = torch.full((2, 2, 1 + STORAGE + 2, CHANNELS), 1e-3)
    outputs[:, 1] = 1e6
    extras = collect(outputs, [[0, 1]], extras=True).finalize(NORM).extras
    assert extras is not None
    histogram = extras["layers"][0]["norm_hist"]
    assert histogram["pre"]["patch"][[0, -1]].tolist() == [2, 2]
    # Constant tokens have no LayerNorm to speak of.
    assert histogram["per_layer_ln"]["patch"][0] == 4


@pytest.mark.parametrize("layer", [0, 1])
def test_top_is_the_mean_over_images_of_three_largest_and_median(case: Any, layer: int) -> None:
    outputs, extras = case
    rows = []
    for image in outputs[layer + 1]:
        magnitudes = np.sort(np.abs(measured(image)).ravel())
        if len(magnitudes):
            # So few values that the sample is the whole image: the median is exact.
            rows.append([*magnitudes[:-4:-1], magnitudes[(len(magnitudes) - 1) // 2]])
    found = extras["layers"][layer]["top"]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, np.mean(rows, axis=0), rtol=1e-6)


@pytest.mark.parametrize("channels", [48, 63])
@pytest.mark.parametrize("seed", range(4))
def test_median_of_a_large_image_keeps_its_bound(channels: int, seed: int) -> None:
    outputs = make_outputs(depth=1, images=1, patches=700, channels=channels, seed=seed)
    norm = NormParameters(torch.ones(channels), torch.zeros(channels))
    extras = collect(outputs, [[0]], extras=True).finalize(norm).extras
    assert extras is not None
    magnitudes = outputs[1].abs().numpy().ravel()
    assert magnitudes.size > 5 * MEDIAN_SAMPLE
    low, high = np.quantile(magnitudes, [0.47, 0.53])
    assert low <= extras["layers"][0]["top"][3] <= high


@pytest.mark.parametrize("channels", [384, 1280, 4096, 97])
def test_the_median_sample_visits_every_channel_equally_often(channels: int) -> None:
    stride = sample_stride(1805, channels)
    drawn = np.arange(0, 1805 * channels, stride)
    assert 0.4 * MEDIAN_SAMPLE < len(drawn) <= MEDIAN_SAMPLE
    visits = np.bincount(drawn % channels, minlength=channels)
    assert visits.max() - visits.min() <= 1


@pytest.mark.parametrize("role", ["cls", "patch"])
@pytest.mark.parametrize("representation", ["pre", "per_layer_ln"])
def test_groups_of_an_unknown_list_are_the_images_of_equal_index_modulo_32(
    case: Any, role: str, representation: str
) -> None:
    outputs, extras = case
    found = extras["layers"][1]["groups"][representation][role]
    assert found["count"].dtype == torch.int64
    assert found["mean"].shape == found["std"].shape == (32, CHANNELS)
    for group in range(32):
        tokens = represent(measured(by_role(outputs[2, group::32], role)), representation)
        assert found["count"][group] == len(tokens)
        if len(tokens):
            expected = expect(tokens)
            scale = expected.std.max() + np.abs(expected.mean)
            assert (np.abs(found["mean"][group].numpy() - expected.mean) / scale).max() < 1e-5
            assert (np.abs(found["std"][group].numpy() - expected.std) / scale).max() < 1e-5
        else:
            assert found["mean"][group].isnan().all()
            assert found["std"][group].isnan().all()


@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("role", ["cls", "patch"])
@pytest.mark.parametrize("representation", ["pre", "per_layer_ln"])
def test_image_means_are_squared_deviations_from_the_channel_mean(
    case: Any, layer: int, role: str, representation: str
) -> None:
    outputs, extras = case
    tokens = represent(by_role(outputs[layer + 1], role).astype("f8"), representation)
    seen = [image for image in tokens if not np.isnan(image).all()]
    means = np.stack([np.nanmean(image, axis=0) for image in seen])
    expected = ((means - measured(tokens).mean(0)) ** 2).sum(0)
    found = extras["layers"][layer]["image_means"][representation][role]
    assert found.dtype == torch.float32
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * expected.max())


@pytest.mark.parametrize("role", ROLES[2:])
@pytest.mark.parametrize("representation", ["pre", "per_layer_ln"])
def test_storage_tokens_have_statistics_of_their_own(
    case: Any, role: str, representation: str
) -> None:
    outputs, extras = case
    tokens = represent(measured(by_role(outputs[2], role)), representation)
    found, expected = extras["layers"][1]["storage"][role][representation], expect(tokens)
    assert found["count"] == expected.count
    np.testing.assert_allclose(found["mean"], expected.mean, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(found["std"], expected.std, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found["max_abs"], expected.max_abs, rtol=1e-5)


@pytest.mark.parametrize("role", ROLES)
def test_embedding_is_measured_before_the_first_block(case: Any, role: str) -> None:
    outputs, extras = case
    found, expected = extras["embedding"][role], expect(measured(by_role(outputs[0], role)))
    assert found["count"] == expected.count
    np.testing.assert_allclose(found["mean"], expected.mean, rtol=1e-6, atol=1e-6)
    np.testing.assert_allclose(found["std"], expected.std, rtol=1e-5)
    np.testing.assert_allclose(found["max_abs"], expected.max_abs, rtol=1e-6)


def test_norm_parameters_are_kept_and_untied_ones_only_where_they_are() -> None:
    outputs = make_outputs()
    collector = collect(outputs, BATCHES, extras=True)
    tied = collector.finalize(NORM).extras
    assert tied is not None
    assert set(tied["norm"]) == {"gamma", "beta"}
    untied = collector.finalize(NormParameters(GAMMA, BETA, BETA * 2, GAMMA * 3)).extras
    assert untied is not None
    torch.testing.assert_close(untied["norm"]["cls_gamma"], BETA * 2)
    torch.testing.assert_close(untied["norm"]["cls_beta"], GAMMA * 3)


def test_extras_drag_no_other_memory_into_the_file(case: Any) -> None:
    _, extras = case
    open_parts: list[Any] = [extras]
    while open_parts:
        part = open_parts.pop()
        if isinstance(part, dict):
            open_parts.extend(part.values())
        elif isinstance(part, torch.Tensor):
            assert part.untyped_storage().nbytes() == part.numel() * part.element_size()


def test_an_unobserved_embedding_is_left_out() -> None:
    outputs = make_outputs()
    collector = collect(outputs, BATCHES[:1], extras=True)
    fresh = type(collector)(2, CHANNELS, STORAGE, "cpu", extras=True)
    fresh.begin_batch(torch.tensor([0, 1]), torch.tensor([True, True]))
    for layer in (0, 1):
        fresh.observe(layer, outputs[layer + 1, :2])
    fresh.commit_batch()
    extras = fresh.finalize(NORM).extras
    assert extras is not None
    assert "embedding" not in extras


@pytest.mark.parametrize(
    ("count", "dtype"), [(2**31 - 1, torch.int32), (2**31, torch.int64)], ids=["fits", "too large"]
)
def test_exceedances_are_kept_in_the_smallest_type_that_holds_them(
    count: int, dtype: torch.dtype
) -> None:
    outputs = make_outputs(depth=1, images=2, patches=4)
    collector = collect(outputs, [[0, 1]], extras=True)
    collector.state_dict()["exceed"][1, 1, 0, 0] = count  # slot 0 is the embedding
    norm = NormParameters(torch.ones(outputs.shape[-1]), torch.zeros(outputs.shape[-1]))
    extras = collector.finalize(norm).extras
    assert extras is not None
    found = extras["layers"][0]["exceed"]["patch"]
    assert found.dtype == dtype
    assert found[0, 0] == count
