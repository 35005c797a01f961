"""The facts of a payload in words."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NoReturn

import pytest

from analysis.errors import PayloadError
from analysis.payload.discovery import load_ref
from analysis.payload.reading import Reading
from pages.components.shared import cache
from pages.components.shared.facts import _adapter_facts, _name_sets, describe_adapter
from tests.factories.payloads import make_payload, make_table, write_payload
from tests.pages.conftest import Open, figures, payload_path

ADAPTER = {
    "method": "DoRA",
    "rank": 8,
    "least_rank": 8,
    "alpha": 16,
    "targets": ["proj", "qkv"],
    "blocks": [20, 21, 22, 23],
    "modules": 8,
    "parameters": 1234567,
    "trained_whole": [],
}


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "DoRA r 8"),
        ({"least_rank": 2}, "DoRA r 2 to 8"),
        ({"method": "LoRA (rank-stabilised)"}, "LoRA (rank-stabilised) r 8"),
    ],
)
def test_adapter_is_named_by_method_and_rank(changes: dict[str, Any], expected: str) -> None:
    table = make_table(layers=2, channels=4, adapter=ADAPTER | changes)
    table.backbone["used_lora"] = True
    assert describe_adapter(table) == expected


def test_images_of_mixed_data_sets_are_counted_by_set() -> None:
    sets = [{"section": "data.train_csv", "images": 357}, {"section": "biomass_data", "images": 9}]
    assert _name_sets(sets) == "data.train_csv: 357, biomass_data: 9"
    assert _name_sets(sets[:1]) is None
    assert _name_sets(None) is None


def test_adapter_is_a_row_for_every_fact_of_its_record() -> None:
    facts = _adapter_facts(ADAPTER)
    assert facts["Adapter blocks"] == "20 to 23"
    assert facts["Adapter targets"] == "proj, qkv"
    assert facts["Adapter parameters"] == "1,234,567"
    assert facts["Trained whole"] is None
    assert _adapter_facts({}) == {}


def test_overview_warns_of_the_loader_behind_a_payload_of_the_script(
    project: Path, open_page: Open
) -> None:
    path = payload_path(project, "script")
    key = load_ref(write_payload(path, make_payload(recorded=False), sidecar=False)).key
    app = open_page("overview", version=key)
    assert not app.exception
    (said,) = (warning.value for warning in app.warning if "augmentation" in warning.value)
    assert "loader" in said


def test_the_first_figure_of_overview_waits_for_no_law(
    project: Path, open_page: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    payload = make_payload(layers=2, channels=8, extras=True)
    write_payload(payload_path(project, "one"), payload)
    assert len(figures(open_page("overview"))) == 1

    def wait(_reading: Reading) -> NoReturn:
        raise PayloadError("still measuring")

    monkeypatch.setattr(cache, "check_table", wait)
    assert len(figures(open_page("overview"))) == 1
