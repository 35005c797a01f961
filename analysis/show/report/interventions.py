"""Interventions on a version's network in a report: the views of the Interventions page."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.payload.intervention_file import InterventionResult
from analysis.read.interventions import describe, largest_image, strongest_arm, tabulate_final
from analysis.read.worth.intervened import describe_probes, probe_targets
from analysis.show.figures.theme import role_label
from analysis.show.report import page as html_page
from analysis.show.views import interventions as views
from analysis.vocabulary import ROLES

MOST = 6
"""Results of a version that are shown: the newest."""


def draw_interventions(
    results: Sequence[InterventionResult], name: str, features: Features | None = None
) -> list[str]:
    """Return what each result found, oldest first.

    Args:
        results: Made with the version's payload.
        name: Of the version.
        features: Its vectors of single images; without them no probe is shown.
    """
    blocks: list[str] = []
    for result in results[-MOST:]:
        blocks.append(html_page.sentences([*describe(result), *_name_largest(result)]))
        blocks += [html_page.view(view) for view in views.list_views(result, name)]
        blocks.append(html_page.table(_("Change of what a head reads"), tabulate_final(result)))
        blocks += [] if features is None else _draw_probes(result, name, features)
    left_out = len(results) - MOST
    if left_out > 0:
        blocks.append(
            html_page.sentences(
                [_("{left_out} older interventions are left out.").format(left_out=left_out)]
            )
        )
    return blocks


def _name_largest(result: InterventionResult) -> list[str]:
    lines = []
    for role in ROLES:
        image, change = largest_image(result, role, strongest_arm(result, role))
        lines.append(
            _("{image}: its final {role_label} vector moves most, by {change:.1%}.").format(
                image=image, role_label=role_label(role), change=change
            )
        )
    return lines


def _draw_probes(result: InterventionResult, name: str, features: Features) -> list[str]:
    try:
        found = probe_targets(result, features)
    except InputError as error:
        return [
            html_page.sentences(
                [_("No probe with the intervention in place: {error}").format(error=error)]
            )
        ]
    return [
        html_page.view(views.probes(found, name)),
        html_page.sentences([describe_probes(found)]),
    ]
