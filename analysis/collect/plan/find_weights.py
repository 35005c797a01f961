"""Find the backbone weights and the heads that an extraction uses, by name only.

No file is opened except the JSON lists of an ensemble. Paths that a person names must exist; what
is found by itself must be the only one that fits, else the error lists what was there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from analysis.collect.backbone.variants import find_variant_name
from analysis.collect.backbone.weights_folder import (
    WEIGHT_SUFFIXES,
    holds_weights,
    is_training_state,
)
from analysis.collect.plan.head_versions import choose_version_folder, order_epochs
from analysis.collect.plan.run_checkpoints import choose_checkpoint
from analysis.collect.plan.settings import NO_HEAD, Settings
from analysis.errors import ConfigError
from analysis.files.atomic import MAX_JSON
from analysis.files.isolated import isolated
from analysis.files.own_state import read_small
from analysis.files.roots import is_below
from analysis.language import _

WEIGHT_FOLDERS = ("dinov3_weights", "weights")
DEFAULT_HEAD = Path("weights", "head")
HEAD_NAME = "infer_head.pt"
ENSEMBLE_SWITCH = Path("configs", "ensemble.json")
ENSEMBLE_NAME = "ensemble.json"
_SHOWN = 10


@dataclass(frozen=True)
class WeightsChoice:
    """The backbone weights of one extraction."""

    path: Path
    """Absolute: a file, or a folder as transformers saves it."""
    notices: tuple[str, ...] = ()


@dataclass(frozen=True)
class HeadChoice:
    """The heads of one extraction; without any, the backbone is measured frozen."""

    base: Path | None
    """File or folder that the heads were discovered from; None for the frozen backbone."""
    paths: tuple[Path, ...]
    """Absolute, in the order that `--head-index` counts: files or peft adapter folders."""
    notices: tuple[str, ...] = ()


def find_backbone_weights(settings: Settings, explicit: Path | None = None) -> WeightsChoice:
    """Choose the weights file of `settings.backbone_name`.

    In this order: `explicit` (relative to the current folder),
    `model.weights_path` if it exists here, the one fitting entry of `dinov3_weights/`, the one of
    `weights/`. An entry fits when its name is that of the backbone (as released, on the hub or in
    timm: `find_variant_name`) followed by `_`, `-`, `.` or the end, and it is a weights file, a
    folder that transformers saved or that of a run with `checkpoint-N` (`run_checkpoints`). A
    folder that is named is searched in the same way.

    Raises:
        ConfigError: If a named path does not exist, or none or several entries fit.
    """
    name = settings.backbone_name
    named = explicit
    if named is not None:
        path = Path(str(named)).expanduser().absolute()
        if not path.exists():
            raise ConfigError(
                _("Backbone weights {path} do not exist; correct --dino-weights-pt").format(
                    path=path
                )
            )
        return _choose([path], name)
    notices: tuple[str, ...] = ()
    if settings.weights_path is not None:
        if settings.weights_path.exists():
            return _choose([settings.weights_path], name)
        notices = (
            _(
                "model.weights_path {weights_path} does not exist here; weights are looked for in "
            ).format(weights_path=settings.weights_path)
            + _(" and ").join(f"{f}/" for f in WEIGHT_FOLDERS),
        )
    folders = [settings.project_dir / folder for folder in WEIGHT_FOLDERS]
    return _choose(folders, name, notices)


def find_heads(settings: Settings, explicit: str | Path | None = None) -> HeadChoice:
    """Choose the head files that an adapter may be read from.

    `explicit` (relative to the current folder) wins over
    `weights/head` of the project dir, if that exists; `none` asks for the frozen backbone. In a
    folder, the first of these that is there counts: a peft adapter (the folder itself), the list
    in `ensemble.json` where `configs/ensemble.json` of the project is enabled, `infer_head.pt`,
    `fold_*/infer_head.pt` by number, `*.pt` by name or the latest epoch first; else the same in the
    folder of the config's version, or of the newest where the config switches an adapter on. Of a
    run with `checkpoint-N` it is the one that `run_checkpoints` chooses.

    Raises:
        ConfigError: If a named path does not exist or holds no head, or an ensemble's list
            cannot be read or names a head that is not there.
    """
    named = explicit
    if named is not None and str(named).lower() == NO_HEAD:
        return HeadChoice(None, ())
    default = settings.project_dir / DEFAULT_HEAD
    base = default if named is None else Path(str(named)).expanduser().absolute()
    if base.is_file():
        return HeadChoice(base, (base,))
    wanted = bool((settings.config.get("peft") or {}).get("enabled"))
    if not base.is_dir():
        if named is None:
            notice = _(
                "peft.enabled is true, but {base} does not exist: the frozen backbone is measured; "
                "name the adapter with --head-weights"
            ).format(base=base)
            return HeadChoice(None, (), (notice,) if wanted else ())
        raise ConfigError(
            _(
                "Head weights {base} do not exist; correct --head-weights, or give "
                "{no_head} for the frozen backbone"
            ).format(base=base, no_head=NO_HEAD)
        )
    paths, notices = _heads_in(base, settings.project_dir)
    if not paths:
        checkpoint, more = choose_checkpoint(base, lambda path: bool(_heads_in(path, base)[0]))
        paths = _heads_in(checkpoint, base)[0] if checkpoint else []
        notices += more
    if not paths:
        holding = [path for path in _entries(base) if path.is_dir() and _heads_in(path, base)[0]]
        folder, folder_notices = choose_version_folder(
            base, settings.version, holding, wanted=wanted or named is not None
        )
        notices += folder_notices
        if folder is not None:
            paths, order_notices = _heads_in(folder, settings.project_dir)
            notices += order_notices
        elif folder_notices:
            return HeadChoice(None, (), notices)
    if paths:
        return HeadChoice(base, tuple(paths), notices)
    missing = _(
        "{base} holds no {head_name}, fold_*/{head_name}, *.pt or adapter_config.json"
    ).format(base=base, head_name=HEAD_NAME)
    if named is None:
        return HeadChoice(
            None,
            (),
            (*notices, _("{missing}: the frozen backbone is measured").format(missing=missing)),
        )
    raise ConfigError(
        _("{missing}; correct --head-weights, or give {no_head}").format(
            missing=missing, no_head=NO_HEAD
        )
    )


def _choose(places: list[Path], backbone: str, notices: tuple[str, ...] = ()) -> WeightsChoice:
    """Return what is meant by the first place that holds anything that fits."""
    path = _one_of(places, backbone)
    if not holds_weights(path):
        checkpoint, more = choose_checkpoint(path, holds_weights)
        path, notices = checkpoint or path, (*notices, *more)
    return WeightsChoice(path, notices)


def _one_of(places: list[Path], backbone: str) -> Path:
    for place in places:
        if place.is_file() or _holds_checkpoint(place):
            return place
        fitting = [path for path in _entries(place) if _fits(path, backbone)]
        if len(fitting) > 1:
            raise ConfigError(
                _(
                    "{place} holds several weights for {backbone}: {names}; name one "
                    "with --dino-weights-pt"
                ).format(place=place, backbone=backbone, names=_names(fitting))
            )
        if fitting:
            return fitting[0]
        loose = [path for path in _entries(place) if _is_weights_file(path)]
        if len(places) == len(loose) == 1:
            return loose[0]  # of a folder that was named, whatever the file is called
    listed = "; ".join(
        _("{place} holds {names}").format(place=place, names=_names(_entries(place)))
        if place.is_dir()
        else _("{place} does not exist").format(place=place)
        for place in places
    )
    suffixes = ", ".join(WEIGHT_SUFFIXES)
    raise ConfigError(
        _(
            "No weights for {backbone} found: looked for {backbone}[_-.]* "
            "({suffixes}, or a folder with model.safetensors or its shards). "
            "{listed}. Put them there, or name them with --dino-weights-pt"
        ).format(backbone=backbone, suffixes=suffixes, listed=listed)
    )


def _fits(path: Path, backbone: str) -> bool:
    if find_variant_name(path.name) != backbone:
        return False
    if path.is_dir():
        return _holds_checkpoint(path)
    return _is_weights_file(path)


def _is_weights_file(path: Path) -> bool:
    return path.suffix.lower() in WEIGHT_SUFFIXES and path.is_file() and not is_training_state(path)


def _holds_checkpoint(folder: Path) -> bool:
    return holds_weights(folder) or choose_checkpoint(folder, holds_weights)[0] is not None


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(folder.iterdir()) if folder.is_dir() else []
    except OSError as error:
        raise ConfigError(
            _("{folder} cannot be listed: {error}").format(folder=folder, error=error)
        ) from error


def _names(paths: Iterable[Path]) -> str:
    names = [path.name for path in paths]
    more = _(" and {count} more").format(count=len(names) - _SHOWN) if len(names) > _SHOWN else ""
    return ", ".join(names[:_SHOWN]) + more if names else "nothing"


def _heads_in(folder: Path, project_dir: Path) -> tuple[list[Path], tuple[str, ...]]:
    if (folder / "adapter_config.json").is_file():
        return [folder], ()
    notices: tuple[str, ...] = ()
    switch = project_dir / ENSEMBLE_SWITCH
    if switch.is_file() and _read_json(switch).get("enabled") is True:
        listing = folder / ENSEMBLE_NAME
        if listing.is_file():
            return _read_ensemble(listing, project_dir), ()
        notices = (
            _("{switch} is enabled but {listing} does not exist: it is not used").format(
                switch=switch, listing=listing
            ),
        )
    if (folder / HEAD_NAME).is_file():
        return [folder / HEAD_NAME], notices
    folds = [path for path in folder.glob(f"fold_*/{HEAD_NAME}") if path.is_file()]
    if folds:
        return sorted(folds, key=lambda path: _natural(path.parent.name)), notices
    paths, order_notices = order_epochs(
        sorted(x for x in folder.glob("*.pt") if x.is_file() and not is_training_state(x))
    )
    return paths, (*notices, *order_notices)


def _read_ensemble(listing: Path, project_dir: Path) -> list[Path]:
    heads = _read_json(listing).get("heads")
    if not isinstance(heads, list) or not heads:
        raise ConfigError(
            _("{listing}: heads is {heads!r}; expected a list of {{path}}").format(
                listing=listing, heads=heads
            )
        )
    paths: list[Path] = []
    roots = [listing.parent.resolve(), project_dir.resolve()]
    for number, head in enumerate(heads):
        text = head.get("path") if isinstance(head, dict) else head
        if not isinstance(text, str) or not text or "\0" in text:
            raise ConfigError(
                _("{listing}: heads[{number}].path is {text!r}; expected a path").format(
                    listing=listing, number=number, text=text
                )
            )
        places = [listing.parent / text, project_dir / text]
        there = next((place for place in places if place.exists()), None)
        if there is None:
            raise ConfigError(
                _(
                    "{listing}: heads[{number}].path {text} does not exist, neither "
                    "below {parent} nor below {project_dir}"
                ).format(
                    listing=listing,
                    number=number,
                    text=text,
                    parent=listing.parent,
                    project_dir=project_dir,
                )
            )
        if not is_below(there.resolve(), roots):
            raise ConfigError(
                _(
                    "{listing}: heads[{number}].path {text} lies outside {roots_1} and "
                    "{roots_2}; put it there, or name it with --head-weights"
                ).format(
                    listing=listing, number=number, text=text, roots_1=roots[0], roots_2=roots[1]
                )
            )
        paths.append(there)
    return paths


def _read_json(path: Path) -> dict[str, Any]:
    return _read_mapping(str(path))


@isolated("list of heads")
def _read_mapping(path: str) -> dict[str, Any]:
    try:
        value = json.loads(read_small(Path(path).resolve(), MAX_JSON))
    except (OSError, ValueError, RecursionError) as error:
        raise ConfigError(
            _("{path} cannot be read as JSON: {error}").format(path=path, error=error)
        ) from error
    if not isinstance(value, dict):
        raise ConfigError(
            _("{path} holds a {name}; expected a mapping").format(
                path=path, name=type(value).__name__
            )
        )
    return value


def _natural(name: str) -> list[tuple[int, str]]:
    """Sort key in which fold_2 stands before fold_10."""
    return [
        (int(digits or 0), text)
        for text, digits in re.findall(r"(\D*)(\d*)", name)
        if text or digits
    ]
