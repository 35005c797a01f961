"""Every text that people read is in the catalogues, with the placeholders of its message."""

from __future__ import annotations

import threading

from analysis import language


def test_a_text_without_a_translation_stays_english() -> None:
    with language.use("zh"):
        assert language._("no message of the dashboard") == "no message of the dashboard"


def test_a_language_that_is_not_offered_is_english() -> None:
    with language.use("xx"):
        assert language.current() == "en"


def test_a_thread_of_its_own_asks_which_language_it_is_in() -> None:
    heard: list[str] = []
    language.ask(lambda: "zh")
    try:
        with language.use("en"):
            thread = threading.Thread(target=lambda: heard.append(language.current()))
            thread.start()
            thread.join()
            assert language.current() == "en"
    finally:
        language.ask(lambda: None)
    assert heard == ["zh"]
