"""What a file calls itself is shown as text: nothing in it becomes a part of the page."""

from __future__ import annotations

from pathlib import Path

import pytest

from analysis.payload.annotation import Annotation
from analysis.payload.annotations import annotate
from pages.components.frame.shell import _QUIET
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import PAGES, Open, open_page, payload_path, project, texts

__all__ = ["open_page", "project"]  # fixtures

HOSTILE = "<img src=x onerror=alert(1)>[a](javascript:alert(1)) http://x.test/x www.x.test a@x.test"


@pytest.mark.parametrize("page", PAGES)
def test_tags_in_names_notes_and_files_stay_text(project: Path, open_page: Open, page: str) -> None:
    skipped = [{"path": f"{HOSTILE}.jpg", "reason": HOSTILE}]
    payload = make_payload(
        version=HOSTILE,
        lora_error=HOSTILE,
        used_lora=False,
        warnings=[HOSTILE],
        skipped_files=skipped,
        skipped_count=1,
    )
    path = write_payload(payload_path(project, "v<b>1"), payload)
    annotate(path, Annotation(name=f"n{HOSTILE}"[:60], note=HOSTILE))
    app = open_page(page)
    assert not app.exception
    assert [one.value for one in app.markdown if one.proto.allow_html] == []
    bodies = [one.proto.body for one in app.get("html")]
    assert set(bodies) <= {_QUIET}  # a constant style, of no text from anywhere
    assert "[a](javascript" not in texts(app)  # Markdown would make a link of it
    for address in ("http\\://", "http://x", "www\\.", "www.x", "@x"):  # and of bare ones
        assert address not in texts(app)
