"""`StatisticsCollector` against a direct float64 computation on the same block outputs."""

from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from analysis.collect.statistics.collector import StatisticsCollector
from analysis.collect.statistics.norm import NormParameters
from analysis.errors import StatisticsError
from tests.collect.statistics.reference import (
    STORAGE,
    assert_agrees,
    assert_same_statistics,
    by_role,
    collect,
    expect,
    layer_norm,
    make_collector,
    make_outputs,
)

CHANNELS = 40
BATCHES = [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10]]
PLAIN = NormParameters(torch.ones(CHANNELS), torch.zeros(CHANNELS))


def make_norm(seed: int, *, untied: bool) -> NormParameters:
    generator = torch.Generator().manual_seed(seed)
    gamma, beta, cls_gamma, cls_beta = torch.randn(4, CHANNELS, generator=generator)
    if untied:
        return NormParameters(gamma, beta, cls_gamma, cls_beta)
    return NormParameters(gamma, beta)


def flat(outputs: np.ndarray, role: str) -> np.ndarray:
    tokens = by_role(outputs, role)
    return tokens.reshape(-1, tokens.shape[-1])


@pytest.mark.parametrize("untied", [False, True], ids=["tied norms", "untied norms"])
def test_three_representations_match_a_direct_computation(untied: bool) -> None:
    outputs = make_outputs()
    norm = make_norm(1, untied=untied)
    result = collect(outputs, BATCHES).finalize(norm)
    assert list(result.layers) == [0, 1]
    assert result.extras is None
    assert result.nonfinite_tokens == [0, 0]
    for layer in result.layers:
        values = outputs[layer + 1].numpy()
        for role in ("cls", "patch"):
            gamma, beta = norm.gamma, norm.beta
            if untied and role == "cls":
                assert norm.cls_gamma is not None
                assert norm.cls_beta is not None
                gamma, beta = norm.cls_gamma, norm.cls_beta
            tokens = flat(values, role)
            scaled = layer_norm(tokens) * gamma.double().numpy() + beta.double().numpy()
            measured = result.layers[layer]
            assert_agrees(measured["pre"][role], expect(tokens), 1e-6)
            assert_agrees(measured["per_layer_ln"][role], expect(layer_norm(tokens)), 1e-5)
            assert_agrees(measured["global_ln"][role], expect(scaled), 1e-5)


def test_storage_tokens_are_in_neither_role() -> None:
    # Every token holds its own number, so that a shifted slice shows in mean and maximum.
    tokens = torch.arange(1.0, 1 + 1 + STORAGE + 6).view(1, 1, -1, 1)
    outputs = (tokens + torch.tensor([0.0, 0.25, 0.5, 0.125])).expand(2, 3, -1, -1)
    norm = NormParameters(torch.ones(4), torch.zeros(4))
    layer = collect(outputs, [[0, 1, 2]]).finalize(norm).layers[0]["pre"]
    assert layer["cls"].count == 3
    assert layer["cls"].mean[0] == 1
    assert layer["cls"].max_abs[0] == 1
    assert layer["patch"].count == 18
    assert layer["patch"].mean[0] == 8.5
    assert layer["patch"].max_abs[0] == 11


@pytest.mark.parametrize(
    "batches",
    [
        pytest.param([[i] for i in range(11)], id="one by one"),
        pytest.param([list(range(11))], id="all at once"),
        pytest.param([[10, 3, 5], [0, 9, 8, 7, 6, 4], [2, 1]], id="another order"),
        pytest.param([[0, 1, 2, -1], [-1, -1, -1], [*range(3, 11), -1]], id="padding rows"),
    ],
)
def test_batch_size_order_and_padding_do_not_matter(batches: list[list[int]]) -> None:
    outputs = make_outputs()
    assert_same_statistics(collect(outputs, batches), collect(outputs, BATCHES))


def test_padding_rows_may_hold_anything() -> None:
    outputs = make_outputs()
    outputs[:, 0] = torch.nan
    collector = StatisticsCollector(2, CHANNELS, STORAGE, "cpu")
    collector.begin_batch(torch.tensor([1, 0, 2]), torch.tensor([True, False, True]))
    for layer in range(2):
        collector.observe(layer, outputs[layer + 1, [1, 0, 2]])
    collector.commit_batch()
    assert collector.finalize(PLAIN).nonfinite_tokens == [0, 0]
    assert_same_statistics(collector, collect(outputs, [[1, 2]]))


def test_image_groups_hold_their_own_images() -> None:
    outputs = make_outputs(images=19)
    batches = [list(range(12)), [12, 13], [14, 15, 16, 17, 18]]
    image_groups = torch.tensor([5, *[0] * 4, *range(1, 5), *[2] * 10])  # six, of any sizes
    collector = make_collector(outputs, extras=False, image_groups=image_groups)
    state = collect(outputs, batches, into=collector).state_dict()
    assert state["mean"].shape[2] == 2 * 6 + STORAGE
    for group in range(6):
        tokens = flat(outputs[2, image_groups == group].numpy(), "patch")
        cell = 6 + group
        assert state["count"][1, cell] == len(tokens)
        std = (state["m2"][1, 0, cell] / len(tokens)).sqrt()
        expected = expect(tokens)
        scale = np.hypot(expected.mean, expected.std)
        assert (np.abs(state["mean"][1, 0, cell].numpy() - expected.mean) / scale).max() < 1e-6
        np.testing.assert_allclose(std, expected.std, rtol=1e-6)


def test_a_mean_of_ten_thousand_stds_costs_no_digits() -> None:
    generator = torch.Generator().manual_seed(5)
    outputs = torch.randn(2, 6, 1 + STORAGE + 50, CHANNELS, generator=generator) + 1e4
    layer = collect(outputs, [[0, 1], [2, 3, 4, 5]]).finalize(PLAIN).layers[0]
    tokens = flat(outputs[1].numpy(), "patch")
    assert_agrees(layer["pre"]["patch"], expect(tokens), 1e-6)
    assert_agrees(layer["per_layer_ln"]["patch"], expect(layer_norm(tokens)), 1e-5)


@pytest.mark.parametrize(
    ("image", "patch"),
    [(0, 0), (3, 29), (2, 7)],
    ids=["first", "last", "previous batch"],
)
def test_one_token_at_five_thousand_stds_leaves_every_std_right(image: int, patch: int) -> None:
    generator = torch.Generator().manual_seed(6)
    outputs = torch.randn(2, 4, 1 + STORAGE + 30, CHANNELS, generator=generator)
    outputs[:, image, 1 + STORAGE + patch, ::2] = 5000
    layer = collect(outputs, [[0], [1, 2], [3]]).finalize(PLAIN).layers[0]
    assert_agrees(layer["pre"]["patch"], expect(flat(outputs[1].numpy(), "patch")), 1e-6)
    normalized = layer_norm(flat(outputs[1].numpy(), "patch"))
    assert_agrees(layer["per_layer_ln"]["patch"], expect(normalized), 1e-5)


def test_a_constant_channel_has_zero_std() -> None:
    outputs = make_outputs()
    outputs[..., 9] = 12.345
    stats = collect(outputs, BATCHES).finalize(PLAIN).layers[1]["pre"]["patch"]
    assert stats.std[9] == 0
    assert stats.mean[9] == np.float32(12.345)


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf, 1e30])
def test_a_non_finite_token_is_left_out_of_its_layer_and_counted(value: float) -> None:
    outputs = make_outputs()
    intact = outputs.clone()
    for image, token in ((1, 5), (1, 6), (4, 0), (6, 2), (10, 28)):
        outputs[2, image, token, 7] = value
    outputs[2, 8, 1 + STORAGE :] = value
    result = collect(outputs, BATCHES).finalize(PLAIN)
    patches = outputs.shape[2] - 1 - STORAGE
    assert result.nonfinite_tokens == [0, 5 + patches]
    keep = torch.ones(outputs.shape[1:3], dtype=torch.bool)
    keep[[1, 1, 10], [5, 6, 28]] = False
    keep[8] = False
    tokens = intact[2, :, 1 + STORAGE :][keep[:, 1 + STORAGE :]].numpy()
    assert_agrees(result.layers[1]["pre"]["patch"], expect(tokens), 1e-6)
    assert_agrees(result.layers[1]["per_layer_ln"]["patch"], expect(layer_norm(tokens)), 1e-5)
    cls = np.delete(intact[2, :, 0].numpy(), 4, axis=0)
    assert_agrees(result.layers[1]["pre"]["cls"], expect(cls), 1e-6)
    untouched = expect(flat(intact[1].numpy(), "patch"))
    assert_agrees(result.layers[0]["pre"]["patch"], untouched, 1e-6)


def test_a_role_without_any_finite_token_fails_and_names_the_first_layer() -> None:
    outputs = make_outputs(depth=3)
    outputs[2:, :, 0] = torch.nan
    with pytest.raises(StatisticsError, match="layer 1 gave no finite cls token"):
        collect(outputs, BATCHES).finalize(PLAIN)


def test_no_image_at_all_is_an_error() -> None:
    with pytest.raises(StatisticsError, match="no image was measured"):
        StatisticsCollector(2, CHANNELS, STORAGE, "cpu").finalize(PLAIN)


def test_a_norm_with_another_epsilon_is_refused() -> None:
    norm = NormParameters(PLAIN.gamma, PLAIN.beta, eps=1e-6)
    with pytest.raises(StatisticsError, match="eps is 1e-06"):
        collect(make_outputs(), BATCHES).finalize(norm)


@pytest.mark.parametrize("observed", [0, 1, 2])
def test_a_discarded_batch_leaves_no_trace(observed: int) -> None:
    outputs = make_outputs()
    collector = collect(outputs, BATCHES[:1], extras=True)
    collector.begin_batch(torch.tensor([4, 5]), torch.tensor([True, True]))
    for layer in range(observed):
        collector.observe(layer, outputs[layer + 1, 4:6] * 100)
    collector.discard_batch()
    collect(outputs, BATCHES[1:], into=collector)
    expected = collect(outputs, BATCHES, extras=True).state_dict()
    for name, tensor in collector.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


def test_an_open_batch_does_not_show_in_the_running_statistics() -> None:
    outputs = make_outputs()
    collector = collect(outputs, BATCHES[:2])
    collector.begin_batch(torch.tensor([8]), torch.tensor([True]))
    collector.observe(0, outputs[1, 8:9])
    assert_same_statistics(collector, collect(outputs, BATCHES[:2]), tolerance=0)


def test_the_protocol_is_enforced() -> None:
    outputs = make_outputs()
    collector = StatisticsCollector(2, CHANNELS, STORAGE, "cpu")
    one = torch.tensor([0]), torch.tensor([True])
    with pytest.raises(RuntimeError, match="outside of a batch"):
        collector.observe(0, outputs[1, :1])
    collector.begin_batch(*one)
    with pytest.raises(RuntimeError, match="neither committed nor discarded"):
        collector.begin_batch(*one)
    collector.observe(0, outputs[1, :1])
    with pytest.raises(RuntimeError, match="layer 0 was observed twice"):
        collector.observe(0, outputs[1, :1])
    with pytest.raises(RuntimeError, match=r"layers \[1\] were not observed"):
        collector.commit_batch()
    with pytest.raises(ValueError, match=r"layer 2 is not one of -1\.\.1"):
        collector.observe(2, outputs[1, :1])
    with pytest.raises(ValueError, match="expected tokens"):
        collector.observe(1, outputs[1, :2])


def test_saved_state_restores_exactly_and_loads_without_running_code() -> None:
    outputs = make_outputs()
    collector = collect(outputs, BATCHES[:2], extras=True)
    file = io.BytesIO()
    torch.save(collector.state_dict(), file)
    file.seek(0)
    restored = make_collector(outputs, extras=True, watched=(3, 4))
    restored.load_state_dict(torch.load(file, weights_only=True))
    for resumed in (collector, restored):
        collect(outputs, BATCHES[2:], into=resumed)
    for name, tensor in restored.state_dict().items():
        assert torch.equal(tensor, collector.state_dict()[name]), name


@pytest.mark.parametrize(
    "other",
    [(3, CHANNELS, STORAGE, True), (2, 24, STORAGE, True), (2, CHANNELS, STORAGE, False)],
    ids=["depth", "channels", "extras"],
)
def test_the_state_of_another_backbone_is_refused(other: tuple[int, int, int, bool]) -> None:
    collector = StatisticsCollector(2, CHANNELS, STORAGE, "cpu", extras=True)
    depth, channels, n_storage, extras = other
    foreign = StatisticsCollector(depth, channels, n_storage, "cpu", extras=extras)
    with pytest.raises(StatisticsError, match="another backbone or other flags"):
        collector.load_state_dict(foreign.state_dict())
    with pytest.raises(StatisticsError, match="cannot merge"):
        collector.merge(foreign)
    state = collector.state_dict()
    del state["mean"]
    with pytest.raises(StatisticsError, match="mean"):
        collector.load_state_dict(state)


def test_two_collectors_merged_equal_one_and_the_second_is_unchanged() -> None:
    outputs = make_outputs()
    left = collect(outputs, [[0, 2, 4], [6, 8]], extras=True)
    right = collect(outputs, [[1, 3], [5, 7, 9, 10]], extras=True)
    before = {name: tensor.clone() for name, tensor in right.state_dict().items()}
    left.merge(right)
    whole = collect(outputs, BATCHES, extras=True)
    assert_same_statistics(left, whole)
    for name in ("low", "high", "peak", "exceed", "norm_hist", "top_images", "footprint_count"):
        assert torch.equal(left.state_dict()[name], whole.state_dict()[name]), name
    for name in ("top_sum", "footprint_sum"):
        torch.testing.assert_close(left.state_dict()[name], whole.state_dict()[name])
    for name, tensor in right.state_dict().items():
        assert torch.equal(tensor, before[name]), name


def test_statistics_that_watched_other_channels_are_not_merged() -> None:
    outputs = make_outputs()
    with pytest.raises(StatisticsError, match="watched other channels"):
        make_collector(outputs, extras=True).merge(
            make_collector(outputs, extras=True, watched=(3, 4))
        )


def test_a_rank_without_images_changes_nothing() -> None:
    outputs = make_outputs()
    idle = make_collector(outputs, extras=True)
    used = collect(outputs, BATCHES, extras=True)
    expected = {name: tensor.clone() for name, tensor in used.state_dict().items()}
    used.merge(idle)
    idle.merge(used)
    for collector in (used, idle):
        for name, tensor in collector.state_dict().items():
            assert torch.equal(tensor, expected[name]), name


def test_half_precision_outputs_are_accumulated_in_float32_and_above() -> None:
    outputs = make_outputs().bfloat16()
    layer = collect(outputs, BATCHES).finalize(PLAIN).layers[0]
    tokens = flat(outputs[1].float().numpy(), "patch")
    assert_agrees(layer["pre"]["patch"], expect(tokens), 1e-6)
