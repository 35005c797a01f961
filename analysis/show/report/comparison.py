"""A comparison as one HTML file that opens without a network."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from string import Template

import numpy as np
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis.read.compare.comparison import TOP, Comparison
from analysis.read.compare.config_diff import config_diff
from analysis.show.figures import theme
from analysis.show.figures import versions as figures
from analysis.show.figures.noise import build_flagged_curves
from analysis.vocabulary import Statistic

_PAGE = Template("""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #26303d; max-width: 72rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; }
td, th { text-align: left; padding: .2rem .8rem .2rem 0; border-bottom: 1px solid #e4e8ee; }
.green { color: #1a7f37; } .amber { color: #9a6700; } .red { color: #cf222e; }
.badge { border: 2px solid; border-radius: 1rem; padding: .1rem .8rem; font-weight: 600; }
</style>
<script>$plotly</script>
</head>
<body>
<h1>$title</h1>
<p><span class="badge $severity">$severity</span> comparability</p>
$body
</body>
</html>
""")


def build_report(comparison: Comparison) -> str:
    """Return the report as HTML; every text that comes from the payloads is escaped."""
    sentences = comparison.sentences
    sections = [_section("Findings", _list(sentences))] if sentences else []
    sections += _draw_figures(comparison)
    sections += [_list_settings(comparison), _list_reasons(comparison)]
    return _PAGE.substitute(
        title=escape(f"{comparison.names[1]} against {comparison.names[0]}"),
        severity=comparison.severity.value,
        plotly=get_plotlyjs(),
        body="\n".join(sections),
    )


def _draw_figures(comparison: Comparison) -> list[str]:
    noise, cell = comparison.noise, comparison.largest
    if comparison.drift is None or noise is None or cell is None:
        return [_section("Figures", "<p>Nothing can be compared number by number.</p>")]
    layer, representation, role = cell
    where = f"layer {layer}, {theme.REPRESENTATION_LABELS[representation]}, "
    where += f"{theme.ROLE_LABELS[role]} tokens"
    a, b = comparison.tables
    flagged = np.where(np.isnan(noise.noise_floor), np.nan, noise.flagged_channels / a.channels)
    top = comparison.top(cell)
    names = (escape(comparison.names[0]), escape(comparison.names[1]))  # plotly reads tags in them
    return [
        _draw(
            "Drift of each layer; thin: what chance alone gives; hollow: not beyond it",
            figures.build_drift_curves(
                comparison.layers,
                comparison.drift,
                noise=noise.noise_floor,
                beyond=None if np.isnan(noise.noise_floor).all() else noise.beyond,
            ),
        ),
        _draw(
            "Channels that differ by more than noise",
            build_flagged_curves(comparison.layers, flagged),
        ),
        _draw(
            f"Top channels where most drifted: {where}",
            figures.build_top_changes(top.frame, names=names, value_label="max |x|"),
            rows=len(top.frame),
        ),
        _draw(
            f"Every channel of {where}",
            figures.build_channel_comparison(
                a[cell][Statistic.MAX_ABS.position],
                b[cell][Statistic.MAX_ABS.position],
                names=names,
                value_label="max |x|",
            ),
        ),
        _draw(
            f"Overlap of the top {TOP}",
            figures.build_jaccard_curves(comparison.layers, comparison.overlap(), k=TOP),
        ),
    ]


def _draw(title: str, figure: go.Figure, *, rows: int = 0) -> str:
    exported = theme.prepare_export(figure, "light").update_layout(height=max(450, 120 + 17 * rows))
    return _section(title, exported.to_html(full_html=False, include_plotlyjs=False))


def _list_settings(comparison: Comparison) -> str:
    changed = config_diff(*(table.config for table in comparison.tables))
    if changed.empty:
        return _section("Settings", "<p>The two training configs are the same.</p>")
    head = _row("th", ["Setting", *comparison.names])
    rows = [_row("td", row) for row in changed[["key", "a", "b"]].to_numpy().tolist()]
    return _section("Settings that differ", f"<table>{head}{''.join(rows)}</table>")


def _list_reasons(comparison: Comparison) -> str:
    rows = [
        f'<li><span class="{reason.severity.value}">●</span> {escape(reason.sentence)}</li>'
        for reason in comparison.reasons
    ]
    return _section("Whether they may be compared", f"<ul>{''.join(rows)}</ul>")


def _section(title: str, body: str) -> str:
    return f"<h2>{escape(title)}</h2>\n{body}"


def _list(sentences: Sequence[str]) -> str:
    return f"<ul>{''.join(f'<li>{escape(sentence)}</li>' for sentence in sentences)}</ul>"


def _row(tag: str, cells: Sequence[str]) -> str:
    return f"<tr>{''.join(f'<{tag}>{escape(cell)}</{tag}>' for cell in cells)}</tr>"
