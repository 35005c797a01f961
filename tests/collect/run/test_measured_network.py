"""The network of a payload is loaded again as it was measured, or refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from analysis.collect.backbone.weights import load_backbone
from analysis.collect.run.measured_network import load_measured
from analysis.errors import CheckpointError
from tests.factories.backbones import make_backbone
from tests.factories.projects import BACKBONE


def test_the_backbone_that_a_key_chose_is_loaded_by_that_key(tmp_path: Path) -> None:
    student, teacher = (make_backbone(BACKBONE, seed=seed) for seed in (1, 2))
    path = tmp_path / "run.pth"
    torch.save({"student": student.state_dict(), "teacher": teacher.state_dict()}, path)
    digest = load_backbone(BACKBONE, path, key="student")[1].sha256

    def load(key: str | None) -> torch.Tensor:
        network = load_measured(
            BACKBONE, path, None, {}, weights_key=key, weights_sha256=digest, adapter_sha256=None
        )
        return network.backbone.cls_token

    assert torch.equal(load("student"), student.cls_token)
    with pytest.raises(CheckpointError, match="not the weights that the payload was made with"):
        load(None)
