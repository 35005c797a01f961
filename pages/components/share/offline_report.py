"""The offline report of the versions that are picked."""

from __future__ import annotations

from collections.abc import Sequence

from analysis import language
from analysis.errors import PayloadError
from analysis.payload.intervention_file import list_results
from analysis.read.outliers import Score
from analysis.show.report.versions import ReportVersion, build_report
from pages.components.frame import uploads
from pages.components.shared import cache, facts
from pages.components.shared.vectors import find_features
from pages.components.shared.version import Version


def make(
    versions: Sequence[Version], score: Score, threshold: float, negligible: float, spoken: str
) -> bytes:
    """Return the report as HTML; the extras are read only now.

    Args:
        versions: The first is the one that the others are compared with.
        score: What outlier channels are ranked by.
        threshold: From which score on a channel is an outlier.
        negligible: Standard deviations below which a drift is called negligible.
        spoken: One of `analysis.language.LANGUAGES`.
    """
    with language.use(spoken):
        return _make(versions, score, threshold, negligible)


def _make(versions: Sequence[Version], score: Score, threshold: float, negligible: float) -> bytes:
    remarks, reported = cache.read_annotations(), []
    for version in versions:
        extras = problem = None
        try:
            extras = version.extras
        except (PayloadError, OSError) as error:
            problem = uploads.explain(error, version.ref)
        note = remarks.of(version.ref.path).note
        features = find_features(version)
        results = list_results(version.ref.path, version.table)
        reported.append(
            ReportVersion(version.name, version.table, note, extras, problem, features, results)
        )
    known = facts.tabulate(versions)
    return build_report(reported, known, score, threshold, negligible).encode()
