"""What interventions changed: over depth, in what a head reads, and as a map of a sweep."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from analysis.language import N_, Texts, _
from analysis.payload.intervention_file import InterventionResult
from analysis.read import interventions as read
from analysis.read.worth.intervened import ProbedIntervention, tabulate_probes
from analysis.show.figures.interventions import build_effect_curves, build_sweep
from analysis.show.figures.theme import Mode, role_label
from analysis.show.view import View, describe_one
from analysis.vocabulary import ROLES, TokenRole

MEASURES = Texts(
    {
        "relative": N_("relative change of the other channels"),
        "cosine": N_("cosine of the other channels"),
        "token_norm": N_("token norm, changed over unchanged"),
    }
)
"""Measures over depth and their axis titles."""

CAPTION = N_(
    "Mean over images. Thin lines: the largest effect among as many "
    "random channels from the middle of the layer's distribution. "
    "Below them, the chosen channels do no more than any."
)

PROBE_CAPTION = N_(
    "R² on images held out, probe fitted and tested on the final "
    "normed vectors: without the intervention, with it, and the "
    "change. Controls: the change by each set of random channels. It "
    "matters where the change is 0.02 or more, beyond the folds' noise "
    "and beyond every control."
)


def over_depth(
    result: InterventionResult, name: str, measure: str = "relative", *, mode: Mode = "light"
) -> View:
    """Return one measure of the intervention over depth, beside random channels.

    Args:
        result: Of one intervention, not of a sweep.
        name: Of the version.
        measure: A key of `MEASURES`.
        mode: Light or dark.
    """
    curves = [(role, read.over_depth(result, role, measure)) for role in ROLES]
    return View(
        title=_("Later block outputs"),
        name=f"intervention {measure}",
        figure=build_effect_curves(curves, label=MEASURES[measure], mode=mode),
        frame=lambda: _tabulate(curves),
        caption=_(CAPTION),
        **describe_one(name),
    )


def sweep(result: InterventionResult, name: str, role: TokenRole, *, mode: Mode = "light") -> View:
    """Return the final effect of each channel from each start layer on, as a map."""
    channels, layers, effects, controls = read.sweep_map(result, role)
    return View(
        title=_("Change of the final {role_label} vector").format(role_label=role_label(role)),
        name=f"sweep {role}",
        figure=build_sweep(channels, layers, effects, controls, mode=mode),
        frame=lambda: read.tabulate_final(result),
        caption=_(
            "Each channel alone, from each layer on; the last row is the "
            "largest effect of a random channel from the middle of the layer's "
            "distribution."
        ),
        rows=len(channels) + 1,
        **describe_one(name),
    )


def probes(found: Sequence[ProbedIntervention], name: str) -> View:
    """Return the table of R2 with the intervention in place, beside random channels.

    Args:
        found: One for each target and role.
        name: Of the version.
    """
    return View(
        title=_("Linear probe of what a head reads"),
        name="intervention probe",
        frame=lambda: tabulate_probes(found),
        caption=_(PROBE_CAPTION),
        **describe_one(name),
    )


def list_views(result: InterventionResult, name: str) -> list[View]:
    """Return all views of a result: a map for each role of a sweep, else each measure."""
    if result.is_sweep:
        return [sweep(result, name, role) for role in ROLES]
    return [over_depth(result, name, measure) for measure in MEASURES]


def _tabulate(curves: list[tuple[TokenRole, read.Curve]]) -> pd.DataFrame:
    frames = []
    for role, curve in curves:
        frame = pd.DataFrame({"layer": curve.layers, "role": role.value, "chosen": curve.chosen})
        if len(curve.controls):
            frame["control_mean"] = curve.controls.mean(axis=0)
            frame["control_max"] = curve.controls.max(axis=0)
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)
