"""The weights and the head that a payload was made with, as files of this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.collect.plan.find_weights import DEFAULT_HEAD, WEIGHT_FOLDERS
from analysis.errors import CheckpointError
from analysis.files.roots import allowed_roots, resolve_below_roots
from analysis.language import _
from analysis.payload.recorded_files import find_recorded
from analysis.payload.table import StatsTable


def find_weights(table: StatsTable, roots: Sequence[Path] | None = None) -> Path:
    """Return the measured backbone weights.

    Raises:
        CheckpointError: If they cannot be read here.
    """
    return _find(table, "dino_weights_pt", "weights", WEIGHT_FOLDERS, roots)


def find_head(table: StatsTable, roots: Sequence[Path] | None = None) -> Path | None:
    """Return the measured head, None where no adapter was attached.

    Raises:
        CheckpointError: If it cannot be read here.
    """
    if not table.backbone.get("used_lora"):
        return None
    return _find(table, "first_head_path", "head", (str(DEFAULT_HEAD),), roots)


def _find(
    table: StatsTable, key: str, what: str, folders: Sequence[str], roots: Sequence[Path] | None
) -> Path:
    """Look where the payload says, then for a file of that name where such files usually lie."""
    roots = allowed_roots() if roots is None else roots
    recorded = str(table.backbone.get(key) or "")
    file = None
    if recorded:
        file = find_recorded(recorded, str(table.meta.get("project_dir", "")), roots)
        usual = (root / folder / Path(recorded).name for root in roots for folder in folders)
        file = file or next((path for path in usual if path.exists()), None)
    if file is None:
        raise CheckpointError(
            _(
                "The {what} of this payload cannot be read here: {recorded}. Put "
                "the file at the same place in this project dir or into "
                "{folders_1}/, choose another one, or extract this version here."
            ).format(what=what, recorded=recorded or _("not recorded"), folders_1=folders[0])
        )
    return resolve_below_roots(file, roots)
