"""The figure of Overview shows the record of the run, or is not there."""

from __future__ import annotations

from typing import Any

import numpy as np

from analysis.show.views.overview import lora_proof
from tests.factories.payloads import make_table


def test_the_change_by_the_adapter_is_that_of_the_record() -> None:
    proof = [0.0, 0.1, 0.25, 0.5]
    view = lora_proof(make_table(layers=4, channels=4, lora_proof=proof), "a")
    assert view is not None
    frame = view.tabulate()
    assert frame["relative_change"].tolist() == proof
    assert frame["version"].unique().tolist() == ["a"]
    figure: Any = view.figure
    np.testing.assert_allclose(figure.data[0].y, np.multiply(proof, 100), rtol=1e-6)


def test_without_an_adapter_nothing_is_drawn() -> None:
    assert lora_proof(make_table(layers=4, channels=4, lora_proof=None), "a") is None
