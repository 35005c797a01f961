"""The Triton kernels give the results of the plain torch engine, shown without a GPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

# Triton's own module layout is not typed.
# pyright: reportAttributeAccessIssue=false
from tests import ROOT

SUITE = Path(__file__).with_name("kernels_in_interpreter.py")


def test_kernels_pass_their_suite_in_tritons_interpreter() -> None:
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(SUITE)]
    done = subprocess.run(
        command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-2000:]
    assert " passed" in done.stdout


_OF_ONE = {
    "count_tokens": {"count_out": "*i64"},
    "merge_cells": {"counts": "*i64"},
    "add_counts": {"counts": "*i64", "count_out": "*i64"},
    "add_footprints": {"watched": "i32", "sum_out": "*fp64", "count_out": "*i64"},
}
"""Types of arguments whose name has another type in other kernels."""


def test_kernels_compile_for_a_gpu_without_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The interpreter accepts what the compiler refuses, a variable that changes its type above all.
    pytest.importorskip("triton", reason="Triton is not installed (it exists for Linux only)")
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    from analysis.collect.run import fused_kernels
    from analysis.collect.statistics import commit_kernels, fold_kernels, kernels, measured_norm

    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))
    sizes = {"singles": 5, "channels": 48, "width": 64, "chunk": 4, "unroll": 2}
    sizes |= {"stripe": 64, "padded_tokens": 64, "block": 32}
    sizes |= {"sample_width": 4, "watched_width": 8, "padded_rows": 64, "padded": 64}
    sizes |= {"extras": True, "normalizes": True, "adds": True}
    sizes |= {"heads": 3, "half": 8, "padded_heads": 8}
    sizes |= {"padded_singles": 8, "n_bins": 66, "bins": 128, "candidates": 9}
    sizes |= {"padded_candidates": 16, "padded_images": 8, "padded_roles": 8}
    types = {"valid": "*i1", "places": "*i32", "keys_out": "*i64"}
    types |= {"exceed_out": "*i64", "mean_out": "*fp64", "m2_out": "*fp64"}
    types |= {"watched": "*i64", "single_rows": "*fp64"}
    types |= {"means": "*fp64", "squares": "*fp64", "peak_out": "*i32"}
    types |= {"image_mean_out": "*fp64", "image_m2_out": "*fp64", "top_sum_out": "*fp64"}
    types |= dict.fromkeys(("seen", "seen_out"), "*i32")
    types |= dict.fromkeys(("nonfinite_out", "hist_out", "order", "group_of"), "*i64")
    types |= dict.fromkeys(("count_in", "image_count_in", "image_count_out"), "*i64")
    types |= dict.fromkeys(("keys", "exceed_in", "indices", "top_images_out"), "*i64")
    types |= dict.fromkeys(("first_block", "groups"), "i32")
    types |= dict.fromkeys(("n_tokens", "tile_rows", "images", "stride", "sampled", "n"), "i32")
    types |= dict.fromkeys(("tiles", "cells", "roles", "first_slot", "n_watched"), "i32")
    types |= dict.fromkeys(sizes, "constexpr")
    for kernel in (
        measured_norm.measure_rows,
        fused_kernels.rotate_rows,
        fused_kernels.gate_rows,
        kernels.judge_rows,
        kernels.measure_tile,
        fold_kernels.fold_tiles,
        fold_kernels.measure_singles,
        fold_kernels.fold_singles,
        kernels.find_largest,
        fold_kernels.find_medians,
        commit_kernels.count_tokens,
        commit_kernels.merge_cells,
        commit_kernels.merge_ranges,
        commit_kernels.add_counts,
        commit_kernels.add_footprints,
    ):
        own = types | _OF_ONE.get(kernel.__name__, {})
        signature = {name: own.get(name, "*fp32") for name in kernel.arg_names}
        constants = {name: sizes[name] for name in signature if name in sizes}
        source = ASTSource(kernel, signature, constants, {})
        compiled = triton.compile(source, target=GPUTarget("cuda", 90, 32))
        assert "ptx" in compiled.asm
