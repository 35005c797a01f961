"""Every version against one baseline: which moved, how far beyond chance, and where in depth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from analysis.language import N_, _
from analysis.read.digits import show_digits
from analysis.read.summary import DriftSummary, compute_ratio, find_peak
from analysis.show.figures import axes, theme
from analysis.show.figures.version_map import build_version_map
from analysis.show.view import View
from analysis.vocabulary import TokenRole

MOST = 16
"""Rows that fit on the first screen of a projector, 1280 x 720."""

LEAST_HEIGHT = 240

TOLD = 2
"""Versions whose course through depth is told in words."""

GROWN = 1.25
"""How many times larger the mean drift of a third of the layers must be to be called that."""

OF_FAMILIES = N_(
    "Of folds or seeds taken as one, chance is the larger of that and of the spread between them."
)


@dataclass(frozen=True)
class VersionMap:
    """The figure, and what its cells are."""

    view: View
    names: tuple[str, ...]
    """Of the rows, from the top down."""
    layers: tuple[int, ...]

    def find_cell(self, number: int) -> tuple[str, int]:
        """Return version and layer of a cell that was clicked."""
        row, column = divmod(number, len(self.layers))
        return self.names[row], self.layers[column]


def version_map(
    drifts: Mapping[str, DriftSummary],
    baseline: str,
    role: TokenRole,
    mode: theme.Mode = "light",
    *,
    has_families: bool = False,
) -> VersionMap | None:
    """Return versions by layers, coloured by drift over noise, the one that moved most on top.

    Where no version has a noise that is known, the drift itself is coloured.

    Args:
        drifts: By name of the version.
        baseline: Name of what they are compared with.
        role: Which tokens.
        mode: Light or dark.
        has_families: Whether some rows stand for several folds or seeds.

    Returns:
        None where no version can be compared.
    """
    comparable = {name: each for name, each in drifts.items() if find_peak(each, role) is not None}
    if not comparable:
        return None
    by_noise = any(np.isfinite(compute_ratio(each, role)).any() for each in comparable.values())
    colored = {name: _values(each, role, by_noise) for name, each in comparable.items()}
    order = sorted(colored, key=lambda name: -_largest(colored[name]))
    kept = [name for name in order if not by_noise or not np.isnan(colored[name]).all()][:MOST]
    layers = sorted({layer for name in kept for layer in comparable[name].layers})
    values = np.full((len(kept), len(layers)), np.nan)
    facts = np.full((len(kept), len(layers), 2), np.nan)
    for row, name in enumerate(kept):
        each = comparable[name]
        at = np.searchsorted(layers, each.layers)
        values[row, at] = colored[name]
        for place, rows in enumerate((each.drift, each.noise_floor)):
            column = [cells[role.position] for cells in rows]
            facts[row, at, place] = np.array(column, dtype=np.float64)
    label = _("drift, × chance") if by_noise else axes.label_with_unit(_("drift"), _("std"))
    view = View(
        _tell_most(kept[0], comparable[kept[0]], role),
        "version map",
        build_version_map(np.array(layers), values, facts, kept, label=label, mode=mode),
        lambda: _tabulate({name: comparable[name] for name in kept}, role),
        sentence="\n".join(tell_courses({name: comparable[name] for name in kept}, role)),
        caption=_explain(by_noise, role) + (f" {_(OF_FAMILIES)}" if has_families else ""),
        notes=_list_left_out(len(drifts), len(comparable), len(order), len(kept), by_noise),
        rows=len(kept),
        least_height=LEAST_HEIGHT,
        clickable=True,
        columns={"baseline": baseline},
    )
    return VersionMap(view, tuple(kept), tuple(layers))


def _values(summary: DriftSummary, role: TokenRole, by_noise: bool) -> np.ndarray:
    if by_noise:
        return compute_ratio(summary, role)
    return np.array([cells[role.position] for cells in summary.drift], dtype=np.float64)


def _largest(values: np.ndarray) -> float:
    return -1.0 if np.isnan(values).all() else float(np.nanmax(values))


def _tell_most(name: str, summary: DriftSummary, role: TokenRole) -> str:
    peak = find_peak(summary, role)
    if peak is None or peak.drift == 0 or (peak.noise_floor is not None and not peak.beyond):
        return _("No version moved by more than chance alone gives")
    if peak.ratio is None:
        return _("{name} moved most: drift {drift}, in layer {layer}").format(
            name=name, drift=show_digits(peak.drift, 2), layer=peak.layer
        )
    return _("{name} is furthest beyond chance: {ratio} ×, in layer {layer}").format(
        name=name, ratio=show_digits(peak.ratio, 3), layer=peak.layer
    )


def tell_courses(drifts: Mapping[str, DriftSummary], role: TokenRole) -> list[str]:
    """Return one sentence on the course through depth of each of the first few versions.

    Early and late are the means of the first and the last third of the layers.

    Versions within chance, with too few layers for thirds, or with unknown drifts get none.
    """
    told = [_tell_course(name, each, role) for name, each in list(drifts.items())[:TOLD]]
    return [sentence for sentence in told if sentence]


def _tell_course(name: str, summary: DriftSummary, role: TokenRole) -> str:
    peak, third = find_peak(summary, role), len(summary.layers) // 3
    if peak is None or peak.ratio is None or not peak.beyond or third < 2:
        return ""
    drift = _values(summary, role, by_noise=False)
    early, late = float(drift[:third].mean()), float(drift[-third:].mean())
    if not np.isfinite(early + late):
        return ""
    course = _("about the same at every depth")
    if late > GROWN * early:
        course = _("grows with depth")
    elif early > GROWN * late:
        course = _("shrinks with depth")
    return _(
        "{name}: furthest beyond chance in layer {layer}, drift {course} ({early} early, "
        "{late} late)."
    ).format(
        name=name,
        layer=peak.layer,
        course=course,
        early=show_digits(early, 2),
        late=show_digits(late, 2),
    )


def _explain(by_noise: bool, role: TokenRole) -> str:
    what = _("Block outputs, {role_labels} tokens.").format(role_labels=theme.ROLE_LABELS[role])
    if not by_noise:
        return _(
            "{what} Without statistics by image group nobody can tell drift from noise."
        ).format(what=what)
    return _(
        "{what} Colour: drift as a multiple of what chance alone gives by "
        "the image groups; empty cells are not above it in 95% of cases. "
        "Click a cell to compare that version."
    ).format(what=what)


def _list_left_out(
    asked: int, comparable: int, drawn: int, kept: int, by_noise: bool
) -> tuple[str, ...]:
    notes: list[str] = []
    if asked > comparable:
        notes.append(
            _(
                "{asked} of {asked_2} versions may not be compared with the "
                "baseline; their rows below say why."
            ).format(asked=asked - comparable, asked_2=asked)
        )
    if drawn > kept:
        why = (
            _("the {kept} that moved most").format(kept=kept)
            if kept == MOST
            else _("the {kept} whose noise is known").format(kept=kept)
        )
        notes.append(
            _("Of {drawn} versions {why} are drawn{suffix}.").format(
                drawn=drawn, why=why, suffix="" if by_noise else _(" by their drift")
            )
        )
    return tuple(notes)


def _tabulate(drifts: Mapping[str, DriftSummary], role: TokenRole) -> pd.DataFrame:
    frames = [
        pd.DataFrame(
            {
                "version": name,
                "layer": each.layers,
                "role": role.value,
                "drift": [cells[role.position] for cells in each.drift],
                "noise_floor": [cells[role.position] for cells in each.noise_floor],
                "noise_band": [cells[role.position] for cells in each.noise_band],
            }
        )
        for name, each in drifts.items()
    ]
    return pd.concat(frames, ignore_index=True)
