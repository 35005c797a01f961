"""The report: one file, no network, every selected version in it, nothing taken for HTML."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pandas as pd
import pytest

from analysis.payload.features import read_features
from analysis.payload.reading import open_payload
from analysis.show.report.versions import ReportVersion, build_report
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, make_table, write_payload
from tests.factories.vectors import write_with_vectors

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


def _version(name: str, note: str | None = None, **changes: object) -> ReportVersion:
    return ReportVersion(name, make_table(version=name, **changes), note)


def test_one_version_is_reported_with_figures_settings_and_note() -> None:
    facts = pd.DataFrame({"Fact": ["Backbone"], "v1": ["dinov3_vitt16_demo"]})
    report = build_report([_version("v1", "first line\nsecond line")], facts)
    assert "<title>v1</title>" in report
    assert "first line\nsecond line" in report
    assert "<td>Backbone</td><td>dinov3_vitt16_demo</td>" in report
    assert "version: v1" in report
    titles = re.findall(r"<h3>(.*?)</h3>", report)
    assert {"max |x|, median over channels", "Sanity of the numbers"} <= set(titles)
    assert {"Which norm to use", "Outliers in every layer"} <= set(titles)
    assert sum(title.startswith(("How max |x| is", "Mean, std and max")) for title in titles) == 2
    assert sum(title.startswith("Layer ") for title in titles) == 2  # tapped 1 and 3, the last
    assert "against" not in "".join(re.findall(r"<h2.*?</h2>", report))


def test_vectors_of_single_images_are_reported_where_there_are_some(tmp_path: Path) -> None:
    versions = []
    for name in ("v1", "v2"):
        path = tmp_path / name / "feature_stats" / "stats.pt"
        write_with_vectors(path, version=name, moved=7 if name == "v2" else None)
        features = read_features(path)
        versions.append(ReportVersion(name, features.table, features=features))
    report = build_report([*versions, _version("v3")])
    headings = re.findall(r"<h2.*?>(.*?)</h2>", report)
    assert [h for h in headings if "Single images" in h] == [
        "Single images of v1",
        "Single images of v2",
    ]
    assert "Mass can be predicted" in report
    assert "Held to linear probes of Mass" in report
    moved = report.split("Images that moved most, layer 2")[1]
    assert moved.index("7.jpg") < moved.index("<td>", moved.index("7.jpg") + 1) < 1000


def test_the_first_is_compared_with_each_other_as_its_baseline() -> None:
    report = build_report([_version("v1"), _version("v2", drift=2.0), _version("v3")])
    headings = re.findall(r"<h2.*?>(.*?)</h2>", report)
    assert "v1 against v2" in headings
    assert "v1 against v3" in headings
    assert report.count("<h3>Drift of each layer</h3>") == 2
    assert "<td>version</td><td>v2</td><td>v1</td>" in report


def test_three_versions_are_also_drawn_in_a_row() -> None:
    three = [_version("v1"), _version("v2", drift=2.0), _version("v3", drift=3.0)]
    assert "<h3>Drift from v1, " in build_report(three)
    assert "Versions in a row" not in build_report(three[:2])
    other = _version("of another width", channels=24)
    report = build_report([*three[:2], other])
    assert "<li>of another width is of another backbone and has no place" in report
    assert "<h3>Channels from version to version, " in report


def test_versions_of_different_backbones_are_reported_side_by_side() -> None:
    report = build_report([_version("v1", channels=24), _version("v2", channels=48)])
    assert "These two cannot be compared number by number." in report
    three = [_version(name, channels=width) for name, width in (("a", 8), ("b", 16), ("c", 24))]
    assert build_report(three).count("has no place in this row") == 2


def test_what_extras_tell_is_reported_too(tmp_path: Path) -> None:
    versions: list[ReportVersion] = []
    for payload in make_grouped_pair():
        name = payload["meta"]["config"]["version"]
        path = write_payload(tmp_path / f"{name}.pt", payload)
        versions.append(
            ReportVersion(name, open_payload(path).table, None, open_payload(path).extras)
        )
    report = build_report(versions)
    titles = re.findall(r"<h3>(.*?)</h3>", report)
    assert "Channels that differ by more than noise" in titles
    assert titles.count("Channels of layer 2, block output, patch tokens") == 1
    assert titles.count("How far the shared norm lowers the outliers") == 2
    assert "with its noise of 0.016, 1 channel flagged" in report
    assert "does not hold" in report  # parts that these payloads lack
    whole = write_payload(tmp_path / "whole.pt", make_payload(version="whole", extras=True))
    report = build_report(
        [ReportVersion("w", open_payload(whole).table, None, open_payload(whole).extras)]
    )
    for title in (
        "Largest activations and the median one",
        "Token norms, ",
        "Smallest and largest",
        "Where the largest channels of layer",
    ):
        assert f"<h3>{title}" in report
    assert "does not hold" not in report


def test_extras_that_cannot_be_read_are_a_warning() -> None:
    report = build_report([ReportVersion("v1", make_table(), problem="v1.pt: extras are broken")])
    assert "<li>v1.pt: extras are broken</li>" in report


def test_plotly_is_held_once_and_nothing_is_fetched() -> None:
    report = build_report([_version("v1"), _version("v2")])
    assert report.count("plotly.js v") == 1
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", report)


def test_text_from_payloads_and_people_is_never_html() -> None:
    version = ReportVersion(
        HOSTILE,
        make_table(version=HOSTILE, warnings=[HOSTILE]),
        note=HOSTILE,
    )
    facts = pd.DataFrame({HOSTILE: [HOSTILE]})
    report = build_report([version, _version("b")], facts)
    assert "alert(" in report
    assert "<script>alert" not in report
    assert "<img src=x" not in report


def test_a_report_of_two_versions_at_the_largest_size_fits_in_15_mb() -> None:
    versions = [_version(name, layers=40, channels=4096) for name in ("v1", "v2")]
    assert len(build_report(versions).encode()) <= 15e6


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")
def test_it_draws_every_figure_in_a_browser_without_a_network(tmp_path: Path) -> None:
    sync_api = pytest.importorskip("playwright.sync_api")
    report = build_report([_version("v1"), _version("v2", drift=1.0)])
    (tmp_path / "report.html").write_text(report)
    complaints: list[str] = []
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        context = browser.new_context(offline=True)
        page = context.new_page()
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on(
            "console",
            lambda message: complaints.append(message.text) if message.type == "error" else None,
        )
        page.goto((tmp_path / "report.html").as_uri())
        page.wait_for_function(
            "document.querySelectorAll('.main-svg').length > 0 && "
            "[...document.querySelectorAll('.plotly-graph-div')]"
            ".every(figure => figure.querySelector('.main-svg'))"
        )
        canvases = page.locator("canvas").count()
        drawn = page.locator(".plotly-graph-div").count()
        browser.close()
    assert drawn == report.count('class="plotly-graph-div"') > 8
    assert complaints == []
    assert canvases == 0  # browsers keep 16 of them, and blank the figures of the others
