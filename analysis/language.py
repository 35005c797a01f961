"""The language of what people read: English in the source, others from catalogues of gettext.

A catalogue is `locale/<language>/LC_MESSAGES/dashboard.po`, compiled to `.mo` beside it. A text
that has no translation stays English.
"""

from __future__ import annotations

import gettext
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from pathlib import Path
from typing import TypeVar

LANGUAGES = {"en": "English", "zh": "中文"}
"""Name of each language in itself, by what stands in the link; the first is the source's."""

LOCALE = Path(__file__).parent / "locale"
DOMAIN = "dashboard"

SOURCE = "en"
"""The language that the messages are written in."""
_FOLDERS = {"zh": "zh_CN"}

Key = TypeVar("Key")

_chosen: ContextVar[str | None] = ContextVar("language", default=None)


def _nobody() -> str | None:
    return None


_ask: Callable[[], str | None] = _nobody


def ask(source: Callable[[], str | None]) -> None:
    """Set what names the language in a thread where none was chosen; None where it cannot."""
    global _ask
    _ask = source


def choose(language: str) -> None:
    """Choose the language of this thread; one that is not offered is English."""
    _chosen.set(language if language in LANGUAGES else SOURCE)


def current() -> str:
    """Return the language that texts are in now, one of `LANGUAGES`."""
    language = _chosen.get()
    if language is None:
        asked = _ask()
        if asked is None:
            return SOURCE
        choose(asked)
        language = asked if asked in LANGUAGES else SOURCE
    return language


@contextmanager
def use(language: str) -> Iterator[None]:
    """Put texts into a language while the block runs."""
    token = _chosen.set(language if language in LANGUAGES else SOURCE)
    try:
        yield
    finally:
        _chosen.reset(token)


def _(message: str) -> str:
    """Return a message in the current language."""
    language = current()
    return message if language == SOURCE or not message else _catalogue(language).gettext(message)


def ngettext(singular: str, plural: str, count: int) -> str:
    """Return the message for one, or for several, in the current language."""
    language = current()
    if language == SOURCE:
        return singular if count == 1 else plural
    return _catalogue(language).ngettext(singular, plural, count)


def pgettext(context: str, message: str) -> str:
    """Return a message whose words have more than one translation, by where it stands."""
    language = current()
    return message if language == SOURCE else _catalogue(language).pgettext(context, message)


def N_(message: str) -> str:  # noqa: N802 - the name that gettext's tools know
    """Mark a message for the catalogue without translating it: for constants."""
    return message


class Texts(Mapping[Key, str]):
    """Messages by a key, each translated when it is read."""

    def __init__(self, messages: Mapping[Key, str]) -> None:
        self._messages = dict(messages)

    def __getitem__(self, key: Key) -> str:
        return _(self._messages[key])

    def __iter__(self) -> Iterator[Key]:
        return iter(self._messages)

    def __len__(self) -> int:
        return len(self._messages)


@lru_cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation(DOMAIN, LOCALE, [_FOLDERS[language]], fallback=True)
