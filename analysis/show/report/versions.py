"""The versions that are looked at as one offline report: figures, sanity, settings, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import pandas as pd
import yaml

from analysis.language import _
from analysis.payload.extras import ExtraTable
from analysis.payload.features import Features
from analysis.payload.intervention_file import InterventionResult
from analysis.payload.reading import Reading
from analysis.payload.table import StatsTable
from analysis.read.compare.common_images import count_common_images
from analysis.read.compare.comparison import TOP, compare
from analysis.read.compare.compatibility import SEVERITY_LABELS, check_compatibility
from analysis.read.compare.findings import NEGLIGIBLE
from analysis.read.consistency import check_reading
from analysis.read.frames import Aggregate, aggregate_channels
from analysis.read.outliers import count_outliers, find_persistent, map_channels, rank_channels
from analysis.read.scores import Score
from analysis.read.script import LOADER, is_by_script
from analysis.show.figures.layers import DepthCurve
from analysis.show.report import page as html_page
from analysis.show.report import views as report_views
from analysis.show.report.comparison import draw_comparison
from analysis.show.report.extras import draw_depth_views
from analysis.show.report.images import draw_similarity, draw_targets
from analysis.show.report.interventions import draw_interventions
from analysis.show.report.page import Section
from analysis.show.views import layers as layer_views
from analysis.show.views import outliers as outlier_views
from analysis.show.views import overview as overview_views
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, Statistic, TokenRole

MAX_LAYERS = 4
"""Layers of a version whose channels are all drawn: the tapped ones, and the last."""

_DEPTH = (
    (Statistic.MAX_ABS, Aggregate.MEDIAN),
    (Statistic.MAX_ABS, Aggregate.MAX),
    (Statistic.STD, Aggregate.MEDIAN),
)
_SHOWN = Representation.PRE, TokenRole.PATCH


@dataclass(frozen=True)
class ReportVersion:
    """One version to report on."""

    name: str
    """Unique among those of the report."""
    table: StatsTable
    note: str | None = None
    extras: ExtraTable | None = None
    """What only they tell is left out where None."""
    problem: str | None = None
    """Why they could not be read."""
    features: Features | None = None
    """Vectors of single images; what only they tell is left out where None."""
    interventions: Sequence[InterventionResult] = ()
    """On its network, oldest first."""


def build_report(
    versions: Sequence[ReportVersion],
    facts: pd.DataFrame | None = None,
    score: Score = Score.MAX_ABS,
    threshold: float | None = None,
    negligible: float = NEGLIGIBLE,
) -> str:
    """Return the report as HTML.

    Args:
        versions: One or more; the first is compared with each other as its baseline.
        facts: What is known of the versions besides their numbers, a column for each.
        score: What channels are ranked by.
        threshold: From which score on a channel is an outlier; the score's own default where None.
        negligible: Standard deviations below which a drift is called negligible.
    """
    sections = [
        Section(_("About"), _describe(versions, facts)),
        Section(_("Layers"), _draw_depth(versions)),
        *(
            Section(
                _("Channels of {name}").format(name=each.name),
                _draw_channels(each, score, threshold),
            )
            for each in versions
        ),
        *(
            Section(
                _("{name} against {each_name}").format(name=versions[0].name, each_name=each.name),
                _compare(each, versions[0], score, negligible),
            )
            for each in versions[1:]
        ),
        *([Section(_("Versions in a row"), _draw_row(versions))] if len(versions) > 2 else []),
        *(
            Section(
                _("Depth of {name}").format(name=each.name),
                [
                    *draw_depth_views(each.table, each.name, each.extras),
                    *report_views.draw_footprints(each.extras, each.name),
                ],
            )
            for each in versions
            if each.extras is not None
        ),
        *(
            Section(
                _("Single images of {name}").format(name=each.name),
                _draw_images(each, versions[0], slot),
            )
            for slot, each in enumerate(versions)
            if each.features is not None
        ),
        *(
            Section(
                _("Interventions on {name}").format(name=each.name),
                draw_interventions(each.interventions, each.name, each.features),
            )
            for each in versions
            if each.interventions
        ),
        Section(_("Settings"), [_show_config(each) for each in versions]),
    ]
    return html_page.build_page(" · ".join(each.name for each in versions), sections)


def _describe(versions: Sequence[ReportVersion], facts: pd.DataFrame | None) -> list[str]:
    written = _("Written {now:%Y-%m-%d %H:%M} UTC.").format(now=datetime.now(UTC))
    blocks = [f"<p>{written}</p>"]
    for each in versions:
        if each.note:
            blocks += [f"<h3>{escape(each.name)}</h3>", html_page.note(each.note)]
    if facts is not None:
        blocks.append(html_page.table(_("Provenance"), facts))
    if len(versions) > 1:
        reasons = check_compatibility(
            [each.table for each in versions],
            [each.name for each in versions],
            count_common_images([_reading(each) for each in versions]),
        )
        blocks.append(f"<h3>{_('Whether they may be compared')}</h3>")
        blocks.append(
            html_page.sentences([f"{SEVERITY_LABELS[r.severity]}: {r.sentence}" for r in reasons])
        )
    for each in versions:
        noted = each.table.run.get("warnings")
        warnings = [*map(str, noted)] if isinstance(noted, list) else []
        warnings += [_(LOADER)] if is_by_script(each.table) else []
        warnings += [each.problem] if each.problem else []
        if warnings:
            title = _("Warnings of {name}").format(name=escape(each.name))
            blocks.append(f"<h3>{title}</h3>")
            blocks.append(html_page.sentences(warnings, warning=True))
    return blocks


def _draw_depth(versions: Sequence[ReportVersion]) -> list[str]:
    blocks: list[str] = []
    for statistic, aggregate in _DEPTH:
        curves = [
            DepthCurve(
                each.table.layers,
                values[:, representation.position, role.position],
                representation,
                role,
                each.name,
                slot,
            )
            for slot, each in enumerate(versions)
            for values in [aggregate_channels(each.table, statistic, aggregate)]
            for representation in REPRESENTATIONS
            for role in ROLES
        ]
        tapped = versions[0].table.tapped_layers
        view = layer_views.statistic(curves, statistic, aggregate, tapped=tapped)
        blocks.append(html_page.view(view))
    return blocks


def _draw_channels(version: ReportVersion, score: Score, threshold: float | None) -> list[str]:
    table = version.table
    blocks = [html_page.table(_("Sanity of the numbers"), _tabulate_checks(_reading(version)))]
    name = version.name
    proof = overview_views.lora_proof(table, name)
    if proof is not None:
        blocks.append(html_page.view(proof))
    for layer in _choose_layers(table):
        cell = Cell(layer, *_SHOWN)
        ranking = rank_channels(table, *cell, score, TOP, threshold)
        blocks.append(
            html_page.view(outlier_views.channels_of_layer(table, name, cell, score, ranking))
        )
    course = map_channels(table, *_SHOWN, score, TOP, max_rows=30)
    blocks.append(html_page.view(outlier_views.course(table, name, _SHOWN, score, course)))
    persistent = find_persistent(table, *_SHOWN, score, TOP, threshold).head(30)
    blocks.append(html_page.table(_("How long they persist"), persistent))
    counts = count_outliers(table, score, threshold)
    blocks.append(html_page.view(outlier_views.counts(table, name, counts)))
    blocks += report_views.draw_layer(table, name, int(table.layers[-1]))
    blocks.append(report_views.draw_advice(table, version.features))
    return blocks


def _draw_images(version: ReportVersion, baseline: ReportVersion, slot: int) -> list[str]:
    features, other = version.features, baseline.features
    if features is None:
        return []
    second = (baseline.name, other) if version is not baseline and other is not None else None
    return [
        *draw_targets(features, version.name, slot),
        *draw_similarity(features, version.name, second),
    ]


def _draw_row(versions: Sequence[ReportVersion]) -> list[str]:
    tables = [each.table for each in versions]
    return report_views.draw_timeline(tables, [each.name for each in versions])


def _choose_layers(table: StatsTable) -> list[int]:
    last = int(table.layers[-1])
    return sorted({last, *table.tapped_layers[-MAX_LAYERS + 1 :]})


def _tabulate_checks(reading: Reading) -> pd.DataFrame:
    marks = {True: _("holds"), False: _("BROKEN"), None: _("not checked")}
    rows = [
        (_(check.name), marks[check.ok], check.number, check.expectation, check.sentence)
        for check in check_reading(reading)
    ]
    return pd.DataFrame(
        rows, columns=[_("Law"), _("Outcome"), _("Found"), _("Expected"), _("In words")]
    )


def _compare(
    baseline: ReportVersion, version: ReportVersion, score: Score, negligible: float
) -> list[str]:
    names = baseline.name, version.name
    comparison = compare(_reading(baseline), _reading(version), names=names)
    return draw_comparison(comparison, score, negligible)


def _reading(version: ReportVersion) -> Reading:
    extras = version.extras
    return Reading(version.table, None if extras is None else lambda: extras)


def _show_config(version: ReportVersion) -> str:
    text = yaml.safe_dump(version.table.config, sort_keys=False, allow_unicode=True)
    return html_page.code(f"Training config of {version.name}", text)
