"""Bring the catalogues up to the texts of the code, and compile them.

New messages get an empty translation, which a test refuses; those that no code has any more go.
"""

from __future__ import annotations

from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path

from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_file
from babel.messages.mofile import write_mo
from babel.messages.pofile import read_po, write_po

ROOT = Path(__file__).parents[1]
KEYWORDS = {"_": None, "N_": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
NO_HEADERS = ("POT-Creation-Date", "PO-Revision-Date", "Last-Translator", "Language-Team")
NO_HEADERS += ("Report-Msgid-Bugs-To", "Generated-By")
"""Dates, names and versions, which would change with every run."""


def main() -> None:
    """Rewrite every catalogue of the package."""
    sources = [ROOT / "app.py", *sorted(ROOT.glob("pages/**/*.py"))]
    sources += sorted(ROOT.glob("analysis/**/*.py"))
    messages = [
        (message, context)
        for path in sources
        for _, message, _, context in extract_from_file("python", path, KEYWORDS)
        if message
    ]
    for path in ROOT.glob("analysis/locale/*/LC_MESSAGES/dashboard.po"):
        locale = path.parents[1].name
        old = read_po(BytesIO(path.read_bytes()), locale=locale)
        new = Catalog(locale=locale, header_comment=old.header_comment, fuzzy=False)
        new.project, new.version = old.project, old.version
        for message, context in messages:
            key = message if isinstance(message, str) else message[0]
            known = old.get(key, context)
            new.add(message, known.string if known else "", context=context).flags.clear()
        text = BytesIO()
        write_po(text, new, width=100)
        lines = text.getvalue().decode().splitlines(keepends=True)
        kept = [line for line in lines if not line.startswith(tuple(f'"{n}' for n in NO_HEADERS))]
        path.write_text("".join(kept), encoding="utf-8")
        new.creation_date = new.revision_date = datetime(2026, 1, 1, tzinfo=UTC)
        with path.with_suffix(".mo").open("wb") as compiled:
            write_mo(compiled, new)
        empty = sum(not message.string for message in new if message.id)
        print(f"{path.relative_to(ROOT)}: {len(new)} messages, {empty} to be translated")


if __name__ == "__main__":
    main()
