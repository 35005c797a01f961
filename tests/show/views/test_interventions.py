"""The views of interventions show the numbers of the result, and the controls beside them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from analysis.payload.intervention_file import Arm
from analysis.read.interventions import over_depth, sweep_map
from analysis.show.views import interventions as views
from analysis.vocabulary import TokenRole
from tests.payload.test_intervention_file import make_result
from tests.show.figures.reading import named, traces


def test_the_curve_is_the_chosen_channels_and_the_thin_line_the_largest_control() -> None:
    result = make_result(arms=4)
    figure = views.over_depth(result, "v1").figure
    assert figure is not None
    curve = over_depth(result, TokenRole.PATCH)
    np.testing.assert_allclose(named(figure, "patch tokens").y, curve.chosen, rtol=1e-6)
    thin = named(figure, "patch tokens: largest of the random channels")
    np.testing.assert_allclose(thin.y, curve.controls.max(axis=0), rtol=1e-6)


def test_the_table_holds_what_is_drawn_and_names_the_version() -> None:
    result = make_result(arms=4)
    frame = views.over_depth(result, "v1", "cosine").tabulate()
    assert set(frame["version"]) == {"v1"}
    curve = over_depth(result, TokenRole.CLS, "cosine")
    shown = frame[frame["role"] == "cls"]
    np.testing.assert_allclose(shown["chosen"], curve.chosen)
    np.testing.assert_allclose(shown["control_max"], curve.controls.max(axis=0))


def test_the_map_of_a_sweep_ends_with_the_random_channels() -> None:
    arms = (Arm(0, (7,), False), Arm(1, (7,), False), Arm(0, (9,), True), Arm(1, (9,), True))
    result = replace(make_result(arms=4), arms=arms)
    figure = views.sweep(result, "v1", TokenRole.PATCH).figure
    assert figure is not None
    (trace,) = traces(figure)
    _, _, effects, controls = sweep_map(result, TokenRole.PATCH)
    np.testing.assert_allclose(trace.z, np.vstack([effects, controls[None]]), rtol=1e-6)
    assert list(figure.to_dict()["layout"]["yaxis"]["ticktext"]) == [
        "channel 7",
        "random channels",
    ]
