"""A device that is not there is refused with what to do."""

from __future__ import annotations

import pytest
import torch

from analysis.collect.run.devices import choose_batch_size, choose_device
from analysis.errors import DeviceError


@pytest.mark.parametrize("name", ["auto", "cuda"])
def test_more_processes_than_gpus_are_told_how_many_there_may_be(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(DeviceError, match="--nproc-per-node 2") as error:
        choose_device(name, local_rank=2)
    assert "--device auto" not in str(error.value)
    assert choose_device(name, local_rank=1) == torch.device("cuda", 1)


def test_a_gpu_that_is_named_but_not_there_is_no_matter_of_processes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(DeviceError, match="cuda:3"):
        choose_device("cuda:3")


@pytest.mark.parametrize(
    ("trained_with", "expected"), [(None, 8), (7, 8), (8, 8), (24, 24), (32, 32), (33, 8)]
)
def test_the_batch_size_of_the_training_is_taken_where_the_device_has_room_for_it(
    trained_with: int | None, expected: int
) -> None:
    assert choose_batch_size(512, torch.device("cpu"), trained_with) == expected
