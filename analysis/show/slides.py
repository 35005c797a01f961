"""Saved views as slides: one HTML file that needs no network, a page of 16:9 for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from string import Template

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from analysis import language
from analysis.language import _
from analysis.show.browser_images import without_webgl
from analysis.show.figures import theme
from analysis.show.view import View

WIDTH, HEIGHT = 1280, 720
"""Pixels of a printed slide."""

_FONT_SIZE = 18
_PAGE = Template("""\
<!doctype html>
<html lang="$language">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy"
  content="default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; \
img-src data: blob:">
<title>$title</title>
<style>
@page { size: ${width}px ${height}px; margin: 0; }
* { box-sizing: border-box; }
html { scroll-snap-type: y proximity; }
body { font: 18px/1.35 system-ui, sans-serif; color: $ink; background: $paper; margin: 0;
  -webkit-print-color-adjust: exact; print-color-adjust: exact; }
section { width: 100%; max-width: ${width}px; height: ${height}px; margin: 0 auto;
  padding: 24px 40px 16px; display: flex; flex-direction: column; gap: 6px; overflow: hidden;
  scroll-snap-align: start; break-after: page; break-inside: avoid; }
h1, h2 { font-size: 32px; line-height: 1.15; margin: 0; }
p { margin: 0; } .about { font-size: 20px; opacity: .75; } .sentence { font-size: 26px; }
.figure { flex: 1 1 0; min-height: 0; }
.note { font-size: 15px; white-space: pre-wrap; border-left: 3px solid #2667c9;
  padding-left: .8rem; }
.number { font-size: 13px; opacity: .7; text-align: right; }
</style>
<script>$plotly</script>
</head>
<body>
$slides
</body>
</html>
""")


@dataclass(frozen=True)
class Slide:
    """One saved view."""

    name: str
    """What it is called; never to be rendered as HTML."""
    view: View | None
    """What it shows; None where its page has no figure."""
    note: str = ""
    """What somebody wrote of it."""


def build_slides(slides: Sequence[Slide], mode: theme.Mode = "light") -> str:
    """Return the slides as HTML; every text is escaped, and plotly.js is held once."""
    drawn = [_draw(slide, place, len(slides), mode) for place, slide in enumerate(slides, start=1)]
    return _PAGE.substitute(
        language=language.current(),
        title=escape(slides[0].name)
        if len(slides) == 1
        else _("{count} views").format(count=len(slides)),
        width=WIDTH,
        height=HEIGHT,
        ink=theme.text_color(mode),
        paper=theme.page_color(mode),
        plotly=get_plotlyjs(),
        slides="\n".join(drawn),
    )


def _draw(slide: Slide, place: int, count: int, mode: theme.Mode) -> str:
    view = slide.view
    parts = [f'<p class="about">{escape(slide.name)}</p>']
    if view is None or view.figure is None:
        missing = _("This page has no figure.")
        parts.append(f"<h2>{missing}</h2>")
    else:
        title = f"{view.about}: {view.title}" if view.about else view.title
        parts.append(f"<h2>{escape(title)}</h2>")
        parts += [f'<p class="sentence">{escape(view.words)}</p>'] if view.words else []
        parts.append(
            f'<div class="figure" role="img" aria-label="{escape(view.alternative)}">'
            f"{_to_html(view.figure, mode)}</div>"
        )
    parts += [f'<p class="note">{escape(slide.note)}</p>'] if slide.note else []
    number = _("{place} of {count}").format(place=place, count=count)
    parts.append(f'<p class="number">{number}</p>')
    return f"<section>{''.join(parts)}</section>"


def _to_html(figure: go.Figure, mode: theme.Mode) -> str:
    drawn = theme.prepare_export(without_webgl(figure), mode)
    drawn.update_layout(height=None, width=None, font_size=_FONT_SIZE)
    drawn.update_annotations(font_size=_FONT_SIZE)
    return drawn.to_html(
        full_html=False,
        include_plotlyjs=False,
        default_height="100%",
        config={"displaylogo": False, "responsive": True},
    )
