"""What is taken away opens: the report without a network, the vector in a head's program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file

from analysis.annotations import FILE
from analysis.discovery import load_ref
from tests.browser.conftest import Server, Tab
from tests.factories.payloads import make_payload, write_payload

Serve = Callable[..., Server]
OpenTab = Callable[..., Tab]


def test_report_and_vector_of_what_is_on_the_screen(
    tmp_path: Path, serve: Serve, open_tab: OpenTab
) -> None:
    project = tmp_path / "project"
    paths = [
        write_payload(
            project / "outputs" / version / "feature_stats" / "dinov3_feature_stats.pt",
            make_payload(version=version, layers=6, seed=seed),
        )
        for seed, version in enumerate(("first", "second"))
    ]
    (project / FILE).write_text(
        '{"payloads": {"outputs/first/feature_stats/dinov3_feature_stats.pt":'
        ' {"name": "Spring", "note": "fertilised plots"}}}'
    )
    first, second = (load_ref(path).key for path in paths)
    tab = open_tab()
    tab.open(f"{serve(project).url}/share?version={first}&compare={second}&role=cls")
    with tab.page.expect_download() as report:
        tab.page.get_by_role("button", name="Download the report").click()
    with tab.page.expect_download() as vector:
        tab.page.get_by_role("button", name="Download the vector").click()
    report.value.save_as(tmp_path / "report.html")
    vector.value.save_as(tmp_path / "vector.safetensors")
    assert tab.complaints == []

    offline = open_tab()
    offline.page.context.set_offline(True)
    offline.page.goto((tmp_path / "report.html").as_uri())
    offline.page.wait_for_selector(".main-svg")
    assert offline.page.title() == "Spring · second"
    assert offline.page.inner_text(".note") == "fertilised plots"
    assert offline.complaints == []
    arrays = load_file(tmp_path / "vector.safetensors")
    assert {f"layer_{layer}.mean" for layer in range(6)} <= set(arrays)
