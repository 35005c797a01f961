"""The comparison on the command line: its JSON is a contract, its exit codes are a gate."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from analysis.cli.extract import main
from analysis.read.compare.noise import NO_GROUPS
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload

Capture = pytest.CaptureFixture[str]


@pytest.fixture
def pair(tmp_path: Path) -> tuple[str, str]:
    """Return two payloads that differ in channel 5 of the last layer's patch tokens."""
    return _write(tmp_path, *make_grouped_pair())


def _write(folder: Path, first: dict[str, Any], second: dict[str, Any]) -> tuple[str, str]:
    a, b = (
        write_payload(folder / name / "feature_stats" / "dinov3_feature_stats.pt", payload)
        for name, payload in (("a", first), ("b", second))
    )
    return str(a), str(b)


def _compare_json(capsys: Capture, *arguments: str) -> dict[str, Any]:
    main(["compare", *arguments, "--json"])
    return json.loads(capsys.readouterr().out)


def test_the_json_has_exactly_the_documented_keys(pair: tuple[str, str], capsys: Capture) -> None:
    found = _compare_json(capsys, *pair)
    assert found.keys() == {
        *("comparability", "reasons", "baseline", "version", "max_drift", "degenerate_cells"),
        *("cells", "outliers"),
    }
    assert found["comparability"] == "green"
    cell = {"layer", "representation", "role"}
    assert {frozenset(row) for row in found["reasons"]} == {
        frozenset({"topic", "severity", "sentence"})
    }
    assert {frozenset(row) for row in found["cells"]} == {
        frozenset(
            cell
            | {"drift", "excess", "log_ratio", "noise_floor", "noise_band"}
            | {"beyond_noise", "flagged_channels"}
        )
    }
    assert {frozenset(row) for row in found["outliers"]} == {
        frozenset(cell | {"new", "gone", "kept", "jaccard"})
    }
    assert len(found["cells"]) == len(found["outliers"]) == 3 * 3 * 2
    assert found["max_drift"] == max(row["drift"] for row in found["cells"])


def test_only_what_was_planted_is_flagged(pair: tuple[str, str], capsys: Capture) -> None:
    flagged = {
        (row["layer"], row["representation"], row["role"]): row["flagged_channels"]
        for row in _compare_json(capsys, *pair)["cells"]
        if row["flagged_channels"]
    }
    assert flagged == {
        (2, "pre", "patch"): 1,
        (2, "per_layer_ln", "patch"): 1,
        (2, "global_ln", "patch"): 1,
    }


def test_the_size_below_which_a_drift_is_negligible_can_be_moved(
    pair: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    said = []
    for limit in ("0.01", "9"):
        report = tmp_path / f"{limit}.html"
        main(["compare", *pair, "--negligible", limit, "--html", str(report)])
        text = capsys.readouterr().out
        said.append("measurable, negligible; concentrates in layer 2" in text)
        assert ("measurable, negligible" in report.read_text()) == said[-1]
    assert said == [False, True]
    assert main(["compare", *pair, "--negligible", "-1"]) == 2
    assert "--negligible -1.0: must be 0 or more" in capsys.readouterr().err


def test_the_report_is_in_the_language_that_is_asked_for(
    pair: tuple[str, str], tmp_path: Path, capsys: Capture
) -> None:
    report = tmp_path / "zh.html"
    main(["compare", *pair, "--html", str(report), "--lang", "zh"])
    text = report.read_text()
    assert '<html lang="zh' in text
    assert "集中在第 2 层" in text
    assert "骨干：相同" in text
    assert "concentrates in layer 2" in capsys.readouterr().out
    assert "concentrates in layer 2" not in text


def test_the_top_lists_are_those_of_the_two_files(pair: tuple[str, str], capsys: Capture) -> None:
    first, second = make_grouped_pair()
    row = _compare_json(capsys, *pair)["outliers"][-1]
    assert (row["layer"], row["representation"], row["role"]) == (2, "global_ln", "patch")
    tops = []
    for payload in (first, second):
        max_abs = payload["layers"][2]["global_ln"]["patch"]["max_abs"].numpy()
        tops.append(set(np.argsort(-max_abs, kind="stable")[:20].tolist()))
    assert set(row["kept"]) == tops[0] & tops[1]
    assert set(row["new"]) == tops[1] - tops[0]
    assert set(row["gone"]) == tops[0] - tops[1]
    assert row["jaccard"] == pytest.approx(len(tops[0] & tops[1]) / len(tops[0] | tops[1]))


def test_a_gate_opens_and_closes_at_the_drift(pair: tuple[str, str], capsys: Capture) -> None:
    excess = max(row["excess"] for row in _compare_json(capsys, *pair)["cells"])
    assert main(["compare", *pair]) == 0
    assert main(["compare", *pair, "--max-drift", repr(excess)]) == 0
    assert main(["compare", *pair, "--max-drift", repr(excess * 0.999)]) == 1
    assert main(["compare", *pair, "--max-drift", "0", "--role", "cls"]) == 0
    assert main(["compare", pair[0], pair[0], "--max-drift", "0"]) == 0


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"backbone": "dinov3_vits16"}, id="another backbone of the same size"),
        pytest.param({"channels": 24}, id="other channels"),
        pytest.param({"used_lora": False, "lora_error": "does not fit"}, id="a failed adapter"),
    ],
)
def test_what_cannot_be_compared_does_not_pass_a_gate(
    tmp_path: Path, capsys: Capture, change: dict[str, Any]
) -> None:
    pair = _write(tmp_path, make_payload(), make_payload(**change))
    assert main(["compare", *pair, "--json", "--max-drift", "1000"]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["comparability"] == "red"
    assert found["reasons"][0]["severity"] == "red"


def test_nothing_is_compared_channel_by_channel_between_backbones(
    tmp_path: Path, capsys: Capture
) -> None:
    pair = _write(tmp_path, make_payload(), make_payload(backbone="dinov3_vits16"))
    found = _compare_json(capsys, *pair)
    assert found["max_drift"] is None
    assert found["cells"] == found["outliers"] == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere.pt", "nowhere.pt"], "nowhere.pt: cannot be read"),
        (["broken.pt", "broken.pt"], "broken.pt"),
        (["good.pt", "good.pt", "--max-drift", "-1"], "--max-drift -1.0: must be 0 or more"),
        (["good.pt", "good.pt", "--max-drift", "nan"], "--max-drift nan: must be 0 or more"),
        (["good.pt", "good.pt", "--html", "nowhere/report.html"], "nowhere/report.html"),
        (["good.pt", "good.pt", "--html", "good.pt"], "--html good.pt: there is a file already"),
        (["good.pt", "good.pt", "--html", "broken.pt"], "broken.pt: there is a file already"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_two(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Capture,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    write_payload(tmp_path / "good.pt", make_payload())
    (tmp_path / "broken.pt").write_bytes(b"not a payload")
    assert main(["compare", *arguments]) == 2
    error = capsys.readouterr().err
    assert said in error
    assert error.count("\n") == 1


def test_payloads_of_the_original_script_compare_without_significance(
    tmp_path: Path, capsys: Capture
) -> None:
    old = [make_payload(recorded=False, version=None, seed=seed, drift=seed) for seed in (0, 3)]
    pair = _write(tmp_path, *old)
    assert main(["compare", *pair]) == 0
    assert NO_GROUPS in capsys.readouterr().out
    found = _compare_json(capsys, *pair)
    assert found["comparability"] == "amber"
    assert any("not recorded in" in reason["sentence"] for reason in found["reasons"])
    assert found["max_drift"] > 0
    assert {row["noise_floor"] for row in found["cells"]} == {None}
    assert {row["flagged_channels"] for row in found["cells"]} == {None}


def test_a_gate_does_not_fire_on_what_chance_gives(tmp_path: Path, capsys: Capture) -> None:
    pair = _write(tmp_path, *make_grouped_pair(shifted=(), images=16))
    cells = _compare_json(capsys, *pair)["cells"]
    assert max(row["drift"] for row in cells) > 0
    assert main(["compare", *pair, "--max-drift", "0"]) == 0


def test_stds_that_explode_are_held_by_their_ratio(tmp_path: Path) -> None:
    before, after = make_payload(), make_payload()
    for roles in after["layers"][1].values():
        roles["patch"]["std"] = roles["patch"]["std"] * 3
        roles["patch"]["max_abs"] = roles["patch"]["max_abs"] * 30
    pair = _write(tmp_path, before, after)
    assert main(["compare", *pair, "--max-ratio", "3.1"]) == 0
    assert main(["compare", *pair, "--max-ratio", "2.9"]) == 1
    assert main(["compare", *pair, "--max-ratio", "2.9", "--role", "cls"]) == 0


def test_one_image_has_no_drift_of_its_cls_token(tmp_path: Path, capsys: Capture) -> None:
    pair = _write(tmp_path, make_payload(images=1), make_payload(images=1, drift=2.0))
    found = _compare_json(capsys, *pair)
    drifts = {row["role"]: row["drift"] for row in found["cells"]}
    assert drifts["cls"] is None
    assert drifts["patch"] is not None
    assert found["degenerate_cells"] == len(found["cells"]) / 2


@pytest.mark.parametrize("fault", ["NaN", "width"])
def test_groups_that_contradict_the_payload_are_one_line_and_exit_code_two(
    tmp_path: Path, capsys: Capture, fault: str
) -> None:
    before, after = make_grouped_pair()
    group = after["extras"]["layers"][1]["groups"]["pre"]["patch"]
    if fault == "NaN":
        group["mean"][2, 7] = float("nan")
    else:
        for layer in after["extras"]["layers"].values():
            cell = layer["groups"]["pre"]["patch"]
            cell["mean"], cell["std"] = cell["mean"][:, :40], cell["std"][:, :40]
    assert main(["compare", *_write(tmp_path, before, after), "--max-drift", "1"]) == 2
    error = capsys.readouterr().err
    assert "groups" in error
    assert error.count("\n") == 1
