"""What the form can offer for a project dir: configs, weights and heads by name, and backbones."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from analysis.collect.plan.find_weights import (
    DEFAULT_HEAD,
    HEAD_NAME,
    WEIGHT_FOLDERS,
    WEIGHT_SUFFIXES,
    find_backbone_weights,
)
from analysis.collect.plan.request import ExtractionRequest
from analysis.collect.plan.settings import load_settings
from analysis.collect.plan.weights_keys import list_weights_keys
from analysis.errors import ConfigError, InputError
from analysis.jobs.extractions.forecast import confine
from analysis.payload.discovery import resolve_below_roots

ADAPTER_CONFIG = "adapter_config.json"
"""Of a folder that peft wrote."""

OFFERED = 200
"""More choices than this are not offered; a path can still be typed."""


def list_configs(project_dir: Path) -> list[Path]:
    """Return the configs of a project dir, relative to it: its own, then those of past trainings.

    A training run leaves a snapshot of its config as `outputs/<version>/[train_all/]train.yaml`.

    Raises:
        ConfigError: If the project dir lies outside the allowed roots.
    """
    patterns = ("configs/*.y*ml", "outputs/*/train.yaml", "outputs/*/train_all/train.yaml")
    paths = _find(project_dir, patterns, suffixes=(".yaml", ".yml"))
    return sorted(paths, key=_rank_config)


def list_weights(project_dir: Path) -> list[Path]:
    """Return the backbone weights of a project dir, relative to it.

    Raises:
        ConfigError: If the project dir lies outside the allowed roots.
    """
    patterns = [f"{folder}/*" for folder in WEIGHT_FOLDERS]
    return sorted(_find(project_dir, patterns, suffixes=WEIGHT_SUFFIXES))


def list_heads(project_dir: Path) -> list[Path]:
    """Return the head files and the folders of heads and adapters, relative to the project dir.

    Raises:
        ConfigError: If the project dir lies outside the allowed roots.
    """
    root = resolve_below_roots(project_dir)
    default = [DEFAULT_HEAD] if (root / DEFAULT_HEAD).is_dir() else []
    files = (f"weights/**/{HEAD_NAME}", f"{DEFAULT_HEAD}/*", "outputs/*/head/*")
    heads = _find(project_dir, files, suffixes=(".pt", ".pth"))
    configs = [f"{folder}/**/{ADAPTER_CONFIG}" for folder in ("weights", "outputs/*")]
    adapters = [path.parent for path in _find(project_dir, configs, suffixes=(".json",))]
    paths = {*heads, *adapters} - {*default}
    return [*default, *sorted(paths)][:OFFERED]


def list_backbones(request: ExtractionRequest) -> list[str]:
    """Return the keys of the backbones in the weights of a request, the usual choice first.

    Empty where there is no choice, and where the weights or their header cannot be read: the
    forecast of the same request says why.
    """
    try:
        confined = confine(request)
        settings = load_settings(confined.project_dir, confined.config)
        named = confined.dino_weights_pt or settings.analysis.get("dino_weights_pt")
        weights = find_backbone_weights(settings, Path(str(named)) if named else None).path
        keys = list_weights_keys(resolve_below_roots(weights))
    except InputError:
        return []
    return keys if len(keys) > 1 else []


def _rank_config(path: Path) -> tuple[bool, bool, bool, str]:
    """Order configs: the project's own, `train.yaml` first, then snapshots; each by name."""
    return (
        path.parts[0] != "configs",
        path.name != "train.yaml",
        "train_all" in path.parts,
        str(path),
    )


def _find(project_dir: Path, patterns: Iterable[str], suffixes: tuple[str, ...]) -> list[Path]:
    return list(_walk(resolve_below_roots(project_dir), patterns, suffixes))[:OFFERED]


def _walk(root: Path, patterns: Iterable[str], suffixes: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        with contextlib.suppress(OSError):
            for path in root.glob(pattern):
                if path.suffix.lower() not in suffixes or not path.is_file():
                    continue
                with contextlib.suppress(ConfigError):  # a link out of the allowed roots
                    resolve_below_roots(path)
                    yield path.relative_to(root)
