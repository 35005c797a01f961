"""What one extraction is asked to do, and the plan that follows from it. No torch.

The command line and the dashboard's form both fill an `ExtractionRequest`; `plan_extraction`
resolves it into an `ExtractionPlan`: which config, weights, head, images and output path. So the
form shows, before anything runs, exactly what the command line would do.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any

from analysis.collect.plan.find_weights import (
    DEFAULT_HEAD,
    HeadChoice,
    WeightsChoice,
    find_backbone_weights,
    find_heads,
)
from analysis.collect.plan.head_versions import check_head_version
from analysis.collect.plan.image_columns import read_values
from analysis.collect.plan.image_groups import divide_by_values, divide_list
from analysis.collect.plan.image_list import ImageList, list_images
from analysis.collect.plan.normalization_check import check_normalization
from analysis.collect.plan.settings import PRECISIONS, SPLITS, Settings, load_settings
from analysis.errors import ConfigError
from analysis.language import _

MAX_WORKERS_PER_CORE = 4
"""Processes that decode images; more only take memory from one another."""


@dataclass(frozen=True)
class ExtractionRequest:
    """One field per command-line flag; None means "as the config or the default says"."""

    project_dir: Path = Path()
    config: Path | None = None
    output: Path | None = None
    dino_weights_pt: Path | None = None
    weights_key: str | None = None
    head_weights: str | None = None
    max_images: int | None = None
    device: str | None = None
    batch_size: int | None = None
    num_workers: int | None = None
    precision: str | None = None
    split: str | None = None
    fold: int | None = None
    head_index: int | None = None
    strict: bool = False
    extras: bool = True
    image_features: str | None = None
    """Images whose vectors are kept: auto, all, or a number."""
    targets: bool = True
    """Whether the columns of the CSV are written beside these vectors."""
    compile: str | None = None
    checkpoint_every: float | None = None
    resume: bool = False
    preview: Path | None = None

    def to_arguments(self) -> list[str]:
        """Return the command-line arguments that ask for the same extraction."""
        arguments: list[str] = []
        for field in fields(self):
            value = getattr(self, field.name)
            flag = "--" + field.name.replace("_", "-")
            if field.name in ("extras", "targets"):
                arguments += [] if value else [f"--no-{field.name}"]
            elif isinstance(value, bool):
                arguments += [flag] if value else []
            elif value is not None:
                arguments.append(f"{flag}={value}")
        return arguments


@dataclass(frozen=True)
class ExtractionPlan:
    """A request with every choice made; nothing has been loaded yet."""

    request: ExtractionRequest
    """The request with the config's `analysis:` section and the defaults filled in."""
    settings: Settings
    weights: WeightsChoice
    heads: HeadChoice
    images: ImageList
    image_groups: tuple[int, ...]
    """Group of every image, from 0; differences between groups are the noise of the statistics."""
    output: Path
    """Absolute path of the payload to be written."""
    notices: tuple[str, ...]
    """Sentences about choices the user may not expect."""

    @property
    def head_path(self) -> Path | None:
        """Return the head file whose adapter is used, None for the frozen backbone."""
        return self.heads.paths[self.request.head_index or 0] if self.heads.paths else None

    @property
    def fingerprint(self) -> str:
        """Return a sha256 of all that decides the numbers: equal plans give equal payloads.

        Weights and head enter by path, size and modification time (reading gigabytes to show a
        form would take too long), images by the fingerprint of their list.
        """
        request = asdict(self.request)
        deciding = {
            key: request[key] for key in ("device", "precision", "head_index", "weights_key")
        }
        deciding |= {
            "backbone": self.settings.backbone_name,
            "config": self.settings.config,
            "files": [_file_state(path) for path in (self.weights.path, self.head_path)],
            "images": self.images.fingerprint,
        }
        text = json.dumps(deciding, sort_keys=True, default=str)
        return hashlib.sha256(text.encode()).hexdigest()


ListImages = Callable[[Settings, str, int], ImageList]
"""Settings, split and limit to the list of images."""


def plan_extraction(request: ExtractionRequest, listed: ListImages = list_images) -> ExtractionPlan:
    """Resolve a request against its config and the files that are there.

    Flags win over the config's `analysis:` section, which wins over the defaults. Relative paths
    in the config resolve against the project dir, relative flags against the current folder.

    Args:
        request: What was asked for.
        listed: Lists the images; a form that plans at every change hands in one that remembers.

    Raises:
        ConfigError: If the project dir, the config, a flag's value, the weights or the head
            cannot be used.
        ImageError: If the image list cannot be read or holds no image.
    """
    project_dir = request.project_dir.expanduser().resolve()
    if not project_dir.is_dir():
        raise ConfigError(
            f"--project-dir {request.project_dir}: no such folder. "
            "Give the folder that holds configs/."
        )
    settings = replace(load_settings(project_dir, request.config), fold=request.fold)
    filled = fill_request(request, settings)
    weights = find_backbone_weights(settings, filled.dino_weights_pt)
    heads = find_heads(settings, filled.head_weights)
    if settings.fold is not None and request.head_index is None:
        folds = [path.parent.name for path in heads.paths]
        if f"fold_{settings.fold}" in folds:
            filled = replace(filled, head_index=folds.index(f"fold_{settings.fold}"))
    head_index = filled.head_index or 0
    if heads.paths and head_index >= len(heads.paths):
        raise ConfigError(
            f"--head-index {head_index}: {heads.base} holds {len(heads.paths)} head(s), "
            f"so the index must be below {len(heads.paths)}."
        )
    head = heads.paths[head_index] if heads.paths else None
    images = listed(settings, str(filled.split), filled.max_images or 0)
    output = filled.output.expanduser().resolve() if filled.output else settings.default_output
    return ExtractionPlan(
        request=filled,
        settings=settings,
        weights=weights,
        heads=heads,
        images=images,
        image_groups=_group_images(settings, images),
        output=output,
        notices=(
            *settings.notices,
            *weights.notices,
            *check_normalization(weights.path, settings.mean, settings.std),
            *heads.notices,
            *check_head_version(head, project_dir / DEFAULT_HEAD, settings.version),
            *images.notices,
        ),
    )


def fill_request(request: ExtractionRequest, settings: Settings) -> ExtractionRequest:
    """Fill what a request leaves open: by the config's `analysis:` section, then the defaults.

    Raises:
        ConfigError: If a value is not possible; names the flag.
    """
    defaults: dict[str, Any] = {
        "max_images": 0,
        "device": "auto",
        "precision": "auto",
        "head_index": 0,
        "split": "all" if settings.train_all and request.fold is None else "train",
        **{key: value for key, value in settings.analysis.items() if key != "group_by"},
    }
    missing = {key: value for key, value in defaults.items() if getattr(request, key) is None}
    return _check_values(replace(request, **missing))


def _group_images(settings: Settings, images: ImageList) -> tuple[int, ...]:
    column = settings.analysis.get("group_by")
    if column is None:
        return tuple(divide_list(len(images.entries)).tolist())
    if settings.train_csv is None:
        raise ConfigError(
            _(
                "{config_path}: analysis.group_by names the column {column}, but "
                "data.train_csv names no table; add it, or leave analysis.group_by "
                "out"
            ).format(config_path=settings.config_path, column=column)
        )
    own = [entry for entry in images.entries if not entry.section]
    keys = [(entry.image_id, entry.relative) for entry in own]
    values = read_values(settings.train_csv, keys, str(column))
    # a further data set has no such column: each is a group of its own
    values += [entry.section for entry in images.entries if entry.section]
    return tuple(divide_by_values(values, str(column)).tolist())


def _check_values(request: ExtractionRequest) -> ExtractionRequest:
    for name, allowed in (("precision", PRECISIONS), ("split", SPLITS)):
        value = getattr(request, name)
        if value not in allowed:
            choices = ", ".join(allowed)
            raise ConfigError(f"--{name} {value}: unknown. Choose one of {choices}.")
    for name, least in (
        ("max_images", 0),
        ("head_index", 0),
        ("fold", 0),
        ("num_workers", 0),
        ("batch_size", 1),
    ):
        value = getattr(request, name)
        if value is not None and (not isinstance(value, int) or value < least):
            flag = name.replace("_", "-")
            raise ConfigError(f"--{flag} {value}: must be a whole number, {least} or more.")
    most = MAX_WORKERS_PER_CORE * (os.cpu_count() or 1)
    if (request.num_workers or 0) > most:
        raise ConfigError(
            f"--num-workers {request.num_workers}: must be {most} or less on this machine, "
            f"{MAX_WORKERS_PER_CORE} for each core."
        )
    wanted = request.image_features
    if wanted not in (None, "auto", "all") and not (wanted.isdecimal() and len(wanted) < 12):
        raise ConfigError(f"--image-features {wanted}: must be auto, all or a whole number.")
    return request


def _file_state(path: Path | None) -> list[Any] | None:
    if path is None or not path.exists():
        return None
    state = path.stat()
    return [str(path), state.st_size, state.st_mtime_ns]
