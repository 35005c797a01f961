"""What the figures of two versions say besides their numbers."""

from __future__ import annotations

from analysis.read.compare.comparison import Comparison, compare
from analysis.read.scores import Score
from analysis.show.views import top_channels as views
from analysis.vocabulary import Cell, Representation, TokenRole
from tests.factories.grouped_payloads import make_grouped_pair
from tests.factories.payloads import make_payload

CELL = Cell(1, Representation.PRE, TokenRole.CLS)


def _captions(comparison: Comparison, score: Score) -> list[str]:
    top = comparison.top(CELL, score)
    draw = (views.top_changes, views.every_channel)
    return [make(comparison, CELL, top, (0, 1), "light").caption for make in draw]


def test_new_channels_by_mean_over_std_stand_beside_what_chance_makes_new() -> None:
    comparison = compare(*make_grouped_pair())
    turnover = comparison.turnover(CELL, rank_by=views.RankBy.MEAN_OVER_STD)
    assert turnover is not None
    low, high = turnover.by_chance
    for caption in _captions(comparison, Score.MEAN_OVER_STD):
        assert f"Chance alone makes {low} to {high} of the top 20 new" in caption
    assert not any("hance alone" in each for each in _captions(comparison, Score.MAX_ABS))


def test_without_groups_chance_is_said_to_be_unknown() -> None:
    comparison = compare(make_payload(version="a"), make_payload(version="b"))
    for caption in _captions(comparison, Score.MEAN_OVER_STD):
        assert "chance alone makes new is not known" in caption
