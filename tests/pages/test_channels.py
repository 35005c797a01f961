"""The page of one channel tells the numbers of the file, recomputed here on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.payload.discovery import discover_payloads
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, decode, figures, payload_path, texts

CHANNEL, LAYER = 7, 2


@pytest.fixture
def payload(project: Path) -> dict[str, Any]:
    made = make_payload(channels=64, version="v1")
    write_payload(payload_path(project, "v1"), made)
    return made


def test_the_cards_and_the_table_place_the_channel_in_its_layer(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("channels", channel=str(CHANNEL), layer=str(LAYER))
    cell = {key: np.asarray(v) for key, v in payload["layers"][LAYER]["pre"]["patch"].items()}
    cards = {metric.label: metric.value for metric in app.metric}
    sizes = cell["max_abs"]
    assert cards["Rank in layer 2"] == f"{1 + (sizes > sizes[CHANNEL]).sum()} of 64"
    assert cards["× median"] == f"{sizes[CHANNEL] / np.median(sizes):#.4g}"
    assert cards["mean"] == f"{cell['mean'][CHANNEL]:#.4g}"
    spread = app.dataframe[0].value.set_index("statistic")
    assert spread.loc["std", "largest"] == cell["std"].max()
    assert spread.loc["mean", "smallest"] == cell["mean"].min()
    assert spread.loc["max |x|", "here"] == sizes[CHANNEL]
    assert "Rank correlation over channels: |mean| and std" in texts(app).replace("\\", "")


def test_the_rank_is_told_for_every_layer(payload: dict[str, Any], open_page: Open) -> None:
    app = open_page("channels", channel=str(CHANNEL), open_rank_through_depth="on")
    drawn = figures(app)[1]
    for representation, label in (("pre", "block output"), ("global_ln", "global LN")):
        (line,) = [t for t in drawn["data"] if t["name"] == f"{label}, CLS"]
        sizes = [
            np.asarray(payload["layers"][n][representation]["cls"]["max_abs"]) for n in range(4)
        ]
        expected = [1 + int((values > values[CHANNEL]).sum()) for values in sizes]
        assert decode(line["y"]).tolist() == expected


def test_of_two_versions_the_other_is_drawn_thin(
    payload: dict[str, Any], project: Path, open_page: Open
) -> None:
    other = make_payload(version="other", layers=4, channels=64, seed=7)
    write_payload(payload_path(project, "other"), other)
    keys = {ref.version: ref.key for ref in discover_payloads()}
    (first,) = set(keys) - {"other"}
    app = open_page("channels", channel="3", version=keys[first], compare=keys["other"])
    drawn = figures(app)[0]["data"]
    (thin,) = [t for t in drawn if t["name"] == "block output, CLS: other"]
    expected = [float(other["layers"][n]["pre"]["cls"]["max_abs"][3]) for n in range(4)]
    np.testing.assert_allclose(decode(thin["y"]), expected, rtol=1e-6)
    assert "the same channel in other" in texts(app)


def test_the_other_cells_are_outlined_on_demand(payload: dict[str, Any], open_page: Open) -> None:
    plain, outlined = (figures(open_page("channels", others=state))[1] for state in ("off", "on"))
    assert len(plain["data"]) == 1
    names = [trace["name"] for trace in outlined["data"]]
    assert names[0] == "channels"
    assert len(names) == 6
    assert {"block output, CLS", "global LN, CLS", "global LN, patch"} < set(names)
    title = outlined["layout"]["xaxis"]["title"]["text"]
    assert title == "max |x| (residual-stream units, normalised units)"


def test_one_set_of_controls_rules_all_figures(payload: dict[str, Any], open_page: Open) -> None:
    app = open_page("channels", cells="off", role="cls", representation="global_ln")
    labels = [control.label for control in app.segmented_control]
    assert labels.count("Tokens") == labels.count("Representation") == 1
    for drawn in figures(app)[:1]:
        names = {trace["name"] for trace in drawn["data"] if trace.get("showlegend", True)}
        assert names - {"tapped by the config"} == {"global LN, CLS"}


def test_max_of_cls_and_patches_is_said_not_to_be_comparable(
    payload: dict[str, Any], open_page: Open
) -> None:
    warning = "max |x| grows with the number of tokens (CLS 6, patch 48)"
    assert warning in texts(open_page("channels"))
    assert warning not in texts(open_page("channels", cells="off"))
    assert warning not in texts(open_page("channels", statistic="std"))


def test_the_plane_sets_two_representations_against_each_other(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("channels", layer=str(LAYER), plane="pre-global_ln", statistic="std")
    x, y = (np.asarray(payload["layers"][LAYER][r]["patch"]["std"]) for r in ("pre", "global_ln"))
    points = figures(app)[2]["data"][0]
    np.testing.assert_array_equal(decode(points["x"]), x)
    np.testing.assert_array_equal(decode(points["y"]), y)
    ranks = np.argsort(np.argsort(x)), np.argsort(np.argsort(y))
    expected = f"block output and global LN {np.corrcoef(*ranks)[0, 1]:.2f}"
    assert f"Rank correlation over channels: {expected}." in texts(app).replace("\\", "")


def test_the_full_table_has_every_channel_with_its_rank(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("channels", layer=str(LAYER))
    app.session_state["all channels"] = True
    frame = app.run().dataframe[2].value
    sizes = np.asarray(payload["layers"][LAYER]["pre"]["patch"]["max_abs"])
    assert frame["channel"].tolist() == list(range(64))
    np.testing.assert_array_equal(frame["max_abs"], sizes)
    assert frame.sort_values("rank")["channel"].tolist() == np.argsort(-sizes).tolist()


def test_correlations_name_the_statistics_in_the_language_of_the_page(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("channels", channel=str(CHANNEL), lang="zh")
    assert "|均值| 与 标准差" in texts(app).replace("\\", "")
