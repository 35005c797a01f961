"""Views, tables and pictures on the screen, each with a menu of files to take away."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from analysis.language import _
from analysis.show import browser_images as pictures
from analysis.show import export
from analysis.show.figures import theme
from analysis.show.view import Frame, View
from pages.components.shared import present
from pages.components.shared.text import plain

_MIME_TYPES = {
    "html": "text/html",
    "svg": "image/svg+xml",
    "png": "image/png",
    "csv": "text/csv",
    "parquet": "application/vnd.apache.parquet",
}


def mode() -> theme.Mode:
    """Return whether the viewer looks at a light or a dark page."""
    return "dark" if st.context.theme.type == "dark" else "light"


def show(view: View) -> int | None:
    """Show a view: its title and menu of files in one line, the words, and the figure between.

    To an audience only the chosen figure of the page is shown, in large type.

    Returns:
        The first entry of the clicked point's `customdata`, a channel; None without a click.
    """
    chosen = view.figure is not None and present.take(view)
    if present.is_on() and view.figure is not None:
        return _show_to_audience(view) if chosen else None
    shown = mode()  # asked here: a download runs in a thread that knows no viewer
    with st.container(
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="center",
        key=f"head of {view.name}",  # known to the style of the frame
    ):
        about = f" :gray[:small[{plain(view.about)}]]" if view.about else ""
        st.header(f"{plain(view.title)}{about}", anchor=export.name_file(view.name))
        with st.container(horizontal=True, width="content", gap="small"):
            if view.figure is not None:
                present.offer(view.name)
            _offer_files(view, shown)
    if view.figure is not None:
        view.figure.layout.height = view.height
    clicked = _draw(view, "content") if view.figure is not None else None
    for note in view.notes:
        st.info(plain(note), icon=":material/info:")
    if view.caption:
        st.caption(plain(view.caption))
    return clicked


def _show_to_audience(view: View) -> int | None:
    with st.container(key=present.PLACE):
        present.show_words(view)
        present.enlarge(view)
        return _draw(view, "stretch")


def _draw(view: View, height: Literal["content", "stretch"]) -> int | None:
    event = st.plotly_chart(
        view.figure,
        key=f"figure {view.name}",
        height=height,
        theme=None,
        config={
            "displaylogo": False,
            # for an audience it would lie over the figure, where the pointer happens to rest
            "displayModeBar": False if height == "stretch" else "hover",
            # the camera in the figure's own bar needs nothing on the server
            "toImageButtonOptions": {"format": "svg", "filename": _name_file(view)},
        },
        on_select="rerun" if view.clickable else "ignore",
        selection_mode="points",
        alt=view.alternative,
    )
    return _read_click(event) if view.clickable else None


def _offer_files(view: View, shown: theme.Mode) -> None:
    """Show the menu of the files that a view can be taken away as."""
    with _menu(view.name):
        figure, stem = view.figure, _name_file(view)
        if figure is not None:
            _offer(
                "HTML",
                view.name,
                lambda: export.figure_to_html(export.with_headline(view), shown),
                stem=stem,
                help=_("The interactive figure as one file that opens without a network."),
            )
            if pictures.can_draw_images():
                for kind in ("svg", "png"):
                    _offer(
                        kind.upper(),
                        view.name,
                        lambda kind=kind: pictures.figure_to_image(
                            export.with_headline(view), shown, kind
                        ),
                        stem=stem,
                    )
        if view.frame is not None:
            _offer_table(view.tabulate, view.name, stem)


def show_csv(
    data: Frame, name: str, about: str = "", columns: Mapping[str, str] | None = None
) -> None:
    """Show the menu of files of a table that stands above.

    Args:
        data: The table, or what makes it once somebody asks for it.
        name: Names the files; unique on the page.
        about: The versions that it is of, for the names of the files.
        columns: What the table begins with; a column of the one version where None.
    """
    if columns is None:
        columns = {"version": about} if about else {}
    with _menu(name):
        view = View(name, name, frame=data, about=about, columns=columns)
        _offer_table(view.tabulate, name, _name_file(view))


def offer_picture(pixels: NDArray[np.uint8], name: str) -> None:
    """Show a button that downloads a picture, ``[H, W, 3]``."""
    with st.container(horizontal=True, gap="small"):
        _offer(
            "PNG", name, lambda: export.pixels_to_png(pixels), help=_("The picture as it stands.")
        )


def _menu(name: str) -> DeltaGenerator:
    """Return the menu of the files that something can be taken away as."""
    return st.popover(
        _("Files"),
        icon=":material/download:",
        type="tertiary",
        width="content",
        key=f"files {name}",
        help=_("Take it away as a file."),
    )


def _name_file(view: View) -> str:
    return export.name_file(f"{view.name} {view.about}")


def _offer_table(make: Callable[[], Any], name: str, stem: str) -> None:
    csv, parquet = export.frame_to_csv, export.frame_to_parquet
    _offer("CSV", name, lambda: csv(make()), stem=stem)
    _offer(_("Parquet"), name, lambda: parquet(make()), stem=stem)


def _offer(
    label: str,
    name: str,
    make: Callable[[], bytes],
    *,
    stem: str | None = None,
    help: str | None = None,
) -> None:
    """Show a button that makes a file when it is pressed; its label is the kind of file.

    Args:
        label: The kind.
        name: Of what is taken away; unique on the page.
        make: Makes the file.
        stem: Of the file's name; the name where None.
        help: Only for the first button of a menu: the hint of another covers the button above it.
    """
    kind = label.lower()
    st.download_button(
        label,
        data=make,
        file_name=f"{stem or export.name_file(name)}.{kind}",
        mime=_MIME_TYPES[kind],
        key=f"{kind} {name}",
        on_click="ignore",
        type="tertiary",
        icon=":material/download:",
        help=help,
    )


def _read_click(event: Any) -> int | None:
    points = event["selection"]["points"]
    facts = points[0].get("customdata") if points else None
    if not facts:
        return None
    # arrays that travel in binary come back as {"0": ..., "1": ...}
    return int(facts["0"] if isinstance(facts, dict) else facts[0])
