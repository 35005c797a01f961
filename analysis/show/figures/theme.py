"""One look for every figure: colours by meaning, dashes by token role, light and dark.

The ten colours of each mode were chosen for a lightness contrast of at least 3 against the page
and for staying apart under the two common red-green deficiencies (a test measures both). The first
three belong to the representations; the other seven to versions, or to token roles where a figure
is of one version. Only an eighth, ninth and tenth version take the first three, in figures whose
panels are the representations. What is picked out (an outlier, the chosen channel) has an
accent of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType
from typing import Any, Literal, TypeAlias

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import N_, Texts, _
from analysis.vocabulary import Cell, Representation, Statistic, TokenRole

Mode: TypeAlias = Literal["light", "dark"]

LIGHT_COLORS = (
    "#2667c9",
    "#d9480f",
    "#0f8a6c",
    "#9c7efe",
    "#5c2c38",
    "#7997b8",
    "#804489",
    "#963502",
    "#0c0dcd",
    "#4f1883",
)
DARK_COLORS = (
    "#6ea8fe",
    "#ff9259",
    "#3ecfa3",
    "#f0e442",
    "#b17ab1",
    "#e9d7ff",
    "#9749fb",
    "#bc791b",
    "#ad3e41",
    "#ad11a1",
)

REPRESENTATION_LABELS = Texts(
    {
        Representation.PRE: N_("block output"),
        Representation.PER_LAYER_LN: N_("per-layer LN"),
        Representation.GLOBAL_LN: N_("global LN"),
    }
)
ROLE_LABELS = Texts({TokenRole.CLS: N_("CLS"), TokenRole.PATCH: N_("patch")})
STATISTIC_LABELS = Texts(
    {Statistic.MEAN: N_("mean"), Statistic.STD: N_("std"), Statistic.MAX_ABS: N_("max |x|")}
)

_STORAGE_DASHES = ("dash", "dashdot", "longdash", "longdashdot")
_ROLE_DASHES: Mapping[str, str] = MappingProxyType({TokenRole.CLS: "dot", TokenRole.PATCH: "solid"})
_ROLE_SYMBOLS: Mapping[str, str] = MappingProxyType(
    {TokenRole.CLS: "diamond", TokenRole.PATCH: "circle"}
)


@dataclass(frozen=True)
class _Inks:
    background: str
    text: str
    muted: str
    """Points and lines that others stand out from."""
    accent: str
    """What is picked out of the others; none of the ten."""
    grid: str
    scale: tuple[str, ...]
    """Colours of a magnitude, small to large; perceptually even, the largest stands out most."""


_INKS: Mapping[str, _Inks] = MappingProxyType(
    {
        "light": _Inks(
            "#ffffff",
            "#26303d",
            "#98a2b0",
            "#d6006c",
            "#e4e8ee",
            ("#f3f6fb", "#c5d5ee", "#8fb0e0", "#6b83cf", "#6a4fb0", "#7a1f7e", "#5c0b3a"),
        ),
        "dark": _Inks(
            "#0e1117",
            "#dfe4ec",
            "#667085",
            "#f252b5",
            "#2a313c",
            ("#141a26", "#1f3358", "#2f5694", "#4f7fc4", "#8fa6e0", "#dcb9e6", "#fff2c9"),
        ),
    }
)

VERSION_COLORS = len(LIGHT_COLORS)
"""How many versions have a colour of their own; then they repeat."""

SERIES_COLORS = VERSION_COLORS - len(Representation)
"""How many of them no representation has."""

MAX_SVG_POINTS = 3000
"""Of one figure; beyond them it is drawn by WebGL."""

_TRANSPARENT = "rgba(0,0,0,0)"
FONT = (
    "'Source Sans', 'Source Sans Pro', 'Segoe UI', system-ui, "
    "'PingFang SC', 'Microsoft YaHei', 'Noto Sans CJK SC', sans-serif"  # for Chinese
)


def palette(mode: Mode) -> tuple[str, ...]:
    """Return the ten colours of a mode."""
    return DARK_COLORS if mode == "dark" else LIGHT_COLORS


def representation_color(representation: Representation, mode: Mode) -> str:
    """Return the colour that this representation has in every figure."""
    return palette(mode)[representation.position]


def version_color(index: int, mode: Mode) -> str:
    """Return the colour of the index-th version; `VERSION_COLORS` of them differ."""
    return palette(mode)[(len(Representation) + index) % VERSION_COLORS]


def role_label(role: str) -> str:
    """Return what a token role is called, storage tokens (``storage_0`` ...) included."""
    known = {str(each): label for each, label in ROLE_LABELS.items()}
    register = _("register {number}").format(number=role.removeprefix("storage_"))
    return known.get(role, register)


def describe_cell(representation: Representation, role: str) -> str:
    """Return what the tokens of a role in a representation are called."""
    return _("{representation}, {role}").format(
        representation=REPRESENTATION_LABELS[representation], role=role_label(role)
    )


def describe_channels(cell: Cell) -> str:
    """Return what the channels of a cell are of: its layer, representation and role."""
    return _("layer {layer}, {cell} tokens").format(
        layer=cell.layer, cell=describe_cell(cell.representation, cell.role)
    )


def cell_line(representation: Representation, role: str, mode: Mode) -> dict[str, Any]:
    """Return the line of a representation (its colour) and a token role (its dash)."""
    color = representation_color(representation, mode)
    return {"color": color, "dash": role_dash(role), "width": 2}


def role_dash(role: str) -> str:
    """Return the line style that this token role has in every figure; storage tokens share four."""
    if role in _ROLE_DASHES:
        return _ROLE_DASHES[role]
    return _STORAGE_DASHES[int(role.removeprefix("storage_")) % len(_STORAGE_DASHES)]


def role_symbol(role: str) -> str:
    """Return the marker that this token role has in every figure."""
    return _ROLE_SYMBOLS.get(role, "square")


def muted_color(mode: Mode) -> str:
    """Return the colour of what others stand out from."""
    return _INKS[mode].muted


def accent_color(mode: Mode) -> str:
    """Return the colour of what is picked out: outliers, the chosen channel."""
    return _INKS[mode].accent


def page_color(mode: Mode) -> str:
    """Return the colour of the page, for what must be read above others."""
    return _INKS[mode].background


def text_color(mode: Mode) -> str:
    """Return the colour of text and of marks that must be seen at once."""
    return _INKS[mode].text


def magnitude_scale(mode: Mode, *, points: bool = False) -> list[list[float | str]]:
    """Return the plotly colour scale of a magnitude, small to large.

    Args:
        mode: Light or dark.
        points: For lone points, which need contrast to the page also where they are small; cells
            of a map may fade into it.
    """
    colors = _INKS[mode].scale[2 if points else 0 :]
    return [[i / (len(colors) - 1), color] for i, color in enumerate(colors)]


def describe_unit(representation: Representation) -> str:
    """Return the unit of mean, std and max |x| in this representation, for axis titles."""
    if representation is Representation.PRE:
        return _("residual-stream units")
    return _("normalised units")


def make_figure(
    traces: Sequence[Mapping[str, Any]], layout: Mapping[str, Any], mode: Mode
) -> go.Figure:
    """Return a figure with the look of a mode; the page shines through.

    Plotly would check and copy every key of every trace, which takes five times as long as all
    else that a page does. The keys are the same whenever a page is drawn, so the tests have every
    figure checked instead.

    Args:
        traces: Each as plain keys, its `type` included; the names are escaped here.
        layout: As plain keys; what it says goes before the look.
        mode: Light or dark.
    """
    named = [
        {**trace, "name": escape(trace["name"])} if "name" in trace else trace for trace in traces
    ]
    return go.Figure(named, {**_look(mode), **layout}, _validate=False)


def escape(text: str) -> str:
    """Return text that plotly shows as it is: names from payloads are not markup."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def point_type(count: int) -> str:
    """Return the trace type that draws so many points of one figure soonest.

    A surface of WebGL draws any number alike, but without a graphics card the browser takes a
    quarter of a second to make one, and it makes few; SVG takes a twentieth of a millisecond for
    each point.
    """
    return "scattergl" if count > MAX_SVG_POINTS else "scatter"


@cache
def _look(mode: Mode) -> dict[str, Any]:
    inks = _INKS[mode]
    axis = {
        "gridcolor": inks.grid,
        "linecolor": inks.grid,
        "zeroline": False,
        "automargin": True,
        "title": {"standoff": 8},
    }
    template = {
        "autotypenumbers": "strict",
        "hovermode": "closest",
        "modebar": {"bgcolor": inks.background, "color": inks.muted, "activecolor": inks.text},
        "margin": {"l": 8, "r": 8, "t": 40, "b": 8},
        "hoverlabel": {
            "align": "left",
            "bgcolor": inks.background,
            "bordercolor": inks.grid,
            "font": {"family": FONT, "color": inks.text},
        },
        # of the whole figure: above the axes it lies over them once the window grows wider
        "legend": {"orientation": "h", "yref": "container", "yanchor": "top", "y": 0.99, "x": 0},
        "xaxis": axis,
        "yaxis": axis,
    }
    return {
        "template": {"layout": template},
        "colorway": palette(mode),
        "paper_bgcolor": _TRANSPARENT,
        # plotly draws the line at the layer that is told on a wider one of this colour
        "plot_bgcolor": inks.background,
        "font": {"family": FONT, "size": 13, "color": inks.text},
    }


def prepare_export(figure: go.Figure, mode: Mode) -> go.Figure:
    """Return a copy that brings its own page colour, for files that are opened elsewhere."""
    background = _INKS[mode].background
    return go.Figure(figure).update_layout(paper_bgcolor=background, plot_bgcolor=background)


def empty_figure(message: str, mode: Mode) -> go.Figure:
    """Return a figure without axes that says why there is nothing to see."""
    note = {
        "text": message,
        "showarrow": False,
        "xref": "paper",
        "yref": "paper",
        "x": 0.5,
        "y": 0.5,
        "align": "center",
    }
    unseen = {"visible": False}
    return make_figure([], {"annotations": [note], "xaxis": unseen, "yaxis": unseen}, mode)


def as_float32(values: NDArray[np.number] | Sequence[float]) -> NDArray[np.float32]:
    """Return numbers in the type that plotly sends in half the bytes; beyond its range, inf."""
    with np.errstate(over="ignore"):
        return np.ascontiguousarray(values, dtype=np.float32)
