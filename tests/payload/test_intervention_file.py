"""The file of an intervention holds what was measured, and is read as a stranger's."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from analysis.errors import PayloadError
from analysis.payload.features import fingerprint_statistics
from analysis.payload.intervention_file import (
    FOLDER,
    Arm,
    InterventionResult,
    list_results,
    load_interventions,
    save_interventions,
)
from tests.factories.payloads import make_table


def make_result(arms: int = 3, images: int = 2, layers: int = 4) -> InterventionResult:
    rng = np.random.default_rng(0)
    shape = (arms, images, layers, 2)
    return InterventionResult(
        arms=tuple(Arm(1, (5, 7 + arm), arm > 0) for arm in range(arms)),
        images=tuple(f"{index}.jpg" for index in range(images)),
        action="mean",
        tokens=("cls", "patches"),
        hold=True,
        payload="a.pt",
        relative=rng.random(shape, dtype=np.float32),
        cosine=rng.random(shape, dtype=np.float32),
        token_norm=rng.random(shape, dtype=np.float32),
        final_relative=rng.random((arms, images, 2), dtype=np.float32),
        final_cosine=rng.random((arms, images, 2), dtype=np.float32),
        final=rng.random((1 + arms, images, 2, 6), dtype=np.float32),
    )


@pytest.mark.parametrize("with_final", [True, False])
def test_what_is_written_is_read(tmp_path: Path, with_final: bool) -> None:
    result = make_result() if with_final else replace(make_result(), final=None)
    path = tmp_path / "a" / "result.safetensors"
    save_interventions(path, result)
    read = load_interventions(path)
    for field in fields(InterventionResult):
        np.testing.assert_array_equal(getattr(read, field.name), getattr(result, field.name))


def test_arms_are_selected_by_kind_and_start_layer() -> None:
    result = make_result()
    assert result.select(control=False) == [0]
    assert result.select(control=True, layer=1) == [1, 2]
    assert result.select(control=True, layer=2) == []


@pytest.mark.parametrize(
    "about", [None, "[]", "{}", json.dumps({"format": 1, "arms": [{}], "images": []}), "[" * 9000]
)
def test_a_file_that_is_no_result_is_refused_in_words(tmp_path: Path, about: str | None) -> None:
    path = tmp_path / "x.safetensors"
    metadata = None if about is None else {"about": about}
    save_file({"relative": np.zeros((1, 1), np.float32)}, path, metadata=metadata)
    with pytest.raises(PayloadError, match="Run the intervention again"):
        load_interventions(path)


def test_arrays_that_do_not_fit_the_header_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_interventions(path, replace(make_result(), cosine=np.zeros((1, 2, 4, 2), np.float32)))
    with pytest.raises(PayloadError, match="cosine"):
        load_interventions(path)


def test_results_of_another_payload_or_unreadable_ones_are_not_listed(tmp_path: Path) -> None:
    payload, table = tmp_path / "p.pt", make_table()
    mine = replace(make_result(), statistics=fingerprint_statistics(table))
    folder = tmp_path / FOLDER
    save_interventions(folder / "p-1.safetensors", mine)
    save_interventions(folder / "p-2.safetensors", make_result())
    save_interventions(folder / "other-3.safetensors", mine)
    (folder / "p-4.safetensors").write_bytes(b"broken")
    (listed,) = list_results(payload, table)
    assert listed.arms == mine.arms
    assert list_results(tmp_path / "nowhere" / "p.pt", table) == []


def test_final_vectors_of_another_shape_are_refused(tmp_path: Path) -> None:
    result = make_result()
    assert result.final is not None
    save_interventions(tmp_path / "a", replace(result, final=result.final[1:]))
    with pytest.raises(PayloadError, match="final is float32"):
        load_interventions(tmp_path / "a")
