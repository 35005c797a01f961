"""The dashboard in Chinese: nothing that it says itself is left in English, and the link keeps it.

The words of the field, of data and of files stay: CLS, LoRA, max |x|, names of versions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import MessageToDict
from streamlit.testing.v1 import AppTest

from analysis import language
from analysis.payload.discovery import load_ref
from pages.components.shared import job_states
from tests.factories.payloads import make_payload, write_payload
from tests.pages.conftest import PAGES, Open, payload_path

CHINESE = re.compile("[\u4e00-\u9fff]")
TERMS = re.compile(
    r"CLS|LoRA|patch|tokens?|block|max \|x\||HTML|SVG|PNG|CSV|Parquet|Jaccard|symlog|Massive|raw"
    r"|English|CKA|BatchNorm|dinov3_\w+|UTC|fp16|int8|auto|bf16|fp32|tf32|train_all|p9\d|LN|torch"
)
SHOWN = ("label", "body", "help", "placeholder", "text", "title", "name")
NOT_SHOWN = ("template", "font", "meta")


@pytest.fixture
def two_payloads(project: Path) -> None:
    write_payload(payload_path(project, "v1"), make_payload(version="v1"))
    write_payload(payload_path(project, "v2"), make_payload(version="v2", drift=1.0, seed=1))


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("two_payloads")
def test_nothing_on_a_page_is_left_in_english(open_page: Open, page: str) -> None:
    app = open_page(page, lang="zh")
    assert not app.exception
    shown = set(_read(app))
    assert sum(bool(CHINESE.search(text)) for text in shown) > 10
    assert [text for text in shown if _is_english(text)] == []


def test_without_a_payload_the_page_says_in_chinese_what_to_do(open_page: Open) -> None:
    app = open_page("home", lang="zh")
    assert [text for text in _read(app) if _is_english(text)] == []


@pytest.mark.usefixtures("two_payloads")
def test_a_damaged_payload_is_explained_in_chinese(open_page: Open, project: Path) -> None:
    path = payload_path(project, "v1")
    path.write_bytes(path.read_bytes()[:-100])
    shown = _read(open_page("overview", lang="zh", version=load_ref(path).key))
    assert any("这不是统计文件，或者它已损坏或不完整" in text for text in shown)


@pytest.mark.usefixtures("two_payloads")
def test_the_switch_turns_the_page_and_is_kept_in_the_link(open_page: Open) -> None:
    app = open_page("layers")
    assert app.title[0].value == "Layers"
    app.button(key="speak zh").click().run()
    assert app.title[0].value == "各层"
    assert "zh" in app.query_params["lang"]
    with language.use("zh"):  # the stand-in of the browser asks what the options are called
        app.button(key="speak en").click().run()
    assert app.title[0].value == "Layers"
    assert "lang" not in app.query_params


@pytest.mark.usefixtures("two_payloads")
def test_each_language_has_findings_of_its_own(open_page: Open) -> None:
    chinese, english = (open_page("versions", **query) for query in ({"lang": "zh"}, {}))
    findings = [
        "\n".join(each.value for each in app.markdown if each.value.startswith("- "))
        for app in (chinese, english)
    ]
    assert CHINESE.search(findings[0])
    assert findings[1]
    assert not CHINESE.search(findings[1])


def test_what_the_process_of_a_job_writes_of_its_work_is_translated() -> None:
    with language.use("zh"):
        assert job_states.translate("loading the backbone") == "正在加载骨干网络"
        waiting = [
            f"Waiting for cuda:0, behind {jobs}" for jobs in ("an earlier job", "3 earlier jobs")
        ]
        assert [job_states.translate(each) for each in waiting] == [
            f"等待 cuda:0，前面还有 {count} 个任务" for count in (1, 3)
        ]
    assert [job_states.translate(each) for each in waiting] == waiting


def _is_english(text: str) -> bool:
    bare = re.sub(r"`[^`]*`|<[^>]*>|:[\w-]+:?\[|:material/\w+:|%?\{[^}]*\}", "", text)
    return not CHINESE.search(text) and re.search(r"[A-Za-z]{3}", TERMS.sub("", bare)) is not None


def _read(app: AppTest) -> Iterator[str]:
    """Yield every text on the page: of elements, of columns of tables, and of figures."""
    for element in _walk(app._tree):
        proto = getattr(element, "proto", None)
        if proto is None or type(proto).__name__ in ("Block", "Html", "Code"):
            continue
        content: Any = MessageToDict(proto)
        if type(proto).__name__ == "PlotlyChart":
            content = json.loads(proto.spec)
        elif "columns" in content:
            content = json.loads(content["columns"])
        yield from _texts(content)


def _walk(block: Any) -> Iterator[Any]:
    for child in getattr(block, "children", {}).values():
        yield child
        yield from _walk(child)


def _texts(content: Any, key: str = "") -> Iterator[str]:
    if isinstance(content, dict):
        for name, value in content.items():
            if name not in NOT_SHOWN:
                yield from _texts(value, name)
    elif isinstance(content, list):
        for value in content:
            yield from _texts(value, key)
    elif isinstance(content, str) and key in SHOWN:
        yield content
