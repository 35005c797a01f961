"""Interventions in a report: the sentences, the figures, and the table of the probe."""

from __future__ import annotations

from dataclasses import replace

from analysis.payload.intervention_file import Arm, InterventionResult
from analysis.read.interventions import describe
from analysis.show.report.interventions import MOST, draw_interventions
from analysis.show.report.versions import ReportVersion, build_report
from tests.factories.payloads import make_table
from tests.payload.test_intervention_file import make_result


def make_sweep() -> InterventionResult:
    arms = (Arm(0, (7,), False), Arm(1, (7,), False), Arm(0, (9,), True), Arm(1, (9,), True))
    return replace(make_result(arms=4), arms=arms)


def test_a_report_holds_what_the_interventions_found() -> None:
    result = make_result()
    report = build_report(
        [ReportVersion("v1", make_table(version="v1"), interventions=[result, make_sweep()])]
    )
    assert "Interventions on v1" in report
    for sentence in describe(result):
        assert sentence in report
    for title in ("Later block outputs", "Change of the final CLS vector", "moves most"):
        assert title in report


def test_a_version_without_interventions_has_no_such_section() -> None:
    assert "Interventions on" not in build_report([ReportVersion("v1", make_table())])


def test_old_interventions_are_left_out_and_counted() -> None:
    blocks = draw_interventions([make_result()] * (MOST + 2), "v1")
    assert "2 older interventions are left out" in blocks[-1]
