"""Saved views as slides: one file without a network, one page of a PDF each."""

from __future__ import annotations

import re

import numpy as np
import pytest

from analysis.show import browser_images
from analysis.show.figures.theme import make_figure
from analysis.show.slides import Slide, build_slides
from analysis.show.view import View

HOSTILE = "<img src=x onerror=alert(1)>"


def _slides() -> list[Slide]:
    trace = {"type": "scatter", "x": np.arange(3), "y": np.arange(3)}
    figure = make_figure([trace], {"height": 300}, "light")
    view = View(HOSTILE, "drift", figure, sentence=f"Drift 0.2 {HOSTILE}", about=HOSTILE)
    return [Slide("One", view, f"say {HOSTILE}"), Slide(HOSTILE, None), Slide("Three", view)]


def test_each_view_is_a_slide_with_versions_sentence_figure_and_note() -> None:
    page = build_slides(_slides())
    first, second, _ = re.findall(r"<section>.*?</section>", page, re.DOTALL)
    for part in ("Drift 0.2", "say ", "Plotly.newPlot", 'role="img"', "1 of 3"):
        assert part in first
    assert "no figure" in second


def test_no_text_of_a_slide_is_an_element() -> None:
    page = build_slides(_slides())
    assert "<img" not in page.split("<body>")[1]
    assert "://" not in re.sub(r"<script.*?</script>", "", page, flags=re.DOTALL)


@pytest.mark.skipif(not browser_images.can_draw_images(), reason="no Chromium on this machine")
def test_a_pdf_has_one_wide_page_for_each_slide() -> None:
    pdf = browser_images.page_to_pdf(build_slides(_slides()))
    assert pdf.startswith(b"%PDF")
    boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", pdf)
    assert len(boxes) == 3
    assert {round(float(width) / float(height), 2) for width, height in boxes} == {1.78}
