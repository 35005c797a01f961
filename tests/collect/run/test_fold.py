"""Out of memory costs time, never a count."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from analysis.collect.plan.request import ExtractionRequest, plan_extraction
from analysis.collect.run.loop import collect as collect_all
from analysis.collect.run.loop import collect_payload
from analysis.collect.run.network import Network
from analysis.collect.run.progress import ProgressReporter
from analysis.collect.statistics.moments import RowMoments
from analysis.errors import DeviceError
from tests.agreement import largest_difference
from tests.factories.projects import make_project


def fail_above(
    monkeypatch: pytest.MonkeyPatch, images: int, error: RuntimeError, after_blocks: int
) -> None:
    """Let the network run out of memory for larger batches, after some blocks went well."""
    outputs = Network.measured_outputs

    def limited(self: Network, pixels: Tensor) -> Iterator[tuple[Tensor, RowMoments | None]]:
        for layer, output in enumerate(outputs(self, pixels)):
            if len(pixels) > images and layer > after_blocks:
                raise error
            yield output

    monkeypatch.setattr(Network, "measured_outputs", limited)


def collect(project: Path, *, extras: bool = True) -> dict:
    request = ExtractionRequest(
        project_dir=project,
        device="cpu",
        batch_size=5,
        num_workers=0,
        head_weights="none",
        extras=extras,
    )
    payload = collect_payload(plan_extraction(request), ProgressReporter(quiet=True))
    assert payload is not None
    return payload


@pytest.mark.parametrize(
    "error",
    [
        pytest.param(torch.OutOfMemoryError("CUDA out of memory"), id="GPU"),
        pytest.param(
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried ..."), id="CPU"
        ),
    ],
)
def test_out_of_memory_halves_the_batch_and_counts_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: RuntimeError
) -> None:
    project = make_project(tmp_path, images=7)
    whole = collect(project)
    fail_above(monkeypatch, images=2, error=error, after_blocks=4)
    halved = collect(project)
    assert halved["meta"]["counts"] == whole["meta"]["counts"]
    assert largest_difference(whole, halved) < 1e-3  # other batch shapes, tiny stds
    assert any("Out of memory with 5" in text for text in halved["meta"]["run"]["warnings"])


def test_out_of_memory_loses_no_vector_of_an_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = plan_extraction(
        ExtractionRequest(
            project_dir=make_project(tmp_path, images=7, lora=False),
            device="cpu",
            batch_size=5,
            num_workers=0,
        )
    )
    _, whole = collect_all(plan, ProgressReporter(quiet=True)) or ({}, None)
    fail_above(monkeypatch, 2, torch.OutOfMemoryError("CUDA out of memory"), after_blocks=4)
    _, halved = collect_all(plan, ProgressReporter(quiet=True)) or ({}, None)
    assert whole is not None
    assert halved is not None
    assert halved.images.tolist() == whole.images.tolist() == list(range(7))
    scale = np.abs(whole.values).mean(axis=(0, 3), keepdims=True)
    assert (np.abs(halved.values - whole.values) / scale).max() < 1e-3


@pytest.mark.parametrize("extras", [True, False], ids=["first look", "first batch"])
def test_out_of_memory_with_one_image_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, extras: bool
) -> None:
    project = make_project(tmp_path)
    fail_above(monkeypatch, images=0, error=torch.OutOfMemoryError("full"), after_blocks=0)
    with pytest.raises(DeviceError, match="single image"):
        collect(project, extras=extras)


def test_other_runtime_errors_are_not_taken_for_out_of_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = make_project(tmp_path)
    fail_above(monkeypatch, images=0, error=RuntimeError("shapes differ"), after_blocks=0)
    with pytest.raises(RuntimeError, match="shapes differ"):
        collect(project)
