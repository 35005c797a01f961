"""Names that are HTML or an address make no element in a real browser."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from analysis.payload.annotation import Annotation
from analysis.payload.annotations import annotate
from analysis.payload.discovery import load_ref
from tests.browser.conftest import Dashboard
from tests.browser.tab import Tab
from tests.factories.payloads import make_payload, write_payload

if TYPE_CHECKING:
    from playwright.sync_api import Dialog

HTML = "<img class=planted src=x onerror=alert(1)><b class=planted>bold</b> http://planted.test/x"


def test_html_in_versions_notes_and_file_names_is_shown_as_text(
    dashboard: Dashboard, light: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dashboard.project)
    folder = dashboard.project / "outputs" / "<b class=planted>one"
    keys: list[str] = []
    for number, name in enumerate((HTML, "v2")):
        path = folder / str(number) / "feature_stats" / "<i>x.pt"
        write_payload(path, make_payload(version=name, seed=number, note=HTML))
        keys.append(load_ref(path).key)
        annotate(path, Annotation(note=HTML))
    dialogs: list[str] = []

    def dismiss(dialog: Dialog) -> None:
        dialogs.append(dialog.message)
        dialog.dismiss()

    light.page.on("dialog", dismiss)
    for page in ("", "layers"):
        light.open(page, version=keys[0], compare=keys[1])
        light.page.get_by_text("class=planted").first.wait_for(state="attached")
        assert light.page.locator(".planted").count() == 0, page
        assert light.page.locator("[href*=planted]").count() == 0, page  # of a bare address
    assert dialogs == []
    light.page.remove_listener("dialog", dismiss)
    shutil.rmtree(folder)
