"""The HTML report: one file, no network, nothing from the payloads taken for HTML."""

from __future__ import annotations

import re
from pathlib import Path

from analysis.cli.extract import main
from analysis.read.compare.comparison import compare
from analysis.show.report.comparison import build_report
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload, write_payload

HOSTILE = '</script><script>alert("x")</script><img src=x onerror=alert(1)>'


def _write(folder: Path, *payloads: dict) -> list[Path]:
    return [write_payload(folder / f"{i}.pt", payload) for i, payload in enumerate(payloads)]


def test_the_report_tells_findings_figures_settings_and_reasons(tmp_path: Path) -> None:
    paths = _write(tmp_path, *make_grouped_pair(names=("spring", "autumn")))
    assert main(["compare", *map(str, paths), "--html", str(tmp_path / "report.html")]) == 0
    text = (tmp_path / "report.html").read_text()
    assert "<h1>autumn against spring</h1>" in text
    assert '<span class="badge green">green</span>' in text
    assert "concentrates in layer 2" in text
    assert "<td>version</td><td>spring</td><td>autumn</td>" in text
    assert "Number of images: the same (48)." in text
    assert text.count('class="plotly-graph-div"') == 6


def test_the_report_needs_no_network_and_holds_plotly_once(tmp_path: Path) -> None:
    report = build_report(compare(*_write(tmp_path, *make_grouped_pair())))
    assert not re.search(r"<(script|link|img)[^>]*(src|href)=", report)
    assert report.count("plotly.js v") == 1


def test_text_from_payloads_is_never_html(tmp_path: Path) -> None:
    paths = _write(tmp_path, *make_grouped_pair(names=(HOSTILE, "b")))
    report = build_report(compare(*paths))
    assert "alert(" in report
    assert "<script>alert" not in report
    assert "<img src=x" not in report


def test_what_cannot_be_compared_says_so(tmp_path: Path) -> None:
    paths = _write(tmp_path, make_payload(channels=24), make_payload(channels=48))
    report = build_report(compare(*paths))
    assert '<span class="badge red">red</span>' in report
    assert "These two cannot be compared number by number." in report
