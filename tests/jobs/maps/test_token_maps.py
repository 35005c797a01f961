from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from analysis.collect.backbone.head_file import read_head
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import CheckpointError, ConfigError, PayloadError
from analysis.files.digest import sha256_of
from analysis.jobs.maps import Arm, MapRequest, Picture, load_maps
from analysis.jobs.maps import store as map_store
from analysis.jobs.maps.plan import choose_channels, plan_maps
from analysis.jobs.maps.store import save_maps
from analysis.jobs.maps.token_maps import compute_maps
from analysis.jobs.maps.worker import StoppedError, compute_missing, load_arm
from analysis.payload.table import StatsTable
from analysis.vocabulary import Representation
from tests.factories.backbones import make_backbone
from tests.factories.payloads import make_table
from tests.factories.projects import make_project
from tests.factories.red_square import CHANNEL, RED_PATCH, SIZE, draw_grey, make_red_network


@pytest.fixture
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASHBOARD_CACHE", str(tmp_path / "cache"))


def _pixels(seed: int = 0) -> torch.Tensor:
    return torch.randn(1, 3, 64, 96, generator=torch.Generator().manual_seed(seed))


def _reference(backbone: torch.nn.Module, pixels: torch.Tensor) -> dict[str, list[torch.Tensor]]:
    """Return the tokens ``[T, C]`` of every layer by representation, in double precision."""
    with torch.inference_mode():
        outputs = [out[0].double() for out in backbone.forward_blocks(pixels)][1:]  # type: ignore[operator]
        normed = [backbone.apply_norm(out[None].float())[0].double() for out in outputs]  # type: ignore[operator]
    fresh = [F.layer_norm(out, out.shape[-1:], eps=1e-5) for out in outputs]
    return {"pre": outputs, "per_layer_ln": fresh, "global_ln": normed}


@pytest.mark.parametrize("untied", [False, True])
@pytest.mark.parametrize("representation", list(Representation))
def test_a_channels_map_is_the_block_output(representation: Representation, untied: bool) -> None:
    backbone, pixels = make_backbone(untied_norms=untied), _pixels()
    maps = compute_maps(backbone, pixels)
    expected = torch.stack(_reference(backbone, pixels)[representation]).numpy()
    found = maps.channel(representation, 0)
    for channel in range(expected.shape[2]):
        found = maps.channel(representation, channel)
        size = np.abs(expected[:, :, channel]).max() + np.abs(expected[:, 5:, channel]).max()
        assert np.abs(found - expected[:, :, channel]).max() < 2e-3 * size
    assert maps.patches(found).shape == (2, 4, 6)


def test_norms_are_those_of_all_channels_also_where_few_are_kept() -> None:
    backbone, pixels = make_backbone(), _pixels()
    maps = compute_maps(backbone, pixels, (3, 17))
    for representation, tokens in _reference(backbone, pixels).items():
        expected = torch.stack(tokens).norm(dim=2).numpy()
        np.testing.assert_allclose(maps.norm(Representation(representation)), expected, rtol=1e-5)
    whole = compute_maps(backbone, pixels)
    for channel in (3, 17):
        part = maps.channel(Representation.GLOBAL_LN, channel)
        assert (part == whole.channel(Representation.GLOBAL_LN, channel)).all()
    with pytest.raises(PayloadError, match="Channel 4 was not kept"):
        maps.channel(Representation.PRE, 4)


def test_colours_are_the_first_three_principal_components_with_signs_that_do_not_flip() -> None:
    backbone, pixels = make_backbone(depth=6), _pixels()
    maps = compute_maps(backbone, pixels)
    for place, tokens in enumerate(_reference(backbone, pixels).values()):
        before = None
        for layer, values in enumerate(tokens):
            patches = values[5:].numpy()
            centered = patches - patches.mean(0)
            left, sizes, _ = np.linalg.svd(centered, full_matrices=False)
            shares = sizes**2 / (sizes**2).sum()
            np.testing.assert_allclose(maps.explained[place, layer], shares[:3], rtol=1e-3)
            colors = maps.colors[place, layer].reshape(-1, 3).astype(float)
            clear = sizes[:3] / sizes[1:4] > 1.05  # else the components may mix
            for component in np.flatnonzero(clear[:1]):
                size = np.corrcoef(colors[:, component], left[:, component])[0, 1]
                assert abs(size) > 0.97
            if before is not None and clear[0]:
                assert np.corrcoef(colors[:, 0], before[:, 0])[0, 1] > -0.1
            before = colors


def test_the_red_square_is_where_channel_seven_fires_at_every_layer() -> None:
    pixels = np.asarray(draw_grey(0, red=True))
    batch = torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None] / 255 - 0.45
    maps = compute_maps(make_red_network(), batch)
    for layer in maps.patches(maps.channel(Representation.PRE, CHANNEL)):
        peak = np.unravel_index(np.abs(layer).argmax(), layer.shape)
        assert tuple(map(int, peak)) == RED_PATCH
        others = np.delete(layer.ravel(), layer.argmax())
        assert layer.max() > 10 * np.abs(others).max()


def test_patches_that_are_all_alike_have_colours_too() -> None:
    maps = compute_maps(make_red_network(), torch.zeros(1, 3, 16, 16))
    assert maps.colors.shape[1:] == (12, 1, 1, 3)
    assert np.isfinite(maps.explained).all()


@pytest.mark.usefixtures("_cache")
def test_a_request_is_computed_once_for_both_networks_and_proves_its_weights(
    tmp_path: Path,
) -> None:
    request = _request(make_project(tmp_path / "project", images=2, size=SIZE))
    assert MapRequest.from_json(request.to_json()) == request
    assert len(request.missing()) == 4
    compute_missing(request, ProgressReporter(quiet=True))
    assert request.missing() == []
    adapted, frozen = (
        load_maps(request.result_path(request.pictures[0], arm)).channel(Representation.PRE, 0)
        for arm in (Arm.ADAPTER, Arm.FROZEN)
    )
    assert np.abs(adapted - frozen).max() > 0.1
    with pytest.raises(CheckpointError, match="not the weights"):
        load_arm(dataclasses.replace(request, weights_sha256="0" * 64), Arm.FROZEN)


@pytest.mark.usefixtures("_cache")
def test_a_run_that_is_stopped_in_a_picture_keeps_those_before(tmp_path: Path) -> None:
    request = _request(make_project(tmp_path / "project", images=2, size=SIZE, lora=False))
    seen = []

    def check() -> None:
        seen.append(len(request.missing()))
        if seen.count(1) == 3:
            raise StoppedError

    with pytest.raises(StoppedError):
        compute_missing(request, ProgressReporter(quiet=True), check=check)
    assert [picture for picture, _ in request.missing()] == [request.pictures[1]]
    assert seen.count(2) > 3  # asked between the blocks of a picture


@pytest.mark.usefixtures("_cache")
def test_a_result_says_which_files_made_it(tmp_path: Path) -> None:
    request = _request(make_project(tmp_path / "project", images=1, size=SIZE))
    compute_missing(request, ProgressReporter(quiet=True))
    adapted, frozen = (
        load_maps(request.result_path(request.pictures[0], arm)).sources.tolist()
        for arm in (Arm.ADAPTER, Arm.FROZEN)
    )
    assert adapted[0] == frozen[0] == sha256_of(request.weights)
    assert request.head is not None
    assert adapted[1] == read_head(request.head).sha256
    assert frozen[1] == ""


@pytest.mark.usefixtures("_cache")
def test_what_decides_the_maps_decides_where_they_are_kept(tmp_path: Path) -> None:
    request = _request(make_project(tmp_path / "project", images=2, size=SIZE, lora=False))
    first, second = request.pictures
    kept = request.result_path(first, Arm.FROZEN)
    assert request.result_path(second, Arm.FROZEN) != kept
    for change in (
        {"image_size": (48, 32)},
        {"mean": (0.0, 0.0, 0.0)},
        {"channels": (1, 2)},
        {"weights_sha256": "1" * 64},
    ):
        assert dataclasses.replace(request, **change).result_path(first, Arm.FROZEN) != kept
    adapted = dataclasses.replace(request, head=request.weights, adapter_sha256="2" * 64)
    assert adapted.result_path(first, Arm.FROZEN) == kept  # shared by versions with one backbone
    assert adapted.result_path(first, Arm.ADAPTER) != kept


def test_a_network_too_large_to_keep_keeps_the_channels_that_stand_out() -> None:
    table = make_table(channels=64, layers=4, outliers={11: 300.0, 50: 90.0})
    assert choose_channels(table, 3, tokens=100) is None
    chosen = choose_channels(table, 3, tokens=100, max_bytes=2 * 100 * 4 * 5)
    assert chosen is not None
    assert len(chosen) == 5
    assert {3, 11, 50} <= set(chosen)


def test_a_payload_without_its_weights_says_which_file_is_wanted(tmp_path: Path) -> None:
    table = make_table()
    with pytest.raises(CheckpointError, match=r"dinov3_vitt16_demo\.pt.*Put the file"):
        plan_maps(table, [], 0, roots=[tmp_path])
    old = StatsTable(table.values, table.counts, table.layers, {**table.meta, "run": {}})
    with pytest.raises(PayloadError, match="how its images were prepared"):
        plan_maps(old, [], 0, roots=[tmp_path])


def test_files_that_a_payload_names_are_found_by_name_where_such_files_lie(tmp_path: Path) -> None:
    for name in ("weights/dinov3_vitt16_demo.pt", "weights/head/infer_head.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True, parents=True)
        (tmp_path / name).touch()
    request = plan_maps(make_table(), [], 0, roots=[tmp_path])
    assert request.weights == tmp_path / "weights" / "dinov3_vitt16_demo.pt"
    assert request.head == tmp_path / "weights" / "head" / "infer_head.pt"
    assert request.weights_sha256 == "a" * 64  # so that other weights of that name are refused
    assert request.is_as_measured


def test_weights_and_head_that_are_named_are_taken_as_they_are(tmp_path: Path) -> None:
    for name in ("b.pth", "head/infer_head.pt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    weights, head = str(tmp_path / "b.pth"), str(tmp_path / "head")
    table = make_table(used_lora=False)
    request = plan_maps(table, [], 0, weights=weights, head=head, roots=[tmp_path])
    assert request.weights == Path(weights)
    assert request.head == Path(head, "infer_head.pt")
    assert (request.weights_sha256, request.adapter_sha256) == (None, None)
    assert request.arms == (Arm.ADAPTER, Arm.FROZEN)
    assert not request.is_as_measured
    frozen = plan_maps(make_table(), [], 0, weights=weights, head="none", roots=[tmp_path])
    assert frozen.arms == (Arm.FROZEN,)
    with pytest.raises(ConfigError, match="lies outside"):
        plan_maps(table, [], 0, weights="/etc/passwd", roots=[tmp_path])
    with pytest.raises(ConfigError, match=r"c\.pth: does not exist"):
        plan_maps(table, [], 0, weights=str(tmp_path / "c.pth"), roots=[tmp_path])


@pytest.mark.usefixtures("_cache")
def test_old_results_go_first_and_damaged_ones_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    maps = compute_maps(make_backbone(), _pixels())
    folder = tmp_path / "maps"
    monkeypatch.setattr(map_store, "MAX_KEPT_BYTES", 0)
    save_maps(folder / "old.npz", maps)
    save_maps(folder / "new.npz", maps)
    assert [path.name for path in folder.iterdir()] == ["new.npz"]
    (folder / "new.npz").write_bytes(b"PK")
    with pytest.raises(PayloadError, match="cannot be read"):
        load_maps(folder / "new.npz")
    assert not (folder / "new.npz").exists()


def _request(project: Path) -> MapRequest:
    weights = next((project / "weights").glob("*.pth"))
    head = project / "weights" / "head" / "infer_head.pt"
    images = sorted((project / "data" / "train").iterdir())
    return MapRequest(
        backbone="dinov3_vitt16_demo",
        weights=weights,
        weights_sha256=sha256_of(weights),
        head=head if head.exists() else None,
        adapter_sha256=None,
        config={},
        image_size=SIZE,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        channels=None,
        pictures=tuple(Picture.of(path) for path in images),
    )
