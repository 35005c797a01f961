from __future__ import annotations

import itertools
import re
import tomllib

import numpy as np
import pytest
from numpy.typing import NDArray

from analysis.show.figures import theme
from analysis.show.figures.theme import Mode
from analysis.vocabulary import Representation, Statistic, TokenRole
from tests import ROOT
from tests.show.figures.reading import layout, notes

PAGE = {"light": "#ffffff", "dark": "#0e1117"}

# Machado, Oliveira & Fernandes 2009, severity 1, on linear RGB.
DEFICIENCIES = {
    "none": np.eye(3),
    "protan": np.array(
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ]
    ),
    "deutan": np.array(
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ]
    ),
}


def _linear(color: str) -> NDArray[np.float64]:
    channels = np.array([int(color[i : i + 2], 16) / 255 for i in (1, 3, 5)])
    return np.where(channels <= 0.04045, channels / 12.92, ((channels + 0.055) / 1.055) ** 2.4)


def _oklab(linear: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ottosson 2020, A perceptual color space for image processing."""
    to_cones = [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
    to_lab = [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
    return np.array(to_lab) @ np.cbrt(np.array(to_cones) @ linear)


def _luminance(color: str) -> float:
    return float(_linear(color) @ [0.2126, 0.7152, 0.0722])


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_every_colour_stands_out_from_the_page(mode: Mode) -> None:
    page = _luminance(PAGE[mode])
    for color in theme.palette(mode):
        low, high = sorted((page, _luminance(color)))
        assert (high + 0.05) / (low + 0.05) >= 3, color


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_ten_colours_stay_apart_also_for_colour_blind_eyes(mode: Mode, deficiency: str) -> None:
    colors = theme.palette(mode)
    assert len(colors) == 10  # fewer break plotly figures inside Streamlit
    seen = {
        color: _oklab(np.clip(DEFICIENCIES[deficiency] @ _linear(color), 0, 1)) for color in colors
    }
    for a, b in itertools.combinations(colors, 2):
        assert np.linalg.norm(seen[a] - seen[b]) > 0.08, (a, b)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_representations_and_versions_never_share_a_colour(mode: Mode) -> None:
    representations = {theme.representation_color(r, mode) for r in Representation}
    versions = [theme.version_color(i, mode) for i in range(7)]
    assert len(representations) == 3
    assert len(set(versions)) == 7
    assert not representations & set(versions)
    assert len({theme.version_color(i, mode) for i in range(10)}) == 10
    assert theme.version_color(10, mode) == versions[0]


@pytest.mark.parametrize("mode", ["light", "dark"])
@pytest.mark.parametrize("deficiency", DEFICIENCIES)
def test_what_is_picked_out_is_no_representation_and_stands_out_of_the_rest(
    mode: Mode, deficiency: str
) -> None:
    accent = theme.accent_color(mode)
    assert accent not in theme.palette(mode)
    low, high = sorted((_luminance(PAGE[mode]), _luminance(accent)))
    assert (high + 0.05) / (low + 0.05) >= 4
    seen, others = (
        _oklab(np.clip(DEFICIENCIES[deficiency] @ _linear(color), 0, 1))
        for color in (accent, theme.muted_color(mode))
    )
    assert np.linalg.norm(seen - others) > 0.07


def test_token_roles_differ_without_colour() -> None:
    assert theme.role_dash(TokenRole.CLS) != theme.role_dash(TokenRole.PATCH)
    assert theme.role_symbol(TokenRole.CLS) != theme.role_symbol(TokenRole.PATCH)


def test_every_word_has_a_label() -> None:
    assert list(theme.REPRESENTATION_LABELS) == list(Representation)
    assert list(theme.ROLE_LABELS) == list(TokenRole)
    assert list(theme.STATISTIC_LABELS) == list(Statistic)


@pytest.mark.parametrize("mode", ["light", "dark"])
def test_magnitudes_move_away_from_the_page_evenly(mode: Mode) -> None:
    scale = theme.magnitude_scale(mode)
    assert [scale[0][0], scale[-1][0]] == [0, 1]
    lightness = [_oklab(_linear(str(color)))[0] for _, color in scale]
    direction = -1 if mode == "light" else 1
    assert (np.diff(lightness) * direction > 0.02).all()
    page = _luminance(PAGE[mode])
    smallest_point = _luminance(str(theme.magnitude_scale(mode, points=True)[0][1]))
    low, high = sorted((page, smallest_point))
    assert (high + 0.05) / (low + 0.05) >= 2


def test_a_figure_takes_its_own_template_and_lets_the_page_through() -> None:
    figure = theme.make_figure([], {}, "dark")
    assert layout(figure).paper_bgcolor == "rgba(0,0,0,0)"
    assert layout(figure).colorway == theme.DARK_COLORS
    assert re.fullmatch(r"#[0-9a-f]{6}", layout(figure).font.color)


def test_an_exported_figure_brings_its_page_and_the_original_stays() -> None:
    figure = theme.make_figure([], {}, "dark")
    export = theme.prepare_export(figure, "dark")
    assert layout(export).paper_bgcolor == layout(export).plot_bgcolor == PAGE["dark"]
    assert layout(figure).paper_bgcolor == "rgba(0,0,0,0)"


def test_an_empty_figure_says_why() -> None:
    figure = theme.empty_figure("Nothing here.", "light")
    assert notes(figure) == ["Nothing here."]
    assert layout(figure).xaxis.visible is False


def test_numbers_beyond_float32_become_infinite_without_a_warning() -> None:
    assert np.isinf(theme.as_float32(np.array([1e300]))).all()


def test_the_pages_own_charts_have_the_same_ten_colours() -> None:
    config = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())["theme"]
    assert tuple(config["light"]["chartCategoricalColors"]) == theme.LIGHT_COLORS
    assert tuple(config["dark"]["chartCategoricalColors"]) == theme.DARK_COLORS
    assert {mode: config[mode]["backgroundColor"] for mode in PAGE} == PAGE
