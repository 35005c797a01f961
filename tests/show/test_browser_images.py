"""Figures become pictures wherever a browser is, of the size that was asked for."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import plotly.graph_objects as go
import pytest
from PIL import Image

from analysis.errors import InputError
from analysis.show import browser_images as pictures
from analysis.show.figures.theme import make_figure

needs_browser = pytest.mark.skipif(
    not pictures.can_draw_images(), reason="no Chromium on this machine"
)
HOSTILE = "</script><script>document.body.textContent = 'taken over'</script>"


def _figure() -> go.Figure:
    points = np.arange(5, dtype=np.float32)
    look = {"mode": "markers", "marker": {"color": "#ff0000", "size": 40}}
    trace = {"type": "scattergl", "x": points, "y": points, **look}
    return make_figure([trace], {"height": 300, "title": {"text": HOSTILE}}, "light")


@needs_browser
def test_a_png_shows_the_figure_at_twice_the_size() -> None:
    picture = Image.open(io.BytesIO(pictures.figure_to_image(_figure(), "light", "png")))
    assert picture.size == (2400, 600)
    red, green, blue = np.moveaxis(np.asarray(picture.convert("RGB")).astype(int), -1, 0)
    assert 1000 < np.sum((red > 200) & (green < 50) & (blue < 50)) < 100_000


@needs_browser
def test_an_svg_holds_every_point_as_a_shape() -> None:
    drawing = ElementTree.fromstring(pictures.figure_to_image(_figure(), "light", "svg"))
    assert drawing.tag == "{http://www.w3.org/2000/svg}svg"
    points = [part for part in drawing.iter() if part.get("class") == "point"]
    assert len(points) == 5
    assert not list(drawing.iter("{http://www.w3.org/2000/svg}image"))  # not a picture of them


def test_without_a_browser_nothing_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(pictures.BROWSER_ENV, raising=False)
    monkeypatch.setenv("PATH", "/nowhere")
    assert not pictures.can_draw_images()
    with pytest.raises(InputError, match="No Chromium"):
        pictures.figure_to_image(_figure(), "light", "png")


def test_a_browser_that_fails_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(pictures.BROWSER_ENV, "/bin/false")
    with pytest.raises(InputError, match="/bin/false could not draw"):
        pictures.figure_to_image(_figure(), "light", "png")
