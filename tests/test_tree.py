"""`analysis/read/scores.py` is tested in `tests/read/test_scores.py`, and so is every module."""

from __future__ import annotations

from pathlib import Path

from tests import ROOT

TESTS = ROOT / "tests"

TESTED_TOGETHER = {
    "collect/backbone/test_adapters.py": "adapter_names adapter_plan names",
    "collect/backbone/test_weights.py": "weights_file",
    "collect/images/test_batches.py": "decode pool",
    "collect/interventions/test_run.py": "effects payload plan request",
    "collect/plan/test_settings.py": "config_file config_values folds recorded_folds",
    "collect/plan/test_header_check.py": "file_headers",
    "collect/plan/test_weights_keys.py": "pickle_shapes",
    "collect/plan/test_request.py": "flags measured_network",
    "collect/plan/test_image_list.py": "image_columns image_csv image_folder",
    "collect/run/test_loop.py": "early network record tally",
    "collect/statistics/test_kernels.py": (
        "commit_kernels fold_kernels launch measured_norm torch_engine triton_commit triton_engine"
    ),
    "collect/statistics/test_collector.py": "batch norm state summary view",
    "files/test_safe_load.py": "digest pickle_names pickle_scan plain_values",
    "files/test_isolated.py": "frames isolated_worker",
    "files/test_roots.py": "read_only",
    "jobs/extractions/test_queue.py": "choices devices disk estimates",
    "jobs/extractions/test_ready_worker.py": "worker_request",
    "jobs/extractions/test_standby.py": "standby_command",
    "jobs/interventions/test_runs.py": "folder worker",
    "jobs/reader/test_reader.py": "calls process worker",
    "jobs/summaries/test_summaries.py": "folder make runs store worker",
    "jobs/maps/test_runs.py": "folder request",
    "jobs/maps/test_token_maps.py": "plan store worker",
    "payload/test_reading.py": "array_cache fingerprint",
    "payload/test_features.py": "image_vectors stored_tensors",
    "payload/test_extras.py": "extras_arrays extras_schema",
    "payload/test_file.py": "schema",
    "payload/test_annotations.py": "annotation annotation_store",
    "payload/test_discovery.py": "payload_files sidecar",
    "payload/test_table.py": "tapped",
    "payload/contract/test_form.py": "extras kinds payload run",
    "read/test_outliers.py": "frames headroom",
    "read/compare/test_noise.py": "group_samples noise_table",
    "read/worth/test_probe.py": "problem ridge tables",
    "read/worth/test_similarity.py": "grams layers",
    "show/test_export.py": "view",
    "show/figures/test_layers.py": "cloud depth grid",
    "show/report/test_versions.py": "extras images page views",
}
"""Modules that are tested with another one of their folder, by the file that does."""

SUITES = ("browser", "hostile", "demo", "benchmarks")
"""Folders of tests of the whole dashboard."""

TESTED_ABOVE = {
    "test_imports.py": "errors vocabulary",
    "collect/statistics/test_kernels.py": "collect/run/fused_kernels",
    "jobs/extractions/test_standby.py": "cli/standby",
    "collect/run/test_ranks.py": "collect/plan/launcher",
    "show/views/test_interventions.py": "show/figures/interventions",
    "show/views/test_targets.py": "show/figures/head_layers",
    "show/views/test_home.py": "show/figures/version_map",
    "show/figures/test_similarity.py": "show/views/similarity show/views/single_images",
    "pages/test_channels.py": "show/views/channels",
    "pages/test_layers.py": "show/views/layers",
    "pages/test_versions.py": "show/views/timeline show/views/versions",
}

ACROSS = {
    "collect/backbone/test_parity.py": "the whole backbone against transformers",
    "collect/plan/test_long_lists.py": "image lists from the plan to the payload",
    "collect/run/test_pixels_to_payload.py": "numbers from the pixels of a file to the payload",
    "jobs/extractions/test_soak.py": "long random rounds of all jobs",
    "jobs/extractions/test_under_fire.py": "kills at any moment",
    "pages/test_depth_views.py": "what Layers shows of the extras",
    "read/compare/test_claims.py": "how often chance alone makes a finding",
    "show/figures/test_one_layer.py": "every figure of a network of one layer",
    "pages/test_states.py": "every page in every state",
    "pages/test_links.py": "links between pages",
}
"""Tests of no single module."""


def path_of(test: Path) -> str:
    return test.relative_to(TESTS).as_posix()


def named_after(test: Path) -> list[Path]:
    """Modules and folders that a test file may be named after."""
    folder, name = test.parent.relative_to(TESTS), test.stem.removeprefix("test_")
    places = [ROOT / "analysis" / folder, ROOT / "analysis" / folder.parent, ROOT / folder]
    if folder.parts[:1] == ("pages",):
        places += (ROOT / "pages" / "components").iterdir()
    return [place / end for place in places for end in (f"{name}.py", name)]


def mirrored() -> list[Path]:
    return [
        test
        for test in sorted(TESTS.rglob("test_*.py"))
        if test.parent != TESTS and path_of(test).split("/")[0] not in SUITES
    ]


def modules() -> list[str]:
    paths = (path.relative_to(ROOT / "analysis") for path in (ROOT / "analysis").rglob("*.py"))
    return sorted(
        path.with_suffix("").as_posix() for path in paths if not path.stem.startswith("_")
    )


def files_by_module() -> dict[str, str]:
    """The file that tests a module of no file of its own, by module."""
    return {
        (Path(test).parent / name).as_posix(): test
        for test, names in TESTED_TOGETHER.items()
        for name in names.split()
    } | {name: test for test, names in TESTED_ABOVE.items() for name in names.split()}


def test_every_test_is_named_after_what_it_tests() -> None:
    strays = [path_of(t) for t in mirrored() if not any(map(Path.exists, named_after(t)))]
    assert sorted(strays) == sorted(ACROSS)


def test_every_module_is_found_among_the_tests() -> None:
    elsewhere = files_by_module()
    for module in modules():
        folder, _, name = module.rpartition("/")
        own = TESTS / folder / f"test_{name}.py"
        if own.exists():
            assert module not in elsewhere, f"{module} has tests of its own"
        else:
            assert module in elsewhere, f"no test file is known for analysis/{module}.py"
    assert not [test for test in elsewhere.values() if not (TESTS / test).exists()]
    assert not set(elsewhere) - set(modules())


def test_no_module_is_too_long_to_be_of_one_idea() -> None:
    longest = {"pages/*.py": 90, "analysis/**/*.py": 350, "pages/**/*.py": 350}
    for pattern, limit in longest.items():
        for path in ROOT.glob(pattern):
            lines = len(path.read_text(encoding="utf-8").splitlines())
            assert lines <= limit, (
                f"{path.relative_to(ROOT)} has {lines} lines, {limit} are the most"
            )
