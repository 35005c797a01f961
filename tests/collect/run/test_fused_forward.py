"""The fused forward pass computes what the network computes; where it cannot, it is not taken."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from torch import nn

from analysis.collect.run.fused_forward import can_fuse
from tests import ROOT
from tests.collect.backbone.test_low_precision import attach
from tests.factories.backbones import make_backbone, tiny_variant

SUITE = Path(__file__).with_name("fused_in_interpreter.py")


def test_the_fused_pass_passes_its_suite_in_tritons_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


def test_adapters_and_modules_it_does_not_know_are_left_to_the_network() -> None:
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    assert can_fuse(make_backbone(tiny_variant()))
    assert can_fuse(attach(make_backbone(tiny_variant())))
    assert not can_fuse(attach(make_backbone(tiny_variant()), use_dora=True))
    changed = make_backbone(tiny_variant())
    changed.blocks[1].norm2 = nn.Identity()
    assert not can_fuse(changed)
