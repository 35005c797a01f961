"""Figures of images by their vectors: layers against layers, variance spectra, a map of images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go
from numpy.typing import NDArray

from analysis.language import _
from analysis.show.figures import axes, theme
from analysis.show.figures.grid import draw_grid, panel_title
from analysis.show.figures.theme import Mode

_GAP = 0.05
"""Between two panels, of the width of all."""
_BAR_ROOM = 0.03
_BAR = {"thickness": 14, "outlinewidth": 0}
UNKNOWN = "unknown"
MOST_LABELS = 10
"""Labels that have a colour of their own; of more, the rest are one."""


@dataclass(frozen=True)
class LayerPanel:
    """Layers of A against layers of B by one measure between 0 and 1."""

    title: str
    values: NDArray[np.floating]
    """``[layers A, layers B]``."""
    errors: NDArray[np.floating] | None = None
    """Standard errors, told where the pointer is."""


def build_layer_panels(
    panels: Sequence[LayerPanel],
    layers: tuple[NDArray[np.integer], NDArray[np.integer]],
    names: tuple[str, str],
    mode: Mode = "light",
) -> go.Figure:
    """Draw layers against layers, one square for each measure, in one scale of colours.

    Args:
        panels: From left to right.
        layers: Block indices of A, upwards, and of B, to the right.
        names: Of A and B.
        mode: Light or dark.
    """
    layout: dict[str, Any] = {"hovermode": "closest", "annotations": [], "margin": {"t": 48}}
    traces = []
    down, across = (part.astype(np.int32) for part in layers)
    for place, panel in enumerate(panels):
        end = axes.suffix(place)
        domain = _domain(place, len(panels))
        errors = {}
        hover = _("layer %{{y}} and layer %{{x}}: %{{z:.3f}}<extra>{title}</extra>").format(
            title=theme.escape(panel.title)
        )
        if panel.errors is not None:
            errors = {"customdata": theme.as_float32(panel.errors)}
            hover = hover.replace("%{z:.3f}", "%{z:.3f} ± %{customdata:.3f}")
        traces.append(
            draw_grid(
                panel.values,
                mode,
                x=across,
                y=down,
                zmin=0,
                zmax=1,
                xaxis=f"x{end}",
                yaxis=f"y{end}",
                hovertemplate=hover,
                showscale=place == len(panels) - 1,
                colorbar={**_BAR, "y": 1, "yanchor": "top", "len": 0.85},
                **errors,
            )
        )
        square = {"constrain": "domain", "showgrid": False}
        layout[f"xaxis{end}"] = {
            **_layer_ticks(across, len(panels)),
            **square,
            "title": {"text": _("layer of {names_2}").format(names_2=theme.escape(names[1]))},
            "domain": domain,
            "anchor": f"y{end}",
        }
        layout[f"yaxis{end}"] = {
            **_layer_ticks(down, 2),
            **square,
            "title": {
                "text": _("layer of {names_1}").format(names_1=theme.escape(names[0]))
                if place == 0
                else ""
            },
            "anchor": f"x{end}",
            "scaleanchor": f"x{end}",
            "constraintoward": "top",
        }
        layout["annotations"].append(panel_title(theme.escape(panel.title), domain))
    return theme.make_figure(traces, layout, mode)


def build_spectrum(
    spectra: Mapping[str, NDArray[np.floating]], mode: Mode = "light", *, most: int = 100
) -> go.Figure:
    """Draw the share of the variance along each principal component, both axes logarithmic.

    Args:
        spectra: ``[components]`` each, descending, by name.
        mode: Light or dark.
        most: Components that are drawn.
    """
    traces = []
    drawn = []
    for place, (name, spectrum) in enumerate(spectra.items()):
        shares = theme.as_float32(spectrum[:most])
        shares = np.where(shares > 1e-7, shares, np.float32(np.nan))
        drawn.append(shares)
        color = theme.version_color(place, mode)
        traces.append(
            {
                "type": "scatter",
                "x": np.arange(1, len(shares) + 1, dtype=np.int32),
                "y": shares,
                "name": name,
                "mode": "lines",
                "line": {"color": color, "width": 2, "dash": "solid" if place == 0 else "dash"},
                "hovertemplate": _("component %{x}: %{y:.2%}"),
            }
        )
    layout = {
        "hovermode": "x unified",
        "xaxis": {
            "type": "log",
            "title": {"text": _("principal component")},
            "dtick": "D2",
            "tickformat": "d",  # else 20 is written as a small 2
        },
        "yaxis": axes.log_axis(_("share of the variance between images"), *drawn)
        | {"tickformat": "~%"},
        "uirevision": "spectrum",
    }
    return theme.make_figure(traces, layout, mode)


def build_ranked(
    values: NDArray[np.floating], images: NDArray[np.integer], label: str, first: int, mode: Mode
) -> go.Figure:
    """Draw the number of each image, largest first, with the first ones picked out.

    Args:
        values: ``[n]``, descending.
        images: ``[n]``: position of each in the image list.
        label: Title of the axis, with unit.
        first: How many are picked out.
        mode: Light or dark.
    """
    places = np.arange(1, len(values) + 1, dtype=np.int32)
    traces = []
    for chosen, name, color in (
        (slice(first, None), _("the others"), theme.muted_color(mode)),
        (slice(first), _("the first {first}, below").format(first=first), theme.accent_color(mode)),
    ):
        traces.append(
            {
                "type": "scatter",
                "x": places[chosen],
                "y": theme.as_float32(values[chosen]),
                "customdata": images[chosen].astype(np.float32)[:, None],
                "name": name,
                "mode": "markers",
                "marker": {"size": 7, "color": color},
                "hovertemplate": _("image %{customdata[0]:d}: %{y:.3g}<extra></extra>"),
            }
        )
    layout = {
        "xaxis": {"title": {"text": _("images, largest first")}, "rangemode": "tozero"},
        "yaxis": {"title": {"text": label}, "rangemode": "tozero"},
        "uirevision": "ranked",
    }
    return theme.make_figure(traces, layout, mode)


def build_plane(
    points: NDArray[np.floating],
    shares: NDArray[np.floating],
    images: NDArray[np.integer],
    target: tuple[str, NDArray[Any]] | None = None,
    mode: Mode = "light",
) -> go.Figure:
    """Draw the images along two principal components; each point can be clicked.

    Args:
        points: ``[n, 2]``.
        shares: ``[2]``: share of the variance along each.
        images: ``[n]``: position of each in the image list.
        target: Name and values, ``[n]``, of what colours the points; NaN or empty where unknown.
        mode: Light or dark.
    """
    data: dict[str, Any] = {
        "type": theme.point_type(len(points)),
        "mode": "markers",
        "hovertemplate": _("image %{customdata[0]:d}<extra></extra>"),
    }
    x, y = theme.as_float32(points).T
    numbers = images.astype(np.float32)[:, None]

    def draw(chosen: NDArray[np.bool_], name: str, marker: Mapping[str, Any]) -> dict[str, Any]:
        return {
            **data,
            "x": x[chosen],
            "y": y[chosen],
            "customdata": numbers[chosen],
            "name": name,
            "marker": {"size": 9, "opacity": 0.9, **marker},
            "unselected": {"marker": {"opacity": 0.5}},  # else a click leaves one point to see
        }

    traces = []
    if target is None:
        traces.append(draw(np.ones(len(x), bool), "images", {"color": theme.palette(mode)[0]}))
    elif target[1].dtype.kind == "U":
        for name, chosen, marker in _color_labels(target[1], mode):
            traces.append(draw(chosen, name, marker))
            traces[-1]["hovertemplate"] = _(
                "image %{customdata[0]:d}<extra>%{fullData.name}</extra>"
            )
    else:
        values = theme.as_float32(target[1])
        known = np.isfinite(values)
        unknown = {"color": theme.muted_color(mode), "symbol": "circle-open"}
        scale = {
            "color": values[known],
            "colorscale": theme.magnitude_scale(mode, points=True),
            "showscale": True,
            "colorbar": {
                "title": {"text": theme.escape(target[0]), "side": "right"},
                **_BAR,
            },
        }
        if not known.all():
            traces.append(draw(~known, UNKNOWN, unknown))
        told = {"hovertemplate": _("image %{customdata[0]:d}: %{marker.color:.4g}<extra></extra>")}
        traces.append(draw(known, target[0], scale) | {"showlegend": False} | told)
    titles = [
        _("component {n} ({share:.0%} of the variance)").format(n=n + 1, share=share)
        for n, share in enumerate(shares)
    ]
    layout = {
        "hovermode": "closest",
        "showlegend": target is not None,
        "xaxis": {"title": {"text": titles[0]}, "zeroline": False},
        "yaxis": {"title": {"text": titles[1]}, "zeroline": False},
    }
    return theme.make_figure(traces, layout, mode)


def _color_labels(
    labels: NDArray[np.str_], mode: Mode
) -> list[tuple[str, NDArray[np.bool_], dict[str, Any]]]:
    names, counts = np.unique(labels[labels != ""], return_counts=True)
    common = names[np.argsort(-counts, kind="stable")]
    shown = common[:MOST_LABELS] if len(common) <= MOST_LABELS else common[: MOST_LABELS - 1]
    groups = [
        (str(name), labels == name, {"color": theme.version_color(place, mode)})
        for place, name in enumerate(shown)
    ]
    muted = {"color": theme.muted_color(mode)}
    rest = ~np.isin(labels, shown) & (labels != "")
    if rest.any():
        groups.append((_("{count} others").format(count=len(common) - len(shown)), rest, muted))
    if (labels == "").any():
        groups.append((UNKNOWN, labels == "", {**muted, "symbol": "circle-open"}))
    return groups


def _domain(place: int, panels: int) -> tuple[float, float]:
    width = (1 - _BAR_ROOM - _GAP * (panels - 1)) / panels
    left = place * (width + _GAP)
    return left, left + width


def _layer_ticks(layers: NDArray[np.integer], panels: int) -> dict[str, Any]:
    axis = axes.layer_axis(layers, panels=panels)
    return {key: axis[key] for key in ("tickformat", "dtick", "tick0", "tickangle") if key in axis}
