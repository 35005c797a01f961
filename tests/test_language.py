"""Every text that people read is in the catalogues, with the placeholders of its message."""

from __future__ import annotations

import ast
import gettext
import re
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.pofile import read_po

from analysis import language
from tests import ROOT

KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
SOURCES = [ROOT / "app.py", *ROOT.glob("pages/**/*.py"), *ROOT.glob("analysis/**/*.py")]
CATALOGUES = sorted(language.LOCALE.glob("*/LC_MESSAGES/dashboard.po"))
_FIELD = re.compile(r"%?\{[^{}]*\}")


def _read(path: Path) -> Catalog:
    with path.open("rb") as file:
        return read_po(file, locale=path.parents[1].name)


def _messages() -> set[tuple[str | tuple[str, ...], str | None]]:
    return {
        (message, context)
        for path in SOURCES
        for _line, message, _comments, context in extract_from_file("python", path, KEYWORDS)
        if message
    }


_KNOWN = {
    text
    for message, _context in _messages()
    for text in ([message] if isinstance(message, str) else message)
}


def test_every_other_language_has_a_catalogue() -> None:
    assert len(CATALOGUES) == len(language.LANGUAGES) - 1


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_no_message_lacks_a_translation_and_none_is_left_over(path: Path) -> None:
    found = {(message.id, message.context): message for message in _read(path) if message.id}
    assert _messages() - set(found) == set()
    assert set(found) - _messages() == set()
    assert [m.id for m in found.values() if m.fuzzy or not all(_texts(m.string))] == []


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_a_translation_has_the_placeholders_of_its_message(path: Path) -> None:
    def fields(text: str) -> list[str]:
        return sorted(_FIELD.findall(text))

    for message in _read(path):
        for text in _texts(message.string) if message.id else ():
            assert fields(text) in [fields(each) for each in _texts(message.id)], message.id


@pytest.mark.parametrize("path", CATALOGUES, ids=lambda path: path.parents[1].name)
def test_the_compiled_catalogue_is_that_of_the_source(path: Path) -> None:
    with path.with_suffix(".mo").open("rb") as file:
        compiled = gettext.GNUTranslations(file)
    for message in _read(path):
        if isinstance(message.id, str) and message.id:
            context = message.context
            text = (
                compiled.pgettext(context, message.id) if context else compiled.gettext(message.id)
            )
            assert text == message.string, "run `make messages`"
        elif message.id:
            one, several = message.id
            text = compiled.ngettext(one, several, 2)
            assert text == _texts(message.string)[-1], "run `make messages`"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_what_translates_takes_a_plain_text_and_is_nothing_else(path: Path) -> None:
    """An f-string has no place in a catalogue, and a throwaway `_` would take the function's."""
    tree = ast.parse(path.read_text())
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and getattr(node.func, "id", "") in KEYWORDS:
            assert not any(isinstance(each, ast.JoinedStr) for each in node.args), node.lineno
            texts = [each.value for each in node.args if isinstance(each, ast.Constant)]
            assert set(texts[-1:]) <= _KNOWN, "an f-string around it hides it from the catalogue"
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    if any(each.name == "_" for node in imports for each in node.names):
        assert not any(_binds_underscore(node) for node in ast.walk(tree))


def test_a_text_is_translated_where_its_language_is_chosen() -> None:
    labels = language.Texts({"drift": language.N_("drift")})
    assert labels["drift"] == "drift"
    with language.use("zh"):
        assert language._("drift") == labels["drift"] == "漂移"
        assert language.ngettext("layer {numbers}", "layers {numbers}", 2) == "第 {numbers} 层"
    assert language._("drift") == "drift"


def test_a_word_with_two_translations_has_that_of_its_place() -> None:
    assert language.pgettext("count", "Layers") == "Layers"
    with language.use("zh"):
        assert language.pgettext("count", "Layers") == "层数"
        assert language._("Layers") == "各层"


def test_a_text_without_a_translation_stays_english() -> None:
    with language.use("zh"):
        assert language._("no message of the dashboard".upper()) == "NO MESSAGE OF THE DASHBOARD"


def test_a_language_that_is_not_offered_is_english() -> None:
    with language.use("xx"):
        assert language.current() == "en"


def test_a_thread_of_its_own_asks_which_language_it_is_in() -> None:
    heard: list[str] = []
    language.ask(lambda: "zh")
    try:
        with language.use("en"):
            thread = threading.Thread(target=_note(heard))
            thread.start()
            thread.join()
            assert language.current() == "en"
    finally:
        language.ask(lambda: None)
    assert heard == ["zh"]


def _note(heard: list[str]) -> Callable[[], None]:
    return lambda: heard.append(language.current())


def _texts(value: str | Sequence[str] | None) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value or ())


def _binds_underscore(node: ast.AST) -> bool:
    return (isinstance(node, ast.Name) and node.id == "_" and isinstance(node.ctx, ast.Store)) or (
        isinstance(node, ast.arg) and node.arg == "_"
    )
