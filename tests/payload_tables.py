"""The tables of docs/payload.md, from the schema: `python -m tests.payload_tables` writes them."""

from __future__ import annotations

import re

from analysis.payload.contract.form import Form, list_keys
from analysis.payload.contract.payload import PAYLOAD, SIDECAR
from tests import ROOT

DOCUMENT = ROOT / "docs" / "payload.md"
TABLE = re.compile(r"\A(\|.*\n)*")
NO_UNIT = "-"
SECTIONS = ("layers", "meta", "meta.run", "extras", "json")


def make_table(section: str) -> str:
    """Return the table of one section in Markdown."""
    rows = [(path, form) for path, form in _keys(section) if section != "meta" or not _in_run(path)]
    lines = ["| key | type | unit | meaning |", "|---|---|---|---|"]
    lines += [
        f"| `{path}` | {_type(form)} | {form.doc.unit or '-'} | {form.doc.text} |"
        for path, form in rows
    ]
    return "\n".join(lines)


def write_tables(text: str) -> str:
    """Return a document with its tables replaced: each stands after a comment with its section."""
    for section in SECTIONS:
        mark = f"<!-- keys: {section} -->"
        assert text.count(mark) == 1, mark
        before, _, after = text.partition(f"{mark}\n")
        text = f"{before}{mark}\n{make_table(section)}\n{re.sub(TABLE, '', after)}"
    return text


def _keys(section: str) -> list[tuple[str, Form]]:
    if section == "json":
        return list(list_keys(SIDECAR, ""))
    return [(p, form) for p, form in list_keys(PAYLOAD, "") if p.startswith(f"{section}.")]


def _in_run(path: str) -> bool:
    return path.startswith("meta.run.")


def _type(form: Form) -> str:
    return form.name().replace("|", "\\|")


if __name__ == "__main__":
    DOCUMENT.write_text(write_tables(DOCUMENT.read_text()))
