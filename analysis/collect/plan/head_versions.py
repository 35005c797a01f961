"""Heads kept in a folder per version (`weights/head/<version>/`), and heads of several epochs."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from analysis.language import _

_EPOCH = re.compile(r"^(.*?)(\d+)(\D*)$")
_FOLD = re.compile(r"fold_?\d+$")


def choose_version_folder(
    base: Path, version: str | None, holds_head: Iterable[Path], *, wanted: bool
) -> tuple[Path | None, tuple[str, ...]]:
    """Return the folder of the config's version, else the newest, and what to say about it.

    Args:
        base: The folder that holds no head itself.
        version: Of the config.
        holds_head: Folders below `base` that hold heads.
        wanted: Whether the config switches an adapter on; without, no other version's is taken.
    """
    folders = {folder.name: folder for folder in holds_head}
    if version is not None and version in folders:
        return folders[version], ()
    if not folders:
        return None, ()
    newest = max(folders.values(), key=lambda folder: folder.stat().st_mtime_ns)
    names = ", ".join(sorted(folders))
    of = _("version {version}").format(version=version) if version is not None else _("no version")
    if not wanted:
        return None, (
            _(
                "{base} holds heads of {names}, and the config is of {of}: none is "
                "used; name one with --head-weights"
            ).format(base=base, names=names, of=of),
        )
    return newest, (
        _(
            "{base} holds heads of {names}, and the config is of {of}: the "
            "newest, {name}, is measured; name another with --head-weights"
        ).format(base=base, names=names, of=of, name=newest.name),
    )


def order_epochs(paths: Sequence[Path]) -> tuple[list[Path], tuple[str, ...]]:
    """Return the latest epoch first where names differ by one number only, and name the rest."""
    if len(paths) < 2:
        return list(paths), ()
    parts = [_EPOCH.match(path.stem) for path in paths]
    same = {(part[1], part[3]) for part in parts if part}
    ordered = list(paths)
    if all(parts) and len(same) == 1:
        ordered.sort(key=lambda path: -int(re.findall(r"\d+", path.stem)[-1]))
    others = ", ".join(path.name for path in ordered[1:11])
    return ordered, (
        _(
            "{parent} holds {count} heads: {name} is measured; the others are "
            "{others}; choose with --head-index"
        ).format(parent=ordered[0].parent, count=len(ordered), name=ordered[0].name, others=others),
    )


def check_head_version(head: Path | None, default: Path, version: str | None) -> tuple[str, ...]:
    """Warn of a head below the folder of another version than the config's."""
    if head is None or version is None or not head.is_relative_to(default):
        return ()
    folders = [name for name in head.relative_to(default).parts[:-1] if not _FOLD.match(name)]
    if not folders or version in folders:
        return ()
    return (
        _(
            "The head {relative_to} is in the folder of version {folders_1}, "
            "but the config is of version {version}: choose with --head-index "
            "or --head-weights"
        ).format(relative_to=head.relative_to(default), folders_1=folders[0], version=version),
    )
