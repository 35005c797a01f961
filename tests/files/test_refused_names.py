"""What training scripts leave in their files is refused with words that lead to a readable file."""

from __future__ import annotations

import argparse
import datetime
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from analysis.errors import InputError
from analysis.files.safe_load import load_torch_file

ARGS = argparse.Namespace(lr=0.1)
CASES: dict[str, tuple[Any, str, Any]] = {
    "argparse.Namespace": (ARGS, "vars(args)", vars(ARGS)),
    "pathlib.PosixPath": (Path("/a"), "str(path)", str(Path("/a"))),
    "numpy": (np.float64(0.5), "x.item()", np.float64(0.5).item()),
    "_reconstruct": (np.ones(2), "torch.from_numpy(x)", torch.from_numpy(np.ones(2))),
    "collections.defaultdict": (defaultdict(int, a=1), "dict(x)", {"a": 1}),
    "frozenset": (frozenset({1}), "list(x)", [1]),
    "datetime.date": (datetime.date(2026, 1, 2), "str(x)", "2026-01-02"),
    "torch.nn.modules.linear.Linear": (
        module := torch.nn.Linear(2, 2),
        "module.state_dict()",
        module.state_dict(),
    ),
}


def load(path: Path) -> Any:
    return load_torch_file(path, kind="file", error=InputError, beside_tensors=True)


@pytest.mark.parametrize("name", CASES)
def test_the_advice_makes_a_file_that_is_read(tmp_path: Path, name: str) -> None:
    value, advice, instead = CASES[name]
    path = tmp_path / "last.pt"
    torch.save({"model": {"w": torch.ones(2)}, "extra": value}, path)
    with pytest.raises(InputError) as caught:
        load(path)
    assert name in str(caught.value)
    assert advice in str(caught.value)
    torch.save({"model": {"w": torch.ones(2)}, "extra": instead}, path)
    assert torch.equal(load(path)["model"]["w"], torch.ones(2))


def test_all_that_has_to_go_is_named_at_once(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"args": ARGS, "best": np.float64(0.5), "folder": Path("/a")}, path)
    with pytest.raises(InputError) as caught:
        load(path)
    for advice in ("vars(args)", "x.item()", "str(path)", "torch.save(checkpoint['model']"):
        assert advice in str(caught.value)


def test_a_name_that_is_allowed_is_no_reason(tmp_path: Path) -> None:
    path = tmp_path / "last.pt"
    torch.save({"args": ARGS, "folder": Path("/a")}, path)
    with pytest.raises(InputError) as caught:
        load_torch_file(path, kind="file", error=InputError, allowed=[(str, "pathlib.PosixPath")])
    assert "vars(args)" in str(caught.value)
    assert "PosixPath" not in str(caught.value)
