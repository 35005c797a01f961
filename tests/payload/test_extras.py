from __future__ import annotations

import copy
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.errors import PayloadError
from analysis.payload.extras import NORM_EDGES, Part
from analysis.payload.groups import GroupStats, read_groups
from analysis.payload.reading import open_payload
from analysis.read.compare.noise_table import compare_noise
from analysis.vocabulary import MEASURED, Cell, Representation, Statistic, TokenRole
from tests.factories.extras import make_extra_table
from tests.factories.payloads import make_payload, make_table, write_payload


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("DASHBOARD_CACHE", str(folder))
    return folder


@pytest.fixture(scope="module")
def payload() -> dict[str, Any]:
    return make_payload(extras=True, images=10)


@pytest.mark.parametrize("representation", Representation)
@pytest.mark.parametrize("role", TokenRole)
def test_the_ends_of_the_range_are_what_max_abs_is_the_larger_of(
    payload: dict[str, Any], representation: Representation, role: TokenRole
) -> None:
    ends = make_extra_table(payload).value_range(representation, role)
    expected = make_table(images=10).over_depth(representation, role, Statistic.MAX_ABS)
    assert ends is not None
    assert (ends[:, 0] <= ends[:, 1]).all()
    np.testing.assert_allclose(np.abs(ends).max(axis=1), expected, rtol=1e-5)


def test_a_negative_scale_swaps_the_ends(payload: dict[str, Any]) -> None:
    turned = copy.deepcopy(payload)
    turned["extras"]["norm"]["gamma"] *= -1
    turned["extras"]["norm"]["beta"] *= -1
    ends, other = (
        make_extra_table(p).value_range(Representation.GLOBAL_LN, "patch")
        for p in (payload, turned)
    )
    assert ends is not None
    assert other is not None
    np.testing.assert_allclose(other, -ends[:, ::-1], rtol=1e-6)


def test_where_norms_are_untied_only_patches_pass_the_shared_one(payload: dict[str, Any]) -> None:
    untied = copy.deepcopy(payload)
    norm = untied["extras"]["norm"]
    norm["cls_gamma"], norm["cls_beta"] = norm["gamma"] + 1, norm["beta"] + 2
    table = make_extra_table(untied)
    for role, offset in (("patch", 0), ("cls", 1), ("storage_2", 1)):
        found = table.norm(role)
        assert found is not None
        np.testing.assert_array_equal(found[0], np.asarray(norm["gamma"]) + offset)
        np.testing.assert_array_equal(found[1], np.asarray(norm["beta"]) + 2 * offset)


def test_every_part_reads_back_what_the_payload_holds(payload: dict[str, Any]) -> None:
    table, layers = make_extra_table(payload), payload["extras"]["layers"]
    assert all(table.has(part) for part in Part)
    assert table.roles == ("cls", "patch", *table.storage_roles)
    assert len(table.storage_roles) == 4
    assert table.grid == (2, 4)
    assert table.image_paths[9] == "9.jpg"
    for layer, cell in layers.items():
        for role in table.roles:
            for method in (table.argmax, table.exceed):
                values = method(role)
                assert values is not None
                np.testing.assert_array_equal(values[layer], cell[method.__name__][role])
            for name in MEASURED:
                hist = table.norm_hist(name, role)
                assert hist is not None
                np.testing.assert_array_equal(hist[layer], cell["norm_hist"][name.value][role])
        top = table.top()
        assert top is not None
        np.testing.assert_array_equal(top[layer], cell["top"])
        for role in table.storage_roles:
            for name in MEASURED:
                values, stored = table.storage(name, role), cell["storage"][role][name.value]
                assert values is not None
                for index, key in enumerate(("mean", "std", "max_abs")):
                    np.testing.assert_array_equal(values[layer, index], stored[key])


def test_storage_tokens_pass_the_shared_norm_too(payload: dict[str, Any]) -> None:
    table = make_extra_table(payload)
    gamma, beta = (np.asarray(payload["extras"]["norm"][key]) for key in ("gamma", "beta"))
    normed = table.storage(Representation.PER_LAYER_LN, "storage_0")
    found = table.storage(Representation.GLOBAL_LN, "storage_0")
    assert normed is not None
    assert found is not None
    np.testing.assert_allclose(found[:, 0], gamma * normed[:, 0] + beta, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found[:, 1], np.abs(gamma) * normed[:, 1], rtol=1e-5)
    bound = np.abs(gamma) * normed[:, 2] + np.abs(beta)
    assert (found[:, 2] <= bound * (1 + 1e-5)).all()


@pytest.mark.parametrize("representation", Representation)
def test_what_is_read_of_one_layer_is_that_of_all_layers(
    payload: dict[str, Any], representation: Representation
) -> None:
    table = make_extra_table(payload)
    for position, layer in enumerate(table.layers.tolist()):
        for role in table.storage_roles:
            of_all, of_one = (
                table.storage(representation, role),
                table.storage_of_layer(layer, representation, role),
            )
            assert of_all is not None
            assert of_one is not None
            np.testing.assert_array_equal(of_one, of_all[position])
        of_all, of_one = table.exceed("patch"), table.exceed_of_layer(layer, "patch")
        assert of_all is not None
        assert of_one is not None
        np.testing.assert_array_equal(of_one, of_all[position])


def test_groups_come_as_the_noise_of_a_comparison_wants_them(payload: dict[str, Any]) -> None:
    table = make_extra_table(payload)
    for representation in Representation:
        for role in TokenRole:
            found = table.groups(2, representation, role)
            expected = read_groups(payload["extras"], 2, representation, role)
            assert found is not None
            assert expected is not None
            np.testing.assert_array_equal(found.count, expected.count)
            np.testing.assert_array_equal(found.mean, expected.mean)
            np.testing.assert_array_equal(found.std, expected.std)

    def read(cell: Cell) -> GroupStats | None:
        return table.groups(*cell)

    noise = compare_noise(read, read, [0, 1], same_images=True)
    assert noise.paired
    assert not noise.drift.any()


def test_there_are_as_many_counts_as_edges_leave_bins(payload: dict[str, Any]) -> None:
    hist = make_extra_table(payload).norm_hist(Representation.PRE, "patch")
    assert hist is not None
    assert hist.shape[1] == len(NORM_EDGES) + 1
    assert (hist.sum(axis=1) == 80).all()


def test_without_extras_every_part_is_absent_with_a_reason() -> None:
    table = make_extra_table(make_payload())
    for part in Part:
        assert not table.has(part)
        assert "extract it again" in table.why_absent(part)
    assert table.top() is None
    assert table.value_range(Representation.GLOBAL_LN, "patch") is None
    assert table.groups(0, Representation.PRE, TokenRole.CLS) is None
    assert table.norm("cls") is None


def test_a_part_that_one_layer_lacks_is_absent_alone(payload: dict[str, Any]) -> None:
    partial = copy.deepcopy(payload)
    del partial["extras"]["layers"][2]["top"]
    table = make_extra_table(partial)
    assert not table.has(Part.TOP)
    assert table.has(Part.RANGE)


def test_a_backbone_without_registers_is_not_told_to_extract_again(payload: dict[str, Any]) -> None:
    bare = copy.deepcopy(payload)
    for cell in bare["extras"]["layers"].values():
        cell["storage"] = {}
    assert "has no storage tokens" in make_extra_table(bare).why_absent(Part.STORAGE)


def test_layers_of_different_shapes_are_named(payload: dict[str, Any]) -> None:
    broken = copy.deepcopy(payload)
    broken["extras"]["layers"][1]["top"] = torch.zeros(3)
    with pytest.raises(PayloadError, match=r"extras\.layers\.1\.top: expected float \(4,\)"):
        make_extra_table(broken)


def test_the_second_reading_is_without_torch_and_equal(
    payload: dict[str, Any], tmp_path: Path
) -> None:
    path = write_payload(tmp_path / "p.pt", payload)
    first = open_payload(path).extras
    code = (
        "import sys; from analysis.payload.reading import open_payload; "
        f"t = open_payload({str(path)!r}).extras; "
        "print(t.top().sum(), t.roles[-1], 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env={**os.environ}
    )
    top = first.top()
    assert top is not None
    assert done.stdout.split() == [str(top.sum()), "storage_3", "False"]


def test_a_rewritten_payload_is_read_anew(payload: dict[str, Any], tmp_path: Path) -> None:
    path = write_payload(tmp_path / "p.pt", payload)
    before = open_payload(path).extras.top()
    write_payload(path, make_payload(extras=True, images=10, seed=7))
    os.utime(path, ns=(1, 1))
    after = open_payload(path).extras.top()
    assert before is not None
    assert after is not None
    assert (before != after).any()


def test_a_damaged_cache_is_read_from_the_payload_again(
    payload: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    path = write_payload(tmp_path / "p.pt", payload)
    open_payload(path)
    (file,) = cache.glob("*.npz")
    file.write_bytes(file.read_bytes()[:-500])
    assert open_payload(path).extras.has(Part.TOP)
    assert open_payload(path).extras.has(Part.TOP)


def test_where_nothing_can_be_cached_the_parts_are_there_all_the_same(
    payload: dict[str, Any], tmp_path: Path, cache: Path
) -> None:
    cache.write_text("a file where the folder should be")
    assert open_payload(write_payload(tmp_path / "p.pt", payload)).extras.has(Part.GROUPS)


def test_footprints_are_the_mean_of_each_patch(payload: dict[str, Any]) -> None:
    found = make_extra_table(payload).footprint()
    assert found is not None
    channels, maps = found
    assert channels.shape == (4, 8)
    assert maps.shape == (4, 8, 2, 4)
    table = make_table(images=10)
    for layer, cell in payload["extras"]["layers"].items():
        np.testing.assert_array_equal(channels[layer], cell["footprint"]["channels"])
        np.testing.assert_array_equal(maps[layer], cell["footprint"]["mean_abs"])
        mean = table.get(layer, Representation.PRE, TokenRole.PATCH, Statistic.MEAN)
        # |mean x| <= mean |x|, and equal for a channel that never changes its sign
        assert (maps[layer].mean((1, 2)) >= np.abs(mean[channels[layer]]) * (1 - 1e-6)).all()
        assert maps[layer, 0].mean() == pytest.approx(abs(mean[channels[layer, 0]]), rel=1e-5)


def test_a_patch_that_nobody_counted_may_be_nan(payload: dict[str, Any]) -> None:
    partial = copy.deepcopy(payload)
    partial["extras"]["layers"][1]["footprint"]["mean_abs"][2, 1, 3] = torch.nan
    found = make_extra_table(partial).footprint()
    assert found is not None
    assert np.isnan(found[1]).sum() == 1


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("channels", torch.arange(2).int(), r"mean_abs: expected float \(2, 2, 4\)"),
        ("channels", torch.tensor([5] * 8, dtype=torch.int32), "channels: expected different"),
        ("channels", torch.arange(41, 49, dtype=torch.int32), "channels: expected different"),
        ("channels", torch.zeros(8), r"channels: expected int \(8,\)"),
        ("channels", None, r"channels: expected int32 \[K\]"),
        ("mean_abs", torch.zeros(8, 4, 2), r"mean_abs: expected float \(8, 2, 4\)"),
        ("mean_abs", torch.full((8, 2, 4), -1.0), "mean_abs: expected 0 or more"),
        ("mean_abs", torch.full((8, 2, 4), torch.inf), "mean_abs: expected finite"),
    ],
)
def test_footprints_that_are_none_are_named(
    payload: dict[str, Any], key: str, value: Any, said: str
) -> None:
    broken = copy.deepcopy(payload)
    broken["extras"]["layers"][3]["footprint"][key] = value
    with pytest.raises(PayloadError, match=rf"extras\.layers\.3\.footprint\.{said}"):
        make_extra_table(broken)


def test_footprints_without_a_grid_are_refused(payload: dict[str, Any]) -> None:
    broken = copy.deepcopy(payload)
    del broken["extras"]["images"]["grid"]
    with pytest.raises(PayloadError, match=r"extras\.images\.grid: expected rows and columns"):
        make_extra_table(broken)


def test_samples_of_an_earlier_version_are_passed_over(payload: dict[str, Any]) -> None:
    old = copy.deepcopy(payload)
    old["extras"]["samples"] = {
        "index": torch.zeros(2, 2, dtype=torch.int32),
        "tokens": torch.zeros(1, 2, 8, dtype=torch.float16),
    }
    table, plain = make_extra_table(old), make_extra_table(payload)
    assert table.parts.keys() == plain.parts.keys()
