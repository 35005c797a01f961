"""What a payload does not hold, said in the place of the part of a page that needs it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import streamlit as st

from analysis.errors import PartAbsentError
from pages.components.shared.text import plain


@contextmanager
def say(about: str = "", *, quietly: bool = False) -> Iterator[None]:
    """Say in its place what a part of a page lacks; the rest of the page goes on.

    A page that cannot go on lets the error pass: the frame says it in the place of the page.

    Args:
        about: Whose payload it is, or what is shown without it.
        quietly: In small type, where the rest says nearly as much without it.
    """
    try:
        yield
    except PartAbsentError as error:
        sentence = plain(f"{about}: {error}" if about else str(error))
        if quietly:
            st.caption(sentence)
        else:
            st.info(sentence, icon=":material/info:")
