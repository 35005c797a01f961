"""The folds that a training run wrote down: `<log_dir>/folds/fold_<i>/{train,val}.csv`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from analysis.collect.plan.image_columns import ImageKey
from analysis.collect.plan.image_csv import read_rows
from analysis.errors import ImageError
from analysis.files.atomic import is_regular
from analysis.files.isolated import isolated
from analysis.language import _

PARTS = ("train", "val")


def read_recorded_fold(
    images: Sequence[ImageKey], split: str, fold: int, folders: Sequence[Path], root: Path
) -> tuple[list[int] | None, list[str]]:
    """Return the positions of a fold's part as training recorded it, and a notice.

    None without a record, and where it cannot be used; then the notice says why.

    Args:
        images: Sorted, as training has them.
        split: `train` or `val`.
        fold: From 0.
        folders: Where the run may have written `folds/`; the first that has the fold counts.
        root: `data.root`, as in `read_rows`.
    """
    places = [folder / "folds" / f"fold_{fold}" for folder in folders]
    place = next((p for p in places if all(is_regular(p / f"{part}.csv") for part in PARTS)), None)
    if place is None:
        return None, []
    path = place / f"{split}.csv"
    try:
        recorded = {(key[0], key[1]) for key in _read_keys(str(path), str(root))}
    except ImageError as error:
        return None, [
            _("The recorded fold is not used, and drawn anew instead: {error}").format(error=error)
        ]
    ids, paths = ({key[part] for key in recorded} for part in (0, 1))
    found = [n for n, (name, _unused) in enumerate(images) if name in ids]
    found = found or [n for n, (_unused, relative) in enumerate(images) if relative in paths]
    if not found:
        return None, [
            _("{path} names none of the images; the fold is drawn anew instead").format(path=path)
        ]
    notice = _("The fold is the one that training recorded in {place}").format(place=place)
    if len(found) < len(recorded):
        notice += _("; {count} of its {count_2} images are not here").format(
            count=len(recorded) - len(found), count_2=len(recorded)
        )
    return found, [notice]


@isolated("fold of a CSV")
def _read_keys(path: str, root: str) -> list[ImageKey]:
    """Return the id and path of every image, each once."""
    return list(dict.fromkeys(key for key, _row in read_rows(Path(path), Path(root))))
