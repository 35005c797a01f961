"""Photographs of single images, where their files can be read; their names elsewhere."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import streamlit as st

from analysis.errors import ConfigError, ImageError
from analysis.jobs.reader import load_photograph
from analysis.language import _
from analysis.payload.recorded_files import find_photograph
from analysis.read.places.photographs import to_jpeg
from pages.components.shared import selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version

WIDTH = 360
"""Pixels of a thumbnail."""
PAGE = "pages/images.py"


def show_strip(
    version: Version, images: Sequence[int], paths: Sequence[str], lines: Sequence[str], name: str
) -> str | None:
    """Show photographs side by side, each with a line below it and a way to the Images page.

    Args:
        version: Whose images they are.
        images: Position of each in the image list.
        paths: Relative path of each.
        lines: What stands below each.
        name: Of the strip, unique on the page.

    Returns:
        Why a photograph cannot be read; None where all can.
    """
    problem = None
    for place, column in enumerate(st.columns(len(images))):
        with column:
            path = paths[place]
            try:
                st.image(_thumbnail(version, path), width="stretch", alt=path)
            except (ConfigError, ImageError, OSError) as error:
                problem = problem or str(error)
                st.markdown(":material/image: " + plain(Path(path).name or f"#{images[place]}"))
            st.caption(lines[place])
            if problem is None and st.button(
                _("Images"),
                key=f"{name} {place}",
                type="tertiary",
                icon=":material/image_search:",
                help=_("Its maps through depth, on the page Images."),
            ):
                _go_to(version, images[place])
    return problem


def choose_folder(problem: str) -> None:
    """Show a line for the folder that the images lie in on this machine; look there at once.

    Args:
        problem: Why they cannot be read where they were.
    """
    st.caption(plain(problem))
    used = selection.recall("images") or None
    typed = selection.type_text(
        "images",
        _("Folder of the images"),
        placeholder=_("where data.root is on this machine"),
        help=_("Below the project dir, or a folder that DASHBOARD_ROOTS names."),
    )
    if typed != used:
        st.rerun()


def _thumbnail(version: Version, path: str) -> bytes:
    run = version.table.run
    width, height = run.get("image_size") or run.get("network_size") or (WIDTH, WIDTH)
    file = find_photograph(path, version.table.meta, selection.recall("images"))
    state = file.stat()
    size = WIDTH, max(1, round(WIDTH * height / width))
    return _draw(str(file), state.st_size, state.st_mtime_ns, size)


@st.cache_data(max_entries=300, show_spinner=False)
def _draw(path: str, size: int, mtime_ns: int, shape: tuple[int, int]) -> bytes:
    del size, mtime_ns  # part of the key only
    return to_jpeg(load_photograph(Path(path), shape))


def _go_to(version: Version, image: int) -> None:
    selection.remember("show", version.ref.key)
    selection.remember("view", "maps")
    selection.remember("pictures", str(image))
    st.switch_page(PAGE)
