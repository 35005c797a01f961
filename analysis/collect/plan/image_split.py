"""Which of the sorted images a split names, by what the config says about it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from analysis.collect.plan.folds import (
    GROUP_COLUMNS,
    check_fold,
    draw_fold,
    draw_groups,
    draw_images,
)
from analysis.collect.plan.image_columns import ImageKey, read_labels
from analysis.collect.plan.recorded_folds import read_recorded_fold
from analysis.collect.plan.settings import Settings
from analysis.errors import ConfigError, ImageError
from analysis.language import _


def draw_split(
    images: Sequence[ImageKey], split: str, settings: Settings
) -> tuple[Sequence[int], list[str]]:
    """Return the positions of a split among the sorted images, ascending, and notices.

    Raises:
        ConfigError: If the config does not say how to draw it.
        ImageError: If no image is left, or the CSV cannot be read.
    """
    n, folds, fold = len(images), settings.folds, settings.fold
    check_fold(fold, folds)
    notices: list[str] = []
    if split == "all":
        return range(n), notices
    if fold is not None:
        recorded, notices = read_recorded_fold(
            images, split, fold, settings.run_folders, settings.data_root
        )
        if recorded is not None:
            return recorded, notices
    if fold is None and settings.val_split is None:
        raise ConfigError(
            _(
                "{config_path}: the key data.val_split is missing, so the split "
                "{split} cannot be drawn; add it, or take all images with --split "
                "all"
            ).format(config_path=settings.config_path, split=split)
        )
    grouped = folds is not None and (folds.grouped or (fold is not None and folds.grouped is None))
    labels = _read_groups(images, settings) if grouped else None
    if grouped and labels is None:
        notices.append(
            _(
                "kfold.group_by_date_state: the CSV lacks {group_columns}, so the "
                "split is drawn by image, as training does"
            ).format(group_columns=_(" or ").join(GROUP_COLUMNS))
        )
    if fold is not None and folds is not None:
        held_out = draw_fold(n, folds, fold, settings.seed, labels)
    elif labels is not None:
        held_out = draw_groups(labels, settings.val_split or 0.0, settings.seed)
        notices.append(
            _(
                "The split keeps images of one {group_columns} together "
                "(kfold.group_by_date_state): groups in a shuffled order are "
                "validation until they hold data.val_split of the images; {count} "
                "of {n} are"
            ).format(group_columns=_(" and ").join(GROUP_COLUMNS), count=len(held_out), n=n)
        )
    else:
        held_out = draw_images(n, settings.val_split or 0.0, settings.seed)
    if folds is not None and folds.enabled and fold is None:
        notices.append(
            _(
                "kfold.enabled: each of the {k} folds trains on other images than "
                "this single split; name the fold with --fold 0 to {k_2}"
            ).format(k=folds.k, k_2=folds.k - 1)
        )
    part = held_out if split == "val" else np.setdiff1d(np.arange(n), held_out)
    if not len(part):
        raise ImageError(
            _("The split {split} of {n} image(s) is empty; use --split all").format(
                split=split, n=n
            )
        )
    return np.sort(part).tolist(), notices


def _read_groups(images: Sequence[ImageKey], settings: Settings) -> list[str] | None:
    if settings.train_csv is None:
        return None
    columns = read_labels(settings.train_csv, images, GROUP_COLUMNS, settings.data_root)
    if columns is None:
        return None
    return ["__".join(values) for values in zip(*columns, strict=True)]
