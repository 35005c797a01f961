"""A page of text, tables and interactive figures as one HTML file that needs no network.

Every text is escaped; plotly.js is held once, whatever the number of figures.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import pandas as pd
import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis import language
from analysis.language import _
from analysis.show.browser_images import without_webgl
from analysis.show.figures import theme
from analysis.show.view import View

GENERATOR = '<meta name="generator" content="DINOv3 feature statistics">'
"""In the head of every page: tells a report, which may be replaced, from any other file."""

_PAGE = Template("""\
<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
$generator
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
img-src data: blob:">
<title>$title</title>
<style>
body { font: 16px/1.5 system-ui, sans-serif; color: #26303d; max-width: 76rem;
  margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
td, th { text-align: left; padding: .2rem 1rem .2rem 0; border-bottom: 1px solid #e4e8ee;
  vertical-align: top; overflow-wrap: anywhere; min-width: 3.5rem; }
th { overflow-wrap: normal; }
pre { background: #f3f5f9; padding: 1rem; overflow-x: auto; font-size: .85rem; }
h2 { margin-top: 3rem; } nav a { margin-right: 1rem; }
.note { white-space: pre-wrap; border-left: 3px solid #2667c9; padding-left: 1rem; }
.warning { color: #8a5a00; } .about { color: #667085; margin: 0; }
.green { color: #1a7f37; } .amber { color: #9a6700; } .red { color: #cf222e; }
.badge { border: 2px solid; border-radius: 1rem; padding: .1rem .8rem; font-weight: 600; }
@media print { nav { display: none } }
</style>
<script>$plotly</script>
</head>
<body>
<h1>$title</h1>
<nav>$links</nav>
$sections
</body>
</html>
""")


@dataclass(frozen=True)
class Section:
    """One part of the page."""

    title: str
    blocks: Sequence[str]
    """HTML, made by the functions below."""


def build_page(title: str, sections: Sequence[Section]) -> str:
    """Return the page, with links to its sections at the top."""
    numbered = list(enumerate(sections))
    return _PAGE.substitute(
        generator=GENERATOR,
        title=escape(title),
        language=language.current(),
        plotly=get_plotlyjs(),
        links="\n".join(f'<a href="#s{i}">{escape(section.title)}</a>' for i, section in numbered),
        sections="\n".join(
            f'<h2 id="s{i}">{escape(section.title)}</h2>\n' + "\n".join(section.blocks)
            for i, section in numbered
        ),
    )


def view(shown: View) -> str:
    """Return a view below its title, its words below it.

    Args:
        shown: Made for the light mode.
    """
    parts = [f"<h3>{escape(shown.title)}</h3>"]
    parts += [f'<p class="about">{escape(shown.about)}</p>'] if shown.about else []
    if shown.figure is not None:
        drawn = theme.prepare_export(without_webgl(shown.figure), "light")
        drawn.update_layout(height=shown.height)
        config = {"displaylogo": False, "toImageButtonOptions": {"format": "svg"}}
        parts.append(drawn.to_html(full_html=False, include_plotlyjs=False, config=config))
    elif shown.frame is not None:
        parts.append(_draw_table(shown.tabulate()))
    parts += [f"<p>{escape(text)}</p>" for text in (*shown.notes, shown.caption) if text]
    return "\n".join(parts)


def figure(caption: str, drawn: go.Figure, *, rows: int = 0) -> str:
    """Return a figure below its caption; `rows` labelled rows have room below each other."""
    return view(View(caption, caption, drawn, rows=rows))


def table(caption: str, frame: pd.DataFrame) -> str:
    """Return a table below its caption; numbers have four digits, what is missing a dash."""
    return f"<h3>{escape(caption)}</h3>\n{_draw_table(frame)}"


def _draw_table(frame: pd.DataFrame) -> str:
    head = "".join(f"<th>{escape(_(str(name)))}</th>" for name in frame.columns)
    rows = "\n".join(
        f"<tr>{''.join(f'<td>{escape(_say(value))}</td>' for value in row)}</tr>"
        for row in frame.itertuples(index=False)
    )
    return f"<table><tr>{head}</tr>\n{rows}</table>"


def note(text: str) -> str:
    """Return what somebody wrote, with its line breaks."""
    return f'<p class="note">{escape(text)}</p>'


def sentences(lines: Sequence[str], *, warning: bool = False) -> str:
    """Return sentences as a list."""
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<ul{' class=warning' if warning else ''}>{items}</ul>" if lines else ""


def code(caption: str, text: str) -> str:
    """Return text as it stands in a file."""
    return f"<h3>{escape(caption)}</h3>\n<pre>{escape(text)}</pre>"


def _say(value: object) -> str:
    if value is None or (not isinstance(value, str) and pd.isna(value)):  # type: ignore[call-overload]
        return "–"
    return f"{value:.4g}" if isinstance(value, float) else str(value)
