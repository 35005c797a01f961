from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from analysis.errors import PayloadError
from analysis.files.cache_folder import CACHE_ENV, cache_folder
from analysis.payload import array_cache as table_cache
from analysis.payload.reading import open_payload
from analysis.payload.table import StatsTable, build_table
from analysis.read.frames import (
    Aggregate,
    aggregate_channels,
    channel_depth_frame,
    channel_frame,
    layer_frame,
)
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests import ROOT
from tests.factories.payloads import make_payload, make_table, write_payload


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv(CACHE_ENV, str(folder))
    return folder


def _assert_equal(a: StatsTable, b: StatsTable) -> None:
    np.testing.assert_array_equal(a.values, b.values)
    np.testing.assert_array_equal(a.counts, b.counts)
    np.testing.assert_array_equal(a.layers, b.layers)
    assert (a.values.dtype, a.counts.dtype, a.layers.dtype) == (np.float32, np.int64, np.int64)
    assert a.meta == b.meta


def test_every_number_of_the_payload_is_found_under_its_own_name() -> None:
    payload = make_payload()
    table = build_table(payload)
    assert table.values.shape == (4, 3, 2, 3, 48)
    for layer, representations in payload["layers"].items():
        for representation, roles in representations.items():
            for role, cell in roles.items():
                where = (Representation(representation), TokenRole(role))
                assert table.count(layer, where[1]) == cell["count"]
                for name in Statistic:
                    expected = cell[name.value].numpy()
                    np.testing.assert_array_equal(table.get(layer, *where, name), expected)
                    np.testing.assert_array_equal(table.over_depth(*where, name)[layer], expected)


def test_layers_are_ascending_whatever_their_order_in_the_file() -> None:
    payload = make_payload()
    shuffled = {layer: payload["layers"][layer] for layer in (2, 0, 3, 1)}
    _assert_equal(build_table({**payload, "layers": shuffled}), build_table(payload))


def test_representations_that_disagree_on_the_tokens_are_refused() -> None:
    payload = make_payload()
    payload["layers"][2]["global_ln"]["patch"]["count"] -= 1
    with pytest.raises(PayloadError, match=r"layers\.2: global_ln\.patch\.count is 47"):
        build_table(payload)


def test_a_file_reads_the_same_the_first_time_and_from_the_cache(tmp_path: Path) -> None:
    payload = make_payload()
    payload["meta"]["config"]["schedule"] = {
        "start": str(date(2026, 1, 2)),
        "steps": [1, 2.5, None],
    }
    path = write_payload(tmp_path / "a.pt", payload)
    first, second = open_payload(path).table, open_payload(path).table
    _assert_equal(first, build_table(payload))
    _assert_equal(second, first)


def test_a_cached_payload_is_read_without_torch(tmp_path: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload())
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from analysis.payload.reading import open_payload; "
        f"print(open_payload({str(path)!r}).table.channels)"
    )
    arguments = [sys.executable, "-c", code]
    assert (
        subprocess.run(arguments, cwd=ROOT, capture_output=True).returncode != 0
    )  # not cached yet
    open_payload(path)
    done = subprocess.run(arguments, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "48"


def test_a_replaced_payload_is_read_anew_and_its_old_arrays_forgotten(
    tmp_path: Path, cache: Path
) -> None:
    path = tmp_path / "a.pt"
    for seed in (1, 2):
        write_payload(path, make_payload(seed=seed))
        _assert_equal(open_payload(path).table, make_table(seed=seed))
    assert len(list(cache.iterdir())) == 1


def test_the_cache_keeps_a_bounded_number_of_payloads(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table_cache, "MAX_FILES", 2)
    for name in "abcd":
        open_payload(write_payload(tmp_path / f"{name}.pt", make_payload(layers=1, channels=2)))
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda content: b"", id="empty"),
        pytest.param(lambda content: content[: len(content) // 2], id="truncated"),
        pytest.param(lambda content: b"no zip" * 100, id="other-content"),
        pytest.param(
            lambda content: (
                content[:900] + bytes(b ^ 255 for b in content[900:1000]) + content[1000:]
            ),
            id="flipped-bits",
        ),
    ],
)
def test_a_damaged_cache_file_is_ignored_and_rewritten(
    tmp_path: Path, cache: Path, damage: Callable[[bytes], bytes]
) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload())
    open_payload(path)
    (cached,) = cache.iterdir()
    whole = cached.read_bytes()
    cached.write_bytes(damage(whole))
    _assert_equal(open_payload(path).table, make_table())
    assert cached.read_bytes()[:4] == whole[:4]
    assert len(cached.read_bytes()) == len(whole)


def test_a_cache_file_of_another_payload_is_not_believed(tmp_path: Path, cache: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload(seed=1))
    open_payload(path)
    (of_a,) = cache.iterdir()
    other = write_payload(tmp_path / "b.pt", make_payload(seed=2))
    open_payload(other)
    (of_b,) = set(cache.iterdir()) - {of_a}
    of_a.write_bytes(of_b.read_bytes())
    _assert_equal(open_payload(path).table, make_table(seed=1))


def test_a_pickle_in_the_cache_is_not_opened(tmp_path: Path, cache: Path) -> None:
    path = write_payload(tmp_path / "a.pt", make_payload())
    open_payload(path)
    (cached,) = cache.iterdir()
    with np.load(cached) as stored:
        arrays = dict(stored)
    mark = tmp_path / "executed"

    class Bomb:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (open, (str(mark), "w"))  # type: ignore[return-value]

    arrays["values"] = np.array([Bomb()], dtype=object)
    np.savez(cached, **arrays)
    _assert_equal(open_payload(path).table, make_table())
    assert not mark.exists()


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        pytest.param({CACHE_ENV: "/chosen"}, "/chosen", id="chosen"),
        pytest.param({"XDG_CACHE_HOME": "/xdg"}, "/xdg/dinov3-feature-stats", id="xdg"),
        pytest.param({"HOME": "/home/me"}, "/home/me/.cache/dinov3-feature-stats", id="home"),
    ],
)
def test_the_cache_is_the_users_own_unless_chosen(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], expected: str
) -> None:
    for name in (CACHE_ENV, "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_reading_works_where_no_cache_can_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    blocked = tmp_path / "file"
    blocked.write_text("")
    monkeypatch.setenv(CACHE_ENV, str(blocked / "cache"))
    _assert_equal(
        open_payload(write_payload(tmp_path / "a.pt", make_payload())).table, make_table()
    )


def test_a_missing_or_broken_payload_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=r"gone\.pt"):
        open_payload(tmp_path / "gone.pt")
    broken = tmp_path / "broken.pt"
    broken.write_bytes(b"PK")
    with pytest.raises(PayloadError, match=r"broken\.pt"):
        open_payload(broken)
    payload = make_payload()
    del payload["layers"][1]["pre"]["cls"]["std"]
    torch.save(payload, broken)
    with pytest.raises(PayloadError, match=r"layers\.1\.pre\.cls\.std"):
        open_payload(broken)


def test_a_table_survives_pickling_as_one_array() -> None:
    table = make_table()
    _assert_equal(pickle.loads(pickle.dumps(table)), table)


@pytest.mark.parametrize("statistic", Statistic)
@pytest.mark.parametrize(
    ("aggregate", "reference"),
    [
        pytest.param(Aggregate.MEDIAN, lambda v: np.median(v), id="median"),
        pytest.param(Aggregate.P90, lambda v: np.percentile(v, 90), id="p90"),
        pytest.param(Aggregate.P99, lambda v: np.percentile(v, 99), id="p99"),
        pytest.param(Aggregate.MAX, max, id="max"),
        pytest.param(Aggregate.MEAN, lambda v: sum(v) / len(v), id="mean"),
        pytest.param(Aggregate.MIN, min, id="min"),
        pytest.param(Aggregate.STD, lambda v: np.sqrt(np.mean((v - np.mean(v)) ** 2)), id="std"),
    ],
)
@pytest.mark.parametrize("signed", [False, True])
def test_aggregates_match_one_cell_at_a_time_and_are_of_sizes_unless_signed(
    statistic: Statistic,
    aggregate: Aggregate,
    reference: Callable[[NDArray[np.float64]], float],
    signed: bool,
) -> None:
    table = make_table()
    found = aggregate_channels(table, statistic, aggregate, signed=signed)
    assert (found.shape, found.dtype) == ((4, 3, 2), np.float32)
    for layer in range(4):
        for i, representation in enumerate(Representation):
            for j, role in enumerate(TokenRole):
                values = table.get(layer, representation, role, statistic).astype(np.float64)
                expected = reference(values if signed else np.abs(values))
                np.testing.assert_allclose(found[layer, i, j], expected, rtol=1e-5, atol=1e-7)


def test_the_layer_frame_has_a_row_per_layer_representation_and_role() -> None:
    table = make_table()
    frame = layer_frame(table, Statistic.STD)
    assert len(frame) == 4 * 3 * 2
    row = frame.query("layer == 2 and representation == 'global_ln' and role == 'patch'").iloc[0]
    values = table.get(2, Representation.GLOBAL_LN, TokenRole.PATCH, Statistic.STD)
    assert row["tokens"] == 48
    assert row["max"] == values.max()
    assert row["median"] == pytest.approx(np.median(values), rel=1e-6)


def test_the_channel_frames_hold_the_same_numbers_as_the_table() -> None:
    table = make_table()
    frame = channel_frame(table, 3, Representation.PRE, TokenRole.CLS)
    assert frame.columns.tolist() == ["channel", "mean", "std", "max_abs"]
    expected = table.get(3, Representation.PRE, TokenRole.CLS, Statistic.MAX_ABS)
    np.testing.assert_array_equal(frame["max_abs"], expected)
    depth = channel_depth_frame(table, 7)
    row = depth.query("layer == 3 and representation == 'pre' and role == 'cls'").iloc[0]
    assert row["max_abs"] == expected[7]
    assert row["tokens"] == 6


def test_an_absent_layer_is_named() -> None:
    with pytest.raises(PayloadError, match=r"Layer 9 is not in this payload.*0 to 3"):
        make_table().position(9)


@pytest.mark.parametrize(
    ("indices", "expected"),
    [
        pytest.param([3, 1], (1, 3), id="two"),
        pytest.param([1, 1, 99, -1], (1,), id="doubled-and-absent"),
        pytest.param(["1", True, None, 2.0], (), id="no-numbers"),
    ],
)
def test_tapped_layers_are_those_of_the_config_that_exist(
    indices: list[object], expected: tuple[int, ...]
) -> None:
    payload = make_payload()
    payload["meta"]["config"]["model"]["backbone_layers"]["indices"] = indices
    assert build_table(payload).tapped_layers == expected


@pytest.mark.parametrize("config", [{}, {"model": None}, {"model": {"backbone_layers": [1, 2]}}])
def test_a_config_without_tapped_layers_taps_none(config: dict[str, object]) -> None:
    payload = make_payload()
    payload["meta"]["config"] = config
    assert build_table(payload).tapped_layers == ()


def test_one_layer_of_one_channel_is_a_table() -> None:
    table = make_table(layers=1, channels=1, images=1)
    assert table.values.shape == (1, 3, 2, 3, 1)
    for aggregate in Aggregate:
        assert np.isfinite(aggregate_channels(table, Statistic.STD, aggregate)).all()


def test_payloads_of_other_tools_have_no_run() -> None:
    table = make_table(recorded=False)
    assert table.run == {}
    assert table.num_images == 6


def test_tapped_layers_may_stand_by_backbone_and_count_only_where_enabled() -> None:
    payload = make_payload()
    backbone = payload["meta"]["backbone"]["backbone_name"]
    section = {"enabled": True, "indices": None, "indices_by_backbone": {backbone: [3, 1]}}
    payload["meta"]["config"]["model"]["backbone_layers"] = section
    assert build_table(payload).tapped_layers == (1, 3)
    section["enabled"] = False
    section["indices"] = [2]
    assert build_table(payload).tapped_layers == ()
