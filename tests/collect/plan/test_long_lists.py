"""A hundred thousand images, one in a hundred of them broken, are listed and reported readably."""

from __future__ import annotations

from pathlib import Path

from analysis.collect.plan.image_list import list_images
from analysis.collect.plan.settings import load_settings
from analysis.collect.run.record import NAMED_SKIPS
from tests.factories.payloads import make_payload, write_payload
from tests.factories.projects import make_project
from tests.pages.conftest import Open, open_page, payload_path, project

__all__ = ["open_page", "project"]  # fixtures

ROWS = 100_000


def test_a_hundred_thousand_rows_are_listed_with_one_sentence_on_the_missing(
    tmp_path: Path,
) -> None:
    folder = make_project(tmp_path, images=1, lora=False)
    settings = load_settings(folder)
    for number in range(100):
        (settings.data_root / f"{number}.jpg").touch()
    rows = ["image_id,image_path"]
    for number in range(ROWS):
        path = f"missing_{number}.jpg" if number % 100 == 7 else f"{number % 100}.jpg"
        rows.append(f"image_{number:06d},{path}")
    assert settings.train_csv
    settings.train_csv.write_text("\n".join(rows))
    images = list_images(settings, split="all")
    assert len(images.entries) == ROWS
    (notice,) = images.notices
    assert f"{ROWS // 100} of {ROWS} images do not exist" in notice
    assert len(notice) < 1000


def test_the_page_names_the_first_thousand_skipped_files_and_counts_all(
    project: Path, open_page: Open
) -> None:
    skipped = [{"path": f"{n}.jpg", "reason": "truncated"} for n in range(NAMED_SKIPS)]
    payload = make_payload(version="v1", skipped_files=skipped, skipped_count=12_345)
    write_payload(payload_path(project, "v1"), payload)
    app = open_page("overview")
    assert not app.exception
    assert "12,345 images could not be read" in [box.label for box in app.expander]
    assert "The first 1,000 are named." in [one.value for one in app.caption]
    assert max(len(table.value) for table in app.dataframe) == NAMED_SKIPS
