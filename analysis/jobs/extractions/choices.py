"""What the form can offer for a project dir: its configs, weights and heads, by name only."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from analysis.collect.plan.find_weights import (
    DEFAULT_HEAD,
    HEAD_NAME,
    WEIGHT_FOLDERS,
    WEIGHT_SUFFIXES,
)
from analysis.errors import ConfigError
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
