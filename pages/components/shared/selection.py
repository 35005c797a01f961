"""The view that is looked at, carried from page to page and written into the address.

Every choice has one name: its key in the session and its parameter in the URL. Opening a link
starts a session with the link's choices; each page offers those that it uses, and all of them
stay in the address, so that the address always is a link to the present view.

`bind="query-params"` of Streamlit is not used: it puts labels into the address (which change with
the payload's date) and drops a parameter on the pages that do not show its widget.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal, TypeVar

import streamlit as st

from analysis.language import _

T = TypeVar("T")

MAX_DIGITS = 9
"""Of a whole number in the address; Python refuses to read thousands."""

_STATE = "selection"
_SEPARATOR = "."
_WRITTEN = "address written"
_PAGE = "address written on"


def recall(name: str) -> str | None:
    """Return what is chosen under a name, as it stands in the address; None if nothing is."""
    return _choices().get(name)


def to_whole(text: str | None) -> int | None:
    """Return a number as an address holds it; None of what is none, or has too many digits."""
    return int(text) if text and text.isdecimal() and len(text) <= MAX_DIGITS else None


def all_choices() -> dict[str, str]:
    """Return a copy of everything that is chosen, as it stands in the address."""
    return dict(_choices())


def remember(name: str, value: str | None) -> None:
    """Choose a value from code; None forgets the choice."""
    choices = _choices()
    if value is None:
        choices.pop(name, None)
    else:
        choices[name] = value


def write_address() -> None:
    """Make the address a link to the present view."""
    choices = dict(sorted(_choices().items()))
    if st.query_params.to_dict() != choices:
        st.query_params.from_dict(choices)
    st.session_state[_WRITTEN] = choices


def follow_address(page: str) -> bool:
    """Take the choices of the address after the browser's Back or Forward.

    An address that another one was written over, with no widget changed, is a step in the
    browser's history. Without any choice it is the one that the visitor came with; there nothing
    is written, or the next Back would not leave the app. A link to another page has none either.

    Args:
        page: Stem of the page that is shown.

    Returns:
        Whether the address is to be written in this run.
    """
    state, address = st.session_state, st.query_params.to_dict()
    written, stays = state.get(_WRITTEN), state.get(_PAGE) == page
    state[_PAGE] = page
    if written is None or address == written or _is_widget_changed():
        return True
    if not address:
        return not stays
    state[_STATE] = address
    return True


def _is_widget_changed() -> bool:
    state = st.session_state
    names = [str(key).removeprefix("shown ") for key in state if str(key).startswith("shown ")]
    return any(
        _widget_key(name) in state and state[_widget_key(name)] != state[_shown_key(name)]
        for name in names
    )


def choose(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: T,
    format_func: Callable[[T], str] = str,
    help: str | None = None,
    menu_width: int | Literal["stretch"] | None = None,
    label_visibility: Literal["visible", "collapsed"] = "visible",
) -> T:
    """Show one choice among options, as a row of buttons or (given a width) as a menu.

    A remembered choice that is not among the options (another payload has other layers) shows the
    default, and is kept for the payload that has it until another is made.
    """
    key = _offer(name, _read_one(name, options, default), valid=options.__contains__)
    if menu_width is not None:
        value = st.selectbox(
            label, options, key=key, format_func=format_func, help=help, width=menu_width
        )
    else:
        value = st.segmented_control(
            label,
            options,
            key=key,
            format_func=format_func,
            help=help,
            required=True,
            label_visibility=label_visibility,
        )
    value = default if value is None else value
    _accept(name, value, str(value))
    return value


def choose_on_slider(
    name: str, label: str, options: Sequence[T], *, default: T, help: str | None = None
) -> T:
    """Show one choice among ordered options as a slider; a single option needs no widget."""
    if len(options) < 2:
        return options[0]
    key = _offer(name, _read_one(name, options, default), valid=options.__contains__)
    value = st.select_slider(label, options, key=key, help=help)
    _accept(name, value, str(value))
    return value


def choose_some(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    default: Sequence[T] = (),
    format_func: Callable[[T], str] = str,
    help: str | None = None,
) -> list[T]:
    """Show a choice of several options as a row of buttons; all at first, or some; none is all."""
    key = _offer(name, _read_several(name, options) or list(default or options))
    values = st.pills(
        label, options, key=key, selection_mode="multi", format_func=format_func, help=help
    )
    _accept(name, values, _join(values))
    return [option for option in options if option in values] or list(options)


def choose_many(
    name: str,
    label: str,
    options: Sequence[T],
    *,
    limit: int,
    format_func: Callable[[T], str] = str,
    help: str | None = None,
) -> list[T]:
    """Show a choice of up to `limit` options, none at first, as a menu.

    The menu itself has no limit: it would take the first of several matches without a word.
    """
    asked = _read_several(name, options)
    key = _offer(name, asked[:limit], valid=lambda values: all(v in options for v in values))
    picked = st.session_state[key]
    if len(picked) > limit:
        asked = picked
        st.session_state[key] = picked[:limit]
    chosen = st.multiselect(
        label,
        options,
        key=key,
        format_func=format_func,
        help=help,
        filter_mode="contains",
        placeholder=_("Choose options"),
    )
    if len(asked) > limit:
        st.warning(
            _("{count} were asked for; {limit} fit, and the first {limit} are taken.").format(
                count=len(asked), limit=limit
            )
        )
    _accept(name, chosen, _join(chosen))
    return chosen


def choose_number(name: str, label: str, *, default: float, help: str | None = None) -> float:
    """Show the choice of a number."""
    key = _offer(name, _read_number(name, default))
    value = float(st.number_input(label, key=key, step=None, format="%g", help=help, width=130))
    _accept(name, value, f"{value:g}")
    return value


def choose_integer(
    name: str, label: str, *, default: int, low: int, high: int, help: str | None = None
) -> int:
    """Show the choice of a whole number between two, both included."""
    wanted = _read_number(name, default)
    whole = int(wanted) if wanted == int(wanted) and low <= wanted <= high else default
    key = _offer(name, whole, valid=lambda number: low <= number <= high)
    value = int(
        st.number_input(label, key=key, min_value=low, max_value=high, help=help, width=150)
    )
    _accept(name, value, str(value))
    return value


def switch(name: str, label: str, *, default: bool, help: str | None = None) -> bool:
    """Show a choice between on and off."""
    key = _offer(name, {"on": True, "off": False}.get(recall(name) or "", default))
    value = st.toggle(label, key=key, help=help)
    _accept(name, value, "on" if value else "off")
    return value


@contextmanager
def unfold(name: str, title: str) -> Iterator[bool]:
    """Put what follows behind a line that opens it; yield whether it is open."""
    key = _offer(name, recall(name) == "on")
    with st.expander(title, key=key, on_change="rerun") as line:
        _accept(name, line.open, "on" if line.open else "off")
        yield bool(line.open)


def choose_or_type(
    name: str,
    label: str,
    options: Sequence[str],
    *,
    default: str,
    format_func: Callable[[str], str] = str,
    help: str | None = None,
) -> str:
    """Show a menu of texts that takes others too; an empty one shows the default."""
    wanted = recall(name) or default
    known = [*options, *({wanted} - set(options))]
    key = _offer(name, wanted)
    value = st.selectbox(
        label, known, key=key, format_func=format_func, help=help, accept_new_options=True
    )
    value = (value or "").strip() or default
    _accept(name, value, value)
    return value


def type_text(
    name: str, label: str, *, placeholder: str | None = None, help: str | None = None
) -> str | None:
    """Show a line to type into; return what was typed, None while it is empty."""
    key = _offer(name, recall(name) or "")
    value = (st.text_input(label, key=key, placeholder=placeholder, help=help) or "").strip()
    _accept(name, value, value)
    return value or None


def _read_one(name: str, options: Sequence[T], default: T) -> T:
    return {str(option): option for option in options}.get(recall(name) or "", default)


def _read_number(name: str, default: float) -> float:
    try:
        number = float(recall(name) or "")
    except ValueError:
        return default
    return number if math.isfinite(number) else default


def _read_several(name: str, options: Sequence[T]) -> list[T]:
    by_name = {str(option): option for option in options}
    names = (recall(name) or "").split(_SEPARATOR)
    return [by_name[name] for name in dict.fromkeys(names) if name in by_name]


def _join(values: Sequence[object]) -> str:
    return _SEPARATOR.join(map(str, values))


def _offer(name: str, wanted: T, valid: Callable[[T], bool] = lambda _unused: True) -> str:
    """Let the widget show what is wanted, unless the user has just changed it; return its key."""
    key, shown = _widget_key(name), _shown_key(name)
    state = st.session_state
    changed = key in state and shown in state and state[key] != state[shown]
    if not changed or not valid(state[key]):
        state[key] = state[shown] = wanted
    return key


def _accept(name: str, value: object, text: str) -> None:
    """Remember a value that the user has just chosen."""
    if value != st.session_state[_shown_key(name)]:
        st.session_state[_shown_key(name)] = value
        _choices()[name] = text
        write_address()


def _widget_key(name: str) -> str:
    return f"choose {name}"


def _shown_key(name: str) -> str:
    return f"shown {name}"


def _choices() -> dict[str, str]:
    if _STATE not in st.session_state:
        st.session_state[_STATE] = st.query_params.to_dict()
    return st.session_state[_STATE]
