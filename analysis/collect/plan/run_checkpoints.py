"""The checkpoint of a training run's folder: which `checkpoint-N` is meant.

In this order: the one that `trainer_state.json` calls the best (of the run, else of its newest
checkpoint), a folder named best, the highest number.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path, PureWindowsPath

from analysis.files.atomic import is_folder, is_regular
from analysis.files.isolated import isolated

ORDER = "the best by trainer_state.json, a folder named best, the highest number"
_NUMBERED = re.compile(r"checkpoint[-_](\d{1,12})")
_BEST = re.compile(r"(?:checkpoint[-_])?best(?:[-_](?:model|checkpoint))?|best_?model")
_RECORDED = re.compile(r'"best_model_checkpoint":\s*("(?:[^"\\]|\\.){1,1000}")')
_STATE = "trainer_state.json"
_STATE_START = 4096
"""Bytes of a state that are read: its keys are sorted, and the best stands before the log."""


def choose_checkpoint(
    run: Path, holds: Callable[[Path], bool]
) -> tuple[Path | None, tuple[str, ...]]:
    """Return the checkpoint of a run that is meant, and a notice that names the others.

    Args:
        run: Folder of the run.
        holds: Tells whether a folder is a checkpoint of the kind that is wanted.

    Returns:
        None where the folder holds no `checkpoint-N` of that kind.
    """
    try:
        folders = [path for path in run.iterdir() if is_folder(path)] if is_folder(run) else []
    except OSError:
        return None, ()
    numbers = {
        path: int(match[1])
        for path in folders
        if (match := _NUMBERED.fullmatch(path.name)) and holds(path)
    }
    best = sorted(path for path in folders if _BEST.fullmatch(path.name) and holds(path))
    if not numbers:
        return None, ()
    by_number = sorted(numbers, key=lambda path: (numbers[path], path.name))
    newest = by_number[-1]
    recorded = _read_best(run / _STATE) or _read_best(newest / _STATE)
    named = [path for path in (*by_number, *best) if path.name == recorded]
    chosen = (*named, *best, newest)[0]
    others = ", ".join(path.name for path in (*by_number, *best) if path != chosen)
    if not others:
        return chosen, ()
    return chosen, (
        f"{run} holds several checkpoints: {chosen.name} is measured (order: {ORDER}); the others "
        f"are {others:.300}; name the folder of another",
    )


def _read_best(state: Path) -> str | None:
    """Return the name of the checkpoint that a state calls the best."""
    return _find_best(str(state)) if is_regular(state) else None


@isolated("best checkpoint")
def _find_best(state: str) -> str | None:
    try:
        with Path(state).open("rb") as file:
            text = file.read(_STATE_START).decode(errors="replace")
        found = _RECORDED.search(text)
        return PureWindowsPath(json.loads(found[1])).name if found else None
    except (OSError, ValueError):
        return None
