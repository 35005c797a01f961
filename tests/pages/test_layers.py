"""The Layers page tells the numbers of the file, recomputed here on its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.payload.discovery import discover_payloads
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import Open, decode, figures, headings, payload_path, texts

LABELS = {"pre": "block output", "per_layer_ln": "per-layer LN", "global_ln": "global LN"}


@pytest.fixture
def payload(project: Path) -> dict[str, Any]:
    made = make_payload(version="v1", extras=True)
    write_payload(payload_path(project, "v1"), made)
    return made


@pytest.mark.parametrize(
    ("query", "reference"),
    [
        ({"statistic": "max_abs", "aggregate": "p99"}, lambda v: np.percentile(v, 99)),
        ({"statistic": "std", "aggregate": "min"}, np.min),
        ({"statistic": "mean", "aggregate": "std"}, lambda v: np.std(np.abs(v))),
        ({"statistic": "mean", "aggregate": "std", "signed": "on"}, np.std),
        ({"statistic": "mean", "aggregate": "mean", "signed": "on"}, np.mean),
    ],
)
def test_every_line_is_the_aggregate_of_its_cell(
    payload: dict[str, Any], open_page: Open, query: dict[str, str], reference: Any
) -> None:
    drawn = figures(open_page("layers", scale="linear", **query))[0]["data"]
    lines = {line["name"]: decode(line["y"]) for line in drawn}
    for representation, label in LABELS.items():
        for role, called in (("cls", "CLS"), ("patch", "patch")):
            cells = [payload["layers"][n][representation][role] for n in range(4)]
            if representation == "pre":  # begins with what enters block 0
                cells.insert(0, payload["extras"]["embedding"][role])
            expected = [reference(c[query["statistic"]].double().numpy()) for c in cells]
            np.testing.assert_allclose(lines[f"{label}, {called}"], expected, rtol=1e-5, atol=1e-7)


def test_what_enters_block_0_stands_before_it_and_is_called_in(
    payload: dict[str, Any], open_page: Open
) -> None:
    figure = figures(open_page("layers", scale="linear"))[0]
    starts = {line["name"]: decode(line["x"])[0] for line in figure["data"]}
    assert starts["block output, patch"] == starts["block output, CLS"] == -1
    assert starts["global LN, patch"] == 0
    assert list(figure["layout"]["xaxis"]["ticktext"]) == ["in", "0", "1", "2", "3"]


def test_the_signed_mean_is_never_offered_on_a_logarithmic_axis(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("layers", statistic="mean", signed="on", scale="log")
    axis = figures(app)[0]["layout"]["yaxis"]
    assert axis.get("type") is None
    assert axis["title"]["text"].startswith("mean, ")
    sized = figures(open_page("layers", statistic="mean"))[0]["layout"]["yaxis"]
    assert sized["type"] == "log"
    assert sized["title"]["text"].startswith("|mean|, ")


def test_versions_measured_on_other_numbers_of_tokens_are_said_not_to_be_comparable(
    project: Path, open_page: Open
) -> None:
    for version, images in (("few", 6), ("many", 9)):
        made = make_payload(version=version, images=images)
        write_payload(payload_path(project, version), made)
    few, many = (
        next(r.key for r in discover_payloads() if r.version == v) for v in ("few", "many")
    )
    said = texts(open_page("layers", version=few, compare=many))
    assert "few 48 of 6 images, many 72 of 9 images" in said
    assert "few 48" not in texts(open_page("layers", version=few, compare=many, statistic="std"))
    assert "few 48" not in texts(open_page("layers", version=few, compare=""))


def test_kinds_of_tokens_are_said_not_to_be_comparable(
    payload: dict[str, Any], open_page: Open
) -> None:
    assert "(CLS 6, patch 48): compare depths" in texts(open_page("layers"))
    with_registers = texts(open_page("layers", roles="patch", storage="on"))
    assert "(patch 48, each register 6): compare depths" in with_registers
    assert "compare depths" not in texts(open_page("layers", roles="patch"))


def test_the_norms_of_a_layer_are_those_of_the_file(
    payload: dict[str, Any], open_page: Open
) -> None:
    app = open_page("layers", view="norms", layer="2")
    assert headings(app)[1].startswith("Layer 2: block output")
    counts = payload["extras"]["layers"][2]["norm_hist"]["pre"]["patch"].numpy()
    (line,) = [t for t in figures(app)[1]["data"] if t["name"].startswith("patch")]
    assert line["name"] == f"patch ({counts.sum()} tokens)"
    held = decode(line["customdata"]).reshape(-1, 3)
    np.testing.assert_array_equal(held[held[:, 2] > 0, 2], counts[counts > 0])


def test_the_largest_activations_are_those_of_the_file(
    payload: dict[str, Any], open_page: Open
) -> None:
    drawn = figures(open_page("layers", view="top"))[0]["data"]
    top = np.stack([np.asarray(payload["extras"]["layers"][n]["top"]) for n in range(4)])
    for index, name in enumerate(("largest", "second largest", "third largest", "median")):
        (line,) = [t for t in drawn if t["name"] == name]
        np.testing.assert_allclose(decode(line["y"]), top[:, index], rtol=1e-6)


def test_the_suppression_is_the_geometric_mean_of_the_fall_of_the_outliers(
    payload: dict[str, Any], open_page: Open
) -> None:
    drawn = figures(open_page("layers", view="shared_norm"))[0]["data"]
    (line,) = [t for t in drawn if t["name"] == "patch"]
    for layer, told in enumerate(decode(line["y"])):
        before, after = (
            payload["layers"][layer][r]["patch"]["max_abs"].double().numpy()
            for r in ("pre", "global_ln")
        )
        center = np.median(before)
        score = (before - center) / (1.4826022 * np.median(np.abs(before - center)))
        falls = (before / center) / (after / np.median(after))
        expected = np.exp(np.log(falls[score >= 10]).mean())
        np.testing.assert_allclose(told, expected, rtol=1e-5)
