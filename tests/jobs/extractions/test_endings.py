from __future__ import annotations

from analysis.jobs.extractions.endings import tell
from analysis.language import use


def test_an_ending_is_told_in_the_language_of_whoever_reads_it() -> None:
    ending = {"reason": "killed", "value": "SIGKILL", "error": "kept for other readers"}
    assert tell(ending) == "The extraction was ended by SIGKILL (out of memory, or killed by hand)."
    with use("zh"):
        assert tell(ending) == "提取被 SIGKILL 结束（内存不足，或被手动终止）。"


def test_a_strangers_value_is_a_short_text_and_no_pattern() -> None:
    told = tell({"reason": "signal", "value": "{value.__class__} {variable}" + "x" * 10**6})
    assert told is not None
    assert told.startswith("The extraction was ended by {value.__class__} {variable}xxx")
    assert len(told) < 200


def test_what_is_no_ending_is_none() -> None:
    for ending in ({}, {"reason": "other"}, {"reason": ["quiet"]}, {"error": "x"}):
        assert tell(ending) is None
