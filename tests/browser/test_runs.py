"""Payloads renamed, noted, pinned, hidden and deleted, uploaded: as a visitor does it."""

from __future__ import annotations

from pathlib import Path

import pytest
from playwright.sync_api import expect

from analysis.payload.annotation import Annotation
from analysis.payload.annotations import load_annotations
from tests.browser.conftest import Dashboard
from tests.browser.tab import TIMEOUT, Tab
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import payload_path


def test_a_payload_is_named_pinned_hidden_and_deleted_when_asked_twice(
    dashboard: Dashboard, light: Tab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(dashboard.project)
    path = payload_path(dashboard.project, "spare")
    page = light.page
    light.open("runs", **dashboard.pair)
    expect(page.get_by_text("spare", exact=True)).to_be_visible(timeout=TIMEOUT)  # the newest
    form = page.locator("[data-testid=stMain] [data-testid=stForm]")
    form.get_by_label("Name", exact=True).fill("Autumn")
    form.get_by_label("Note", exact=True).fill("mown twice")
    form.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Autumn", exact=True)).to_be_visible(timeout=TIMEOUT)
    assert load_annotations().of(path) == Annotation("Autumn", "mown twice")
    page.get_by_role("button", name="Pin as baseline").click()
    expect(page.get_by_role("button", name="Unpin")).to_be_visible(timeout=TIMEOUT)
    assert load_annotations().baseline == path
    page.get_by_role("button", name="Hide", exact=True).click()
    expect(page.get_by_role("button", name="Unhide")).to_be_visible(timeout=TIMEOUT)
    assert load_annotations().of(path).hidden
    page.get_by_role("button", name="Delete").last.click()
    assert path.exists()
    page.get_by_role("button", name="Delete for good").click()
    expect(page.get_by_text("Autumn", exact=True)).to_have_count(0, timeout=TIMEOUT)
    assert not path.exists()
    assert load_annotations().baseline is None


def test_a_payload_can_be_uploaded_and_a_broken_one_is_called_as_its_owner_does(
    dashboard: Dashboard, light: Tab, tmp_path: Path
) -> None:
    upload = tmp_path / "from_elsewhere.pt"
    write_payload(upload, make_payload(version="elsewhere", layers=3))
    light.open("layers", **dashboard.pair)
    light.page.get_by_text("Upload a payload").click()
    field = light.page.locator("[data-testid=stFileUploaderDropzoneInput]")
    field.set_input_files(upload)
    chosen = light.page.locator("input[value='from_elsewhere.pt · uploaded']")
    expect(chosen).to_be_attached(timeout=TIMEOUT)
    light.settle()
    assert light.view()["plots"]
    broken = tmp_path / "broken.pt"
    broken.write_bytes(upload.read_bytes()[:1000])
    field.set_input_files(broken)
    message = light.page.get_by_text("broken cannot be shown. broken.pt: ")
    expect(message).to_be_visible(timeout=TIMEOUT)
