"""The view that is looked at, carried from page to page and written into the address.

Every choice has one name: its key in the session and its parameter in the URL. Opening a link
starts a session with the link's choices; each page offers those that it uses, and all of them
stay in the address, so that the address always is a link to the present view.

`bind="query-params"` of Streamlit is not used: it puts labels into the address (which change with
the payload's date) and drops a parameter on the pages that do not show its widget.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar

import streamlit as st

T = TypeVar("T")

_STATE = "selection"
_SEPARATOR = "."


def recall(name: str) -> str | None:
    """Return what is chosen under a name, as it stands in the address; None if nothing is."""
    return _choices().get(name)


def remember(name: str, value: str | None) -> None:
    """Choose a value from code; None forgets the choice."""
    choices = _choices()
    if value is None:
        choices.pop(name, None)
    else:
        choices[name] = value
    # a widget that shows this choice is to start from the new value
    st.session_state.pop(_widget_key(name), None)


def write_address() -> None:
    """Make the address a link to the present view."""
    choices = dict(sorted(_choices().items()))
    if st.query_params.to_dict() != choices:
        st.query_params.from_dict(choices)


def choose(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: T,
    format_func: Callable[[T], str] = str,
    help: str | None = None,
    menu_width: int | Literal["stretch"] | None = None,
) -> T:
    """Show one choice among options, as a row of buttons or (given a width) as a menu.

    A remembered choice that is not among the options (another payload has other layers) shows the
    default and is kept until another is made.
    """
    key = _prepare(name, options, default)
    if menu_width is not None:
        value = st.selectbox(
            label, options, key=key, format_func=format_func, help=help, width=menu_width
        )
    else:
        value = st.segmented_control(
            label, options, key=key, format_func=format_func, help=help, required=True
        )
    return _record(name, default if value is None else value, options, default)


def choose_on_slider(
    name: str, label: str, options: Sequence[T], *, default: T, help: str | None = None
) -> T:
    """Show one choice among ordered options as a slider; a single option needs no widget."""
    if len(options) < 2:
        return options[0]
    key = _prepare(name, options, default)
    value = st.select_slider(label, options, key=key, help=help)
    return _record(name, value, options, default)


def choose_some(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: Sequence[T],
    format_func: Callable[[T], str] = str,
    help: str | None = None,
) -> list[T]:
    """Show a choice of several options as a row of buttons; choosing none means the default."""
    key = _widget_key(name)
    if key not in st.session_state:
        wanted = (recall(name) or "").split(_SEPARATOR)
        st.session_state[key] = [o for o in options if str(o) in wanted] or list(default)
    values = st.pills(
        label, options, key=key, selection_mode="multi", format_func=format_func, help=help
    )
    chosen = [option for option in options if option in values] or list(default)
    _keep(name, _SEPARATOR.join(map(str, chosen)), unless=chosen == list(default))
    return chosen


def choose_many(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    limit: int,
    format_func: Callable[[T], str] = str,
    help: str | None = None,
) -> list[T]:
    """Show a choice of any number of options, none at first, as a menu."""
    key = _widget_key(name)
    wanted = st.session_state.get(key)
    if wanted is None:
        remembered = (recall(name) or "").split(_SEPARATOR)
        wanted = [option for option in options if str(option) in remembered]
    st.session_state[key] = [option for option in wanted if option in options]
    chosen = st.multiselect(
        label, options, key=key, format_func=format_func, help=help, max_selections=limit
    )
    _keep(name, _SEPARATOR.join(map(str, chosen)), unless=not chosen)
    return chosen


def switch(name: str, label: str, *, default: bool, help: str | None = None) -> bool:
    """Show a choice between on and off."""
    key = _widget_key(name)
    if key not in st.session_state:
        st.session_state[key] = {"on": True, "off": False}.get(recall(name) or "", default)
    value = st.toggle(label, key=key, help=help)
    _keep(name, "on" if value else "off", unless=value == default)
    return value


def _prepare(name: str, options: Sequence[T], default: T) -> str:
    """Give the widget its first value, and a valid one where the options have changed."""
    key = _widget_key(name)
    if st.session_state.get(key) not in options:
        by_name = {str(option): option for option in options}
        st.session_state[key] = by_name.get(recall(name) or "", default)
    return key


def _record(name: str, value: T, options: Sequence[T], default: T) -> T:
    # A remembered choice that these options do not have is kept for the payload that has it.
    foreign = recall(name) not in (None, *map(str, options))
    if not (foreign and value == default):
        _keep(name, str(value), unless=value == default)
    return value


def _keep(name: str, value: str, *, unless: bool) -> None:
    if recall(name) != value and not (unless and recall(name) is None):
        _choices()[name] = value
        write_address()


def _widget_key(name: str) -> str:
    return f"choose {name}"


def _choices() -> dict[str, str]:
    if _STATE not in st.session_state:
        st.session_state[_STATE] = st.query_params.to_dict()
    return st.session_state[_STATE]
