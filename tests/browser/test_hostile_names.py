"""Names that are HTML make no element in a real browser."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from analysis.annotations import Annotation, annotate
from analysis.discovery import load_ref
from tests.browser.conftest import Server, Tab
from tests.factories.payloads import make_payload, write_payload

if TYPE_CHECKING:
    from playwright.sync_api import Dialog

HTML = "<img class=planted src=x onerror=alert(1)><b class=planted>bold</b>"


def test_html_in_versions_notes_and_file_names_is_shown_as_text(
    project: Path,
    serve: Callable[..., Server],
    open_tab: Callable[..., Tab],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = project / "outputs" / "<b class=planted>one" / "feature_stats"
    keys: list[str] = []
    for number, name in enumerate((HTML, "v2")):
        path = folder.with_name(f"feature_stats_{number}") / "feature_stats" / "<i>x.pt"
        write_payload(path, make_payload(version=name, seed=number, note=HTML))
        keys.append(load_ref(path).key)
        monkeypatch.chdir(project)
        annotate(path, Annotation(note=HTML))
    tab = open_tab()
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    tab.page.on("dialog", dismiss)
    server = serve(project)
    for page in ("", "layers"):
        tab.open(f"{server.url}/{page}?version={keys[0]}&compare={keys[1]}")
        tab.page.get_by_text("class=planted").first.wait_for(timeout=90_000, state="attached")
        assert tab.page.locator(".planted").count() == 0, page
    assert dialogs == []
