"""The versions that are looked at as one offline report: figures, sanity, settings, notes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape

import numpy as np
import pandas as pd
import yaml

from analysis.payload.extras import ExtraTable
from analysis.payload.reading import Reading
from analysis.payload.table import StatsTable
from analysis.read.checks import run_checks
from analysis.read.compare.comparison import TOP, compare
from analysis.read.compare.compatibility import check_compatibility
from analysis.read.frames import Aggregate, aggregate_channels, channel_frame
from analysis.read.outliers import SCORE_LABELS, find_persistent, map_channels, rank_channels
from analysis.read.scores import Score
from analysis.show.figures import layers as layer_figures
from analysis.show.figures import outliers as outlier_figures
from analysis.show.figures.overview import build_lora_proof
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS, STATISTIC_LABELS
from analysis.show.report import page as html_page
from analysis.show.report import views as report_views
from analysis.show.report.comparison import draw_comparison
from analysis.show.report.extras import draw_depth_views
from analysis.show.report.page import Section
from analysis.vocabulary import REPRESENTATIONS, ROLES, Representation, Statistic, TokenRole

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


def build_report(
    versions: Sequence[ReportVersion],
    facts: pd.DataFrame | None = None,
    score: Score = Score.MAX_ABS,
    threshold: float | None = None,
) -> str:
    """Return the report as HTML.

    Args:
        versions: One or more; the first is compared with each other as its baseline.
        facts: What is known of the versions besides their numbers, a column for each.
        score: What channels are ranked by.
        threshold: From which score on a channel is an outlier; the score's own default where None.
    """
    sections = [
        Section("About", _describe(versions, facts)),
        Section("Layers", _draw_depth(versions)),
        *(
            Section(f"Channels of {each.name}", _draw_channels(each, score, threshold))
            for each in versions
        ),
        *(
            Section(f"{versions[0].name} against {each.name}", _compare(each, versions[0], score))
            for each in versions[1:]
        ),
        *([Section("Versions in a row", _draw_row(versions))] if len(versions) > 2 else []),
        *(
            Section(
                f"Depth of {each.name}",
                [
                    *draw_depth_views(each.table, each.extras),
                    *report_views.draw_footprints(each.extras),
                ],
            )
            for each in versions
            if each.extras is not None
        ),
        Section("Settings", [_show_config(each) for each in versions]),
    ]
    return html_page.build_page(" · ".join(each.name for each in versions), sections)


def _describe(versions: Sequence[ReportVersion], facts: pd.DataFrame | None) -> list[str]:
    blocks = [f"<p>Written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.</p>"]
    for each in versions:
        if each.note:
            blocks += [f"<h3>{escape(each.name)}</h3>", html_page.note(each.note)]
    if facts is not None:
        blocks.append(html_page.table("Provenance", facts))
    if len(versions) > 1:
        reasons = check_compatibility(
            [each.table for each in versions], [each.name for each in versions]
        )
        blocks.append("<h3>Whether they may be compared</h3>")
        blocks.append(html_page.sentences([f"{r.severity}: {r.sentence}" for r in reasons]))
    for each in versions:
        noted = each.table.run.get("warnings")
        warnings = [*map(str, noted)] if isinstance(noted, list) else []
        warnings += [each.problem] if each.problem else []
        if warnings:
            blocks.append(f"<h3>Warnings of {escape(each.name)}</h3>")
            blocks.append(html_page.sentences(warnings, warning=True))
    return blocks


def _draw_depth(versions: Sequence[ReportVersion]) -> list[str]:
    blocks: list[str] = []
    for statistic, aggregate in _DEPTH:
        curves = [
            layer_figures.DepthCurve(
                each.table.layers, values[:, i, j], representation, role, each.name
            )
            for each in versions
            for values in [aggregate_channels(each.table, statistic, aggregate)]
            for i, representation in enumerate(REPRESENTATIONS)
            for j, role in enumerate(ROLES)
        ]
        drawn = layer_figures.build_depth_curves(
            curves,
            statistic=statistic,
            aggregate=aggregate.value,
            tapped=versions[0].table.tapped_layers,
        )
        caption = f"{STATISTIC_LABELS[statistic]}, {aggregate.value} over channels"
        blocks.append(html_page.figure(caption, drawn))
    return blocks


def _draw_channels(version: ReportVersion, score: Score, threshold: float | None) -> list[str]:
    table, (representation, role) = version.table, _SHOWN
    blocks = [html_page.table("Sanity of the numbers", _tabulate_checks(table))]
    proof = table.run.get("lora_proof")
    if proof:
        drawn = build_lora_proof(
            table.layers, np.asarray(proof, dtype=np.float64), tapped=table.tapped_layers
        )
        blocks.append(html_page.figure("What the adapter changes", drawn))
    cell = f"{REPRESENTATION_LABELS[representation]}, {ROLE_LABELS[role]} tokens"
    for layer in _choose_layers(table):
        ranking = rank_channels(table, layer, representation, role, score, TOP, threshold)
        statistics = channel_frame(table, layer, representation, role)
        drawn = outlier_figures.build_channel_scatter(
            ranking.scores,
            outlier_mask=ranking.outlier_mask,
            statistics=statistics[["mean", "std", "max_abs"]].to_numpy().T,
            top=ranking.frame["channel"].to_numpy(),
            value_label=SCORE_LABELS[score],
            level=ranking.threshold,
        )
        caption = f"Layer {layer}, {cell}: {ranking.outlier_count} outliers"
        blocks.append(html_page.figure(caption, drawn))
    course = map_channels(table, representation, role, score, TOP, max_rows=30)
    drawn = outlier_figures.build_channel_map(
        course.values, course.channels, course.layers, value_label=SCORE_LABELS[score]
    )
    rows = len(course.channels)
    blocks.append(html_page.figure(f"Top channels through the network, {cell}", drawn, rows=rows))
    persistent = find_persistent(table, representation, role, score, TOP, threshold).head(30)
    blocks.append(html_page.table("How long they persist", persistent))
    blocks.append(report_views.draw_counts(table, score, threshold))
    blocks += report_views.draw_layer(table, int(table.layers[-1]))
    blocks.append(report_views.draw_advice(table))
    return blocks


def _draw_row(versions: Sequence[ReportVersion]) -> list[str]:
    tables = [each.table for each in versions]
    return report_views.draw_timeline(tables, [each.name for each in versions])


def _choose_layers(table: StatsTable) -> list[int]:
    last = int(table.layers[-1])
    return sorted({last, *table.tapped_layers[-MAX_LAYERS + 1 :]})


def _tabulate_checks(table: StatsTable) -> pd.DataFrame:
    marks = {True: "holds", False: "BROKEN", None: "not checked"}
    rows = [
        (check.name, marks[check.ok], check.number, check.expectation, check.sentence)
        for check in run_checks(table)
    ]
    return pd.DataFrame(rows, columns=["Law", "Outcome", "Found", "Expected", "In words"])


def _compare(baseline: ReportVersion, version: ReportVersion, score: Score) -> list[str]:
    names = baseline.name, version.name
    return draw_comparison(compare(_reading(baseline), _reading(version), names=names), score)


def _reading(version: ReportVersion) -> Reading:
    extras = version.extras
    return Reading(version.table, None if extras is None else lambda: extras)


def _show_config(version: ReportVersion) -> str:
    text = yaml.safe_dump(version.table.config, sort_keys=False, allow_unicode=True)
    return html_page.code(f"Training config of {version.name}", text)
