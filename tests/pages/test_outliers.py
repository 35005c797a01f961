"""The Outliers page tells the numbers of the file, recomputed here without the app's own code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from streamlit.testing.v1 import AppTest

from pages.components.shared.tables import choose_format
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, decode, figures, payload_path, texts

LAYERS, CHANNELS = 5, 64
OUTLIERS = {7: 400.0, 20: 90.0, 33: 30.0}


@pytest.fixture
def payload(project: Path) -> dict[str, Any]:
    made = make_payload(
        layers=LAYERS, channels=CHANNELS, outliers=OUTLIERS, version="v1", extras=True
    )
    write_payload(payload_path(project, "v1"), made)
    return made


def _max_abs(payload: dict[str, Any], layer: int, role: str = "patch") -> NDArray[np.float64]:
    return payload["layers"][layer]["pre"][role]["max_abs"].double().numpy()


def _robust(sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    center = np.median(sizes)
    return (sizes - center) / (1.4826022 * np.median(np.abs(sizes - center)))


def test_every_channel_is_on_the_screen_and_the_true_number_of_outliers_above_it(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("outliers", layer="3", k="10")
    sizes = _max_abs(payload, 3)
    outliers = np.flatnonzero(_robust(sizes) >= 10)
    assert _metric(app, "Outliers") == str(len(outliers))
    others, marked = figures(app)[0]["data"]
    assert sorted(decode(marked["x"])) == outliers.tolist()
    drawn = np.concatenate([decode(others["x"]), decode(marked["x"])])
    heights = np.concatenate([decode(others["y"]), decode(marked["y"])])
    np.testing.assert_allclose(heights[np.argsort(drawn)], sizes, rtol=1e-6)
    ranking = app.dataframe[0].value
    best = np.argsort(-sizes)[:10]
    assert ranking["channel"].tolist() == best.tolist()
    np.testing.assert_allclose(ranking["times_median"], sizes[best] / np.median(sizes), rtol=1e-6)
    np.testing.assert_allclose(ranking["fp16_headroom"], 65504 / sizes[best], rtol=1e-6)
    levels = 255 * np.minimum(np.median(sizes) / sizes[best], 1)
    np.testing.assert_allclose(ranking["int8_levels"], levels, rtol=1e-6)


@pytest.mark.parametrize("threshold", [3.0, 50.0])
def test_the_threshold_of_the_link_decides_what_an_outlier_is_everywhere_on_the_page(
    payload: dict[str, Any], open_page: Open, threshold: float
) -> None:
    query = {"layer": "4", "threshold_robust": f"{threshold:g}"}
    app = open_page("outliers", **query)
    masks = np.stack([_robust(_max_abs(payload, n)) >= threshold for n in range(LAYERS)])
    assert _metric(app, "Outliers") == str(masks[4].sum())
    persistent = app.dataframe[1].value
    assert len(persistent)
    expected = masks.sum(axis=0)[persistent["channel"]]
    assert persistent["layers_outlier"].tolist() == expected.tolist()
    (level,) = figures(app)[0]["layout"]["shapes"]
    assert (_max_abs(payload, 4) >= level["y0"]).sum() == masks[4].sum()
    counts = figures(open_page("outliers", course="counts", **query))[1]
    (line,) = [t for t in counts["data"] if t["name"] == "block output, patch"]
    assert decode(line["y"]).tolist() == masks.sum(axis=1).tolist()


def test_the_map_and_the_lines_show_the_same_course(
    payload: dict[str, Any], open_page: Open
) -> None:
    heatmap = figures(open_page("outliers"))[1]
    lines = figures(open_page("outliers", course="lines"))[1]
    expected = np.stack([_max_abs(payload, n)[7] for n in range(LAYERS)])
    row = list(heatmap["layout"]["yaxis"]["ticktext"]).index("7")
    logs = decode(heatmap["data"][0]["z"])
    np.testing.assert_allclose(10 ** logs.reshape(-1, LAYERS)[row], expected, rtol=1e-5)
    (line,) = [t for t in lines["data"] if t["name"] == "channel 7"]
    np.testing.assert_allclose(decode(line["y"]), expected, rtol=1e-6)


def test_a_channel_emerges_where_its_longest_run_as_an_outlier_begins(
    payload: dict[str, Any], open_page: Open
) -> None:
    frame = open_page("outliers").dataframe[1].value
    emergence = dict(zip(frame["channel"], frame["emergence_layer"], strict=True))
    for channel in OUTLIERS:
        runs = [_robust(_max_abs(payload, n))[channel] >= 10 for n in range(LAYERS)]
        best, start, length = 0, None, 0
        for layer, is_one in enumerate(runs):
            length = length + 1 if is_one else 0
            if length > best:
                best, start = length, layer - length + 1
        if start is None:
            assert np.isnan(emergence[channel])
        else:
            assert emergence[channel] == start


def test_roles_with_other_numbers_of_tokens_are_said_not_to_be_comparable(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("outliers")
    assert "(CLS 6, patch 48, each register 6): compare depths and channels" in texts(app)
    (row,) = [row for row in app.dataframe[2].value.to_dict("records") if row["channel"] == 7]
    np.testing.assert_allclose(row["cls"], _max_abs(payload, 4, "cls")[7], rtol=1e-6)
    assert row["where"] == "CLS, patch"


@pytest.mark.parametrize(
    ("score", "unit"),
    [
        ("max_abs", "max |x| (residual-stream units)"),
        ("robust", "robust score (scaled MADs above the median)"),
        ("massive", "massive rule (max |x| over its bound)"),
    ],
)
def test_the_axis_says_the_unit_of_the_score(
    payload: dict[str, Any], open_page: Open, score: str, unit: str
) -> None:
    drawn = figures(open_page("outliers", score=score))[0]
    assert drawn["layout"]["yaxis"]["title"]["text"] == unit


def test_the_share_of_tokens_beyond_each_level_is_that_of_the_file(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("outliers", layer="3", role="patch")
    drawn = figures(app)[-1]["data"]
    counts = payload["extras"]["layers"][3]["exceed"]["patch"].numpy()
    tokens = int(payload["layers"][3]["pre"]["patch"]["count"])
    for trace, level, row in zip(drawn, (6, 20, 100), counts, strict=True):
        assert trace["name"] == f"beyond {level} ({np.count_nonzero(row)})"
        np.testing.assert_array_equal(decode(trace["x"]), np.flatnonzero(row))
        np.testing.assert_allclose(decode(trace["y"]), 100 * row[row > 0] / tokens, rtol=1e-6)
    beyond = [
        payload["extras"]["layers"][n]["exceed"]["patch"][0].numpy() / tokens >= 0.06
        for n in range(LAYERS)
    ]
    meets = np.flatnonzero(np.sum(beyond, axis=0) >= 0.25 * LAYERS)
    assert f"{len(meets)} of 64 channels meet the rule of LLM" in texts(app)


def _metric(app: AppTest, label: str) -> str:
    return next(metric.value for metric in app.metric if metric.label == label)


@pytest.mark.parametrize(
    ("sizes", "shown"),
    [([307.0, 16.4], "%.1f"), ([0.27, np.nan], "%.4f"), ([12345.0], "%.0f"), ([], "%.4g")],
)
def test_sizes_below_each_other_have_the_same_decimals(sizes: list[float], shown: str) -> None:
    assert choose_format(sizes) == shown
