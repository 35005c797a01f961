"""A version against its baseline in a report: the views of the Versions page, one after another."""

from __future__ import annotations

from html import escape

from analysis.errors import PayloadError
from analysis.language import _
from analysis.read.compare.comparison import TOP, Comparison
from analysis.read.compare.compatibility import SEVERITY_LABELS
from analysis.read.compare.config_diff import config_diff, name_sides, read_settings
from analysis.read.compare.findings import NEGLIGIBLE, make_scale
from analysis.read.outliers import SCORE_LABELS
from analysis.read.scores import Score
from analysis.show.report import page as html_page
from analysis.show.report.page import Section
from analysis.show.view import View
from analysis.show.views import top_channels
from analysis.show.views import versions as views


def build_report(comparison: Comparison, negligible: float = NEGLIGIBLE) -> str:
    """Return one comparison as HTML; every text that comes from the payloads is escaped."""
    baseline, version = comparison.names
    severity, word = comparison.severity, _("comparability")
    verdict = f'<p><span class="badge {severity}">{SEVERITY_LABELS[severity]}</span> {word}</p>'
    sections = [
        Section(_("What differs"), [verdict, *draw_comparison(comparison, negligible=negligible)]),
        Section(_("Whether they may be compared"), [list_reasons(comparison)]),
    ]
    return html_page.build_page(
        _("{version} against {baseline}").format(version=version, baseline=baseline), sections
    )


def draw_comparison(
    comparison: Comparison, score: Score = Score.MAX_ABS, negligible: float = NEGLIGIBLE
) -> list[str]:
    """Return findings, figures and settings that differ; what cannot be told says why."""
    changed = config_diff(*(read_settings(table.config, table.run) for table in comparison.tables))
    heads = {"key": _("Setting"), "status": _("What")}
    heads |= dict(zip(("a", "b"), comparison.names, strict=True))
    changed = name_sides(changed, comparison.names)
    settings = html_page.table(_("Settings that differ"), changed.rename(columns=heads))
    if changed.empty:
        settings = f"<p>{_('The two training configs are the same.')}</p>"
    if comparison.drift is None:
        sentence = _("These two cannot be compared number by number.")
        return [f"<p>{sentence}</p>", settings]
    try:
        blocks = [html_page.sentences(comparison.describe(make_scale(negligible)))]
        blocks += [html_page.view(view) for view in list_views(comparison, score, negligible)]
    except PayloadError as error:
        blocks = [html_page.sentences([str(error)], warning=True)]
    return [*blocks, settings]


def list_views(
    comparison: Comparison, score: Score = Score.MAX_ABS, negligible: float = NEGLIGIBLE
) -> list[View]:
    """Return what the Versions page shows of a comparison, where most drifted.

    Raises:
        PayloadError: If the groups of a payload contradict each other.
    """
    cell = comparison.largest
    if cell is None:
        return []
    top, slots = comparison.top(cell, score), (1, 0)
    flagged = views.flagged(comparison)
    return [
        views.drift(comparison, negligible=negligible),
        *([] if flagged is None else [flagged]),
        views.effects(comparison, cell, comparison.examine(cell), negligible=negligible),
        top_channels.top_changes(comparison, cell, top, slots, "light"),
        top_channels.every_channel(comparison, cell, top, slots, "light"),
        top_channels.overlap(
            comparison, comparison.overlap(score), k=TOP, ranked_by=SCORE_LABELS[score]
        ),
    ]


def list_reasons(comparison: Comparison) -> str:
    """Return what the two agree and disagree in, as a list."""
    rows = [
        f'<li><span class="{reason.severity.value}">●</span> {escape(reason.sentence)}</li>'
        for reason in comparison.reasons
    ]
    return f"<ul>{''.join(rows)}</ul>"
