"""List the files of a project dir that the process of a server reads while all pages are shown.

``python -m tests.hostile.openings CHOICE=VALUE`` in the project dir prints JSON: by file, the
functions that opened it, and under "shown" the title of each page. Names without a folder were
opened below a folder that is held open. Readers, jobs and other processes are not listed.
"""

from __future__ import annotations

import json
import os
import sys
import traceback
from pathlib import Path
from typing import Any

from streamlit.runtime.pages_manager import PagesManager
from streamlit.testing.v1 import AppTest

from analysis.jobs.reader import start_reader
from pages.components.images import maps
from tests import ROOT
from tests.pages.conftest import PAGES

VIEWS = {
    "layers": ("view", ("top", "norms", "range", "shared_norm", "advice")),
    "images": ("view", ("footprint", "maps")),
    "similarity": ("similarity", ("moved", "map", "directions")),
}
"""Views of a page beside its first one, and the choice that names them."""


class Openings:
    """What this process opened for reading below a folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self.files: dict[str, set[str]] = {}

    def note(self, event: str, arguments: tuple[Any, ...]) -> None:
        """Take an event of `sys.addaudithook`."""
        if event not in ("open", "sqlite3.connect") or not isinstance(arguments[0], str | bytes):
            return
        if event == "open" and arguments[2] & (os.O_DIRECTORY | os.O_CREAT):
            return
        path = Path(os.fsdecode(arguments[0]).removeprefix("file:").partition("?")[0])
        if not (self.folder / path).is_relative_to(self.folder):
            return
        frames = traceback.extract_stack(limit=12)
        ours = [f"{Path(f.filename).stem}.{f.name}" for f in frames if str(ROOT) in f.filename]
        by = " < ".join(reversed(ours[-5:-1]))
        self.files.setdefault(os.path.relpath(self.folder / path, self.folder), set()).add(by)


def walk(choices: dict[str, str]) -> dict[str, list[str]]:
    """Show every page and view, twice; return their titles, and the exceptions on them."""
    shown = {}
    for page in PAGES:
        key, views = VIEWS.get(page, ("view", ()))
        for view in ("", *views):
            app = AppTest.from_file(str(ROOT / "app.py"), default_timeout=300)
            for name, value in (choices | ({key: view} if view else {})).items():
                app.query_params[name] = value
            app.session_state["form"] = page == "runs"  # the form of new extractions is open
            app = app if page == "home" else app.switch_page(f"pages/{page}.py")
            app.run().run()
            texts = [str(element.value) for element in (*app.title, *app.exception)]
            shown[f"{page} {view}".strip()] = texts
    return shown


if __name__ == "__main__":
    project = Path.cwd()
    PagesManager.uses_pages_directory = False
    maps.prepare_run = lambda request: None  # starts a process for a click that never comes
    start_reader()
    openings = Openings(project)
    sys.addaudithook(openings.note)
    shown = walk(dict(choice.split("=", 1) for choice in sys.argv[1:]))
    print(json.dumps({"shown": shown, "files": {k: sorted(v) for k, v in openings.files.items()}}))
