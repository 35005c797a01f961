from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from analysis.errors import PayloadError
from analysis.files import roots
from analysis.payload import discovery, payload_files
from analysis.payload.discovery import PayloadRef, discover_payloads, load_ref, short_names
from analysis.payload.file import save_payload
from tests import ROOT
from tests.factories.payloads import make_payload, write_payload

PATH = Path("outputs/demo-lora/feature_stats/dinov3_feature_stats.pt")


def _touch(path: Path, content: bytes = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def _write_facts(path: Path, **facts: Any) -> Path:
    _touch(path)
    path.with_suffix(".json").write_text(json.dumps(facts))
    return path


def _at(path: Path, year: int) -> Path:
    moment = datetime(year, 5, 4, 3, 2, tzinfo=UTC).timestamp()
    os.utime(path, (moment, moment))
    return path


def test_a_payload_is_labelled_by_version_backbone_adapter_images_and_date(tmp_path: Path) -> None:
    write_payload(tmp_path / PATH, make_payload(images=6, train_all=True))
    (ref,) = discover_payloads([tmp_path])
    assert ref.path == tmp_path / PATH
    assert ref.label == (
        "demo-lora · train_all · dinov3_vitt16_demo · LoRA · 6 images · 2026-11-20 14:03 UTC"
    )
    assert (ref.version, ref.train_all, ref.facts.num_images) == ("demo-lora", True, 6)
    assert ref.created == datetime(2026, 11, 20, 14, 3, tzinfo=UTC)


def test_the_json_that_saving_writes_is_understood(tmp_path: Path) -> None:
    path = tmp_path / "feature_stats" / "a.pt"
    save_payload(make_payload(version="v7", channels=8, layers=3), path)
    (ref,) = discover_payloads([tmp_path])
    facts = ref.facts
    assert (facts.known, facts.version, facts.train_all) == (True, "v7", False)
    assert (facts.num_images, facts.num_layers, facts.embedding_dim) == (6, 3, 8)
    assert (facts.precision, facts.split, facts.used_lora) == ("fp32", "train", True)
    assert facts.dataset_fingerprint == "d" * 64


@pytest.mark.parametrize(
    ("adapter", "expected"),
    [
        pytest.param({"used_lora": True, "lora_error": None}, " · LoRA · ", id="loaded"),
        pytest.param({"used_lora": False, "lora_error": None}, " · frozen · ", id="frozen"),
        pytest.param(
            {"used_lora": False, "lora_error": "no key"}, " · LoRA failed · ", id="broken"
        ),
    ],
)
def test_the_label_tells_a_failed_adapter_from_none(
    tmp_path: Path, adapter: dict[str, Any], expected: str
) -> None:
    write_payload(tmp_path / PATH, make_payload(**adapter))
    assert expected in discover_payloads([tmp_path])[0].label


def test_without_json_the_label_is_version_path_and_date(tmp_path: Path) -> None:
    _at(_touch(tmp_path / PATH), 2024)
    (ref,) = discover_payloads([tmp_path])
    assert ref.label == f"demo-lora · {PATH} · 2024-05-04 03:02 UTC"
    assert not ref.facts.known


@pytest.mark.parametrize(
    ("folder", "version", "train_all"),
    [
        pytest.param("outputs/v1/feature_stats", "v1", False, id="version"),
        pytest.param("outputs/v1/train_all/feature_stats", "v1", True, id="train_all"),
        pytest.param("outputs/feature_stats", None, False, id="no-version"),
        pytest.param("outputs/train_all/feature_stats", None, True, id="train_all-alone"),
        pytest.param("elsewhere/v1/feature_stats", None, None, id="another-layout"),
    ],
)
def test_without_json_the_path_tells_the_version(
    tmp_path: Path, folder: str, version: str | None, train_all: bool | None
) -> None:
    _touch(tmp_path / folder / "a.pt")
    (ref,) = discover_payloads([tmp_path])
    assert (ref.version, ref.train_all) == (version, train_all)


def test_payloads_of_one_version_and_minute_are_told_apart_by_path(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_payload(tmp_path / "feature_stats" / f"{name}.pt", make_payload())
    labels = [ref.label for ref in discover_payloads([tmp_path])]
    assert len(set(labels)) == 2
    assert all(
        label.endswith((" · feature_stats/a.pt", " · feature_stats/b.pt")) for label in labels
    )


def test_only_versions_that_nothing_else_tells_apart_show_their_dates(tmp_path: Path) -> None:
    for name, version, hour in (("a", "v1", 9), ("b", "v1", 10), ("c", "v2", 11)):
        payload = make_payload(version=version, created=f"2026-11-20T{hour:02d}:03:00+00:00")
        write_payload(tmp_path / "feature_stats" / f"{name}.pt", payload)
    labels = [ref.label for ref in discover_payloads([tmp_path])]
    assert labels == ["v2", "v1 · 2026-11-20 10:03 UTC", "v1 · 2026-11-20 09:03 UTC"]


def test_equal_paths_below_two_roots_are_told_apart(tmp_path: Path) -> None:
    folders = [tmp_path / "one", tmp_path / "two"]
    for folder in folders:
        _at(_touch(folder / PATH), 2024)
    labels = [ref.label for ref in discover_payloads(folders)]
    assert len(set(labels)) == 2


def test_the_newest_payload_comes_first(tmp_path: Path) -> None:
    for name, year in (("old", 2021), ("new", 2023), ("middle", 2022)):
        _at(_touch(tmp_path / "feature_stats" / f"{name}.pt"), year)
    names = [ref.path.stem for ref in discover_payloads([tmp_path])]
    assert names == ["new", "middle", "old"]


@pytest.mark.parametrize(
    "name",
    [
        pytest.param("outputs/v1/a.pt", id="other-folder"),
        pytest.param("feature_stats/a.pt.bak", id="kept-old-one"),
        pytest.param("feature_stats/.a.pt.12.tmp", id="half-written"),
        pytest.param("feature_stats/.a.pt", id="hidden-file"),
        pytest.param("feature_stats/a.json", id="json"),
        pytest.param(".venv/feature_stats/a.pt", id="hidden-folder"),
        pytest.param("node_modules/feature_stats/a.pt", id="node_modules"),
        pytest.param("data/feature_stats/a.pt", id="images"),
    ],
)
def test_what_is_no_payload_is_not_listed(tmp_path: Path, name: str) -> None:
    _touch(tmp_path / name)
    assert discover_payloads([tmp_path]) == []


def test_a_root_may_have_any_name_and_roots_may_overlap(tmp_path: Path) -> None:
    root = tmp_path / "data"
    _touch(root / "feature_stats" / "a.pt")
    refs = discover_payloads([root, root / "feature_stats", tmp_path])
    assert [ref.path.name for ref in refs] == ["a.pt"]


def test_missing_roots_hold_nothing(tmp_path: Path) -> None:
    assert discover_payloads([tmp_path / "gone"]) == []


def test_a_link_out_of_the_roots_is_not_followed_but_told(tmp_path: Path) -> None:
    outside = _touch(tmp_path / "outside" / "feature_stats" / "a.pt").parent.parent
    root = tmp_path / "root"
    root.mkdir()
    (root / "outputs").symlink_to(outside)
    found = discover_payloads([root])
    assert found == []
    assert len(found.notices) == 1
    assert roots.ROOTS_ENV in found.notices[0]
    assert str(outside) in found.notices[0]
    assert len(discover_payloads([root, outside])) == 1


def test_links_in_a_circle_end(tmp_path: Path) -> None:
    _touch(tmp_path / "a" / "feature_stats" / "a.pt")
    (tmp_path / "a" / "again").symlink_to(tmp_path)
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert len(discover_payloads([tmp_path])) == 1


def test_the_search_stops_at_its_limits_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        _touch(tmp_path / name / "feature_stats" / "a.pt")
    monkeypatch.setattr(discovery, "MAX_PAYLOADS", 2)
    found = discover_payloads([tmp_path])
    assert len(found) == 2
    assert "More than 2 payloads" in found.notices[0]
    monkeypatch.setattr(payload_files, "MAX_FOLDERS", 3)
    found = discover_payloads([tmp_path])
    assert found == []
    assert "after 3 folders" in found.notices[0]


def test_folders_too_deep_are_not_entered(tmp_path: Path) -> None:
    deep = Path("root", *(f"d{i}" for i in range(payload_files.MAX_DEPTH - 1)))
    _touch(tmp_path / deep / "feature_stats" / "a.pt")
    assert len(discover_payloads([tmp_path / "root"])) == 1
    assert discover_payloads([tmp_path]) == []


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"[1, 2]", id="no-object"),
        pytest.param(b'{"version": "v', id="cut-off"),
        pytest.param(b"\xff\xfe\x00", id="no-text"),
        pytest.param(b"[" * 100_000, id="bottomless"),
        pytest.param(b'{"version": "v1", "x": "' + b"y" * 300_000 + b'"}', id="huge"),
        pytest.param(b'{"version": "v1", "size": 99}', id="of-another-size"),
    ],
)
def test_an_unusable_json_is_as_good_as_none(tmp_path: Path, content: bytes) -> None:
    _touch(tmp_path / PATH)
    (tmp_path / PATH).with_suffix(".json").write_bytes(content)
    (ref,) = discover_payloads([tmp_path])
    assert not ref.facts.known
    assert ref.version == "demo-lora"  # from the path
    assert str(PATH) in ref.label


def test_a_json_left_from_an_earlier_payload_is_not_believed(tmp_path: Path) -> None:
    path = _write_facts(tmp_path / PATH, version="old", size=1, mtime_ns=5)
    assert load_ref(path).version == "old"  # a copy: both files are of about the same time
    _at(path.with_suffix(".json"), 2020)
    assert load_ref(path).version == "demo-lora"


def test_facts_of_the_wrong_type_are_left_out_one_by_one(tmp_path: Path) -> None:
    path = _write_facts(
        tmp_path / PATH,
        version=["v"],
        train_all="yes",
        backbone="dinov3\u202e_\n  vits16" + "x" * 999,
        num_images=True,
        num_layers=-1,
        created="yesterday",
        seconds="1",
        images_per_second=1e400,
        warnings=2,
    )
    facts = load_ref(path).facts
    assert facts.known
    assert (facts.version, facts.train_all, facts.num_images) == (None, None, None)
    assert (facts.num_layers, facts.created, facts.seconds) == (None, None, None)
    assert facts.images_per_second is None
    assert facts.warnings == 2
    assert facts.backbone is not None
    assert facts.backbone.startswith("dinov3 _ vits16xxx")
    assert len(facts.backbone) <= 300


@pytest.mark.parametrize("created", ["0001-01-01T00:00:00+14:00", "2026-01-01T00:00:00", 5, None])
def test_any_date_can_be_sorted(tmp_path: Path, created: object) -> None:
    _write_facts(tmp_path / PATH, created=created)
    _touch(tmp_path / "feature_stats" / "b.pt")
    assert len(discover_payloads([tmp_path])) == 2


def test_the_fingerprint_changes_with_the_file_and_the_key_with_the_path_only(
    tmp_path: Path,
) -> None:
    path = _touch(tmp_path / PATH)
    before = load_ref(path)
    _at(path, 2030)
    after = load_ref(path)
    assert before.fingerprint != after.fingerprint
    assert before.key == after.key
    assert load_ref(_touch(tmp_path / "b.pt")).key != before.key


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(PayloadError, match=r"gone\.pt"):
        load_ref(tmp_path / "gone.pt")


def test_short_names_are_the_versions_and_unique(tmp_path: Path) -> None:
    refs: list[PayloadRef] = []
    for folder, version in (("a", "v1"), ("b", "v2"), ("c", "v2"), ("d", "v2")):
        payload = make_payload(version=version, created=f"2026-01-0{1 + (folder > 'b')}")
        refs.append(load_ref(write_payload(tmp_path / folder / "p.pt", payload)))
    names = short_names(refs)
    assert names[:2] == ["v1", "v2, 2026-01-01 00:00"]
    assert len(set(names)) == 4


def test_names_do_not_say_train_all_where_every_version_would(tmp_path: Path) -> None:
    first, second, part = (
        load_ref(write_payload(tmp_path / f"{version}.pt", payload))
        for version, train_all in (("v1", True), ("v2", True), ("v3", False))
        for payload in [make_payload(version=version, train_all=train_all)]
    )
    assert short_names([first, part], [first, second, part]) == ["v1 (train_all)", "v3"]
    assert short_names([first], [first, second]) == ["v1"]
    assert short_names([first], [first]) == ["v1 (train_all)"]


def test_finding_payloads_needs_no_torch(tmp_path: Path) -> None:
    write_payload(tmp_path / PATH, make_payload())
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from pathlib import Path; from analysis.payload.discovery import discover_payloads\n"
        f"print(discover_payloads([Path({str(tmp_path)!r})])[0].label)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("demo-lora · ")


def test_labels_of_several_payloads_hold_what_tells_them_apart(tmp_path: Path) -> None:
    for number, letter in enumerate(("a", "b")):
        name = f"vitl-lora-winter-{letter}"
        payload = make_payload(version=name, images=6 + number, backbone="dinov3_vitl16")
        write_payload(tmp_path / "outputs" / name / "feature_stats" / "f.pt", payload)
    labels = {ref.label for ref in discover_payloads([tmp_path])}
    assert labels == {"…a · 6 images", "…b · 7 images"}


@pytest.mark.parametrize(
    "versions", [("spring", "spring-2"), ("vitl-lora-winter", "vitl-lora-winter-2")]
)
def test_a_version_is_not_cut_where_little_or_nothing_would_be_left(
    tmp_path: Path, versions: tuple[str, str]
) -> None:
    for name in versions:
        payload = make_payload(version=name)
        write_payload(tmp_path / "outputs" / name / "feature_stats" / "f.pt", payload)
    labels = {ref.label for ref in discover_payloads([tmp_path])}
    assert labels == set(versions)
