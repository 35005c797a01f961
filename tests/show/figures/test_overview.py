from __future__ import annotations

import numpy as np

from analysis.show.figures.overview import build_lora_proof
from tests.show.figures.reading import assert_lean, layout, notes, title, traces


def test_the_proof_has_a_bar_per_layer_in_percent() -> None:
    figure = build_lora_proof(np.arange(3), np.array([0.0, 0.015, 0.2]), tapped=(2,))
    np.testing.assert_array_equal(traces(figure)[0].x, [0, 1, 2])
    np.testing.assert_allclose(traces(figure)[0].y, [0, 1.5, 20], rtol=1e-6)
    assert title(layout(figure).xaxis) == "layer (block index)"
    assert title(layout(figure).yaxis) == "change of the block output (%)"
    assert [shape.x0 for shape in layout(figure).shapes] == [2]
    assert_lean(figure)


def test_a_proof_that_was_not_measured_is_said() -> None:
    assert "not measured" in notes(build_lora_proof(np.arange(3), np.array([])))[0]


def test_one_layer_is_one_bar() -> None:
    figure = build_lora_proof(np.array([0]), np.array([0.1]))
    assert len(traces(figure)[0].y) == 1
