"""Where the files that a payload names are on this machine, below the folders that may be read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path, PurePosixPath
from typing import Any

from analysis.errors import ConfigError, ImageError, InputError
from analysis.files.paths import expand_text
from analysis.files.roots import allowed_roots, resolve_below_roots
from analysis.language import _
from analysis.payload.image_paths import fingerprint_files


def find_recorded(
    recorded: str, project_dir: str, roots: Sequence[Path] | None = None
) -> Path | None:
    """Return where a file or folder that a payload names is here, None if it cannot be read.

    Looked for at the recorded path, then at the same place relative to the project dir, below each
    allowed root.

    Args:
        recorded: A path of the machine that made the payload.
        project_dir: That machine's project dir.
        roots: As from `allowed_roots`, which None stands for.
    """
    roots = allowed_roots() if roots is None else roots
    path = PurePosixPath(project_dir) / recorded
    candidates = [Path(path)]
    if path.is_relative_to(project_dir):
        candidates += [root / path.relative_to(project_dir) for root in roots]
    return next((found for path in candidates if (found := _readable(path, roots))), None)


def find_photograph(
    relative: str,
    meta: Mapping[str, Any],
    folder: str | None = None,
    roots: Sequence[Path] | None = None,
) -> Path:
    """Return the file of one measured image.

    Args:
        relative: As in `extras["images"]["paths"]`: below `data.root`, or absolute.
        meta: The payload's `meta`; says where `data.root` was.
        folder: Where the images are here, in place of `data.root`, if somebody has said so.
        roots: As from `allowed_roots`, which None stands for.

    Raises:
        ConfigError: If `folder` lies outside the allowed roots.
        ImageError: If the file is not there or may not be read.
    """
    roots = allowed_roots() if roots is None else roots
    parts = PurePosixPath(relative)
    if folder:
        base = resolve_below_roots(folder, roots)
        # of an absolute path nobody knows where the data set began: the longest end that exists
        names = parts.relative_to(parts.anchor).parts if parts.is_absolute() else ()
        ends = [base.joinpath(*names[start:]) for start in range(len(names))] or [base / relative]
        found = next((path for end in ends if (path := _readable(end, roots))), None)
        where = str(base)
    else:
        project_dir = str(meta.get("project_dir", ""))
        data = meta.get("config", {}).get("data")
        root = written = str(data.get("root", "")) if isinstance(data, dict) else ""
        with suppress(ValueError):
            root = expand_text(written)
        found = find_recorded(str(PurePosixPath(root) / relative), project_dir, roots)
        # As it is written: whoever sent the payload is to see no variable of this machine.
        where = str(PurePosixPath(project_dir) / written)
    if found is None or not found.is_file():
        raise ImageError(
            _(
                "The image {relative} is not readable here: looked in {where} and "
                "below the folders that this dashboard may read ({str})."
            ).format(relative=relative, where=where, str=", ".join(map(str, roots)))
        )
    return found


def are_measured(
    paths: Sequence[str],
    meta: Mapping[str, Any],
    folder: str | None = None,
    roots: Sequence[Path] | None = None,
) -> bool | None:
    """Return whether the images here are those that were measured, by name and file size.

    Args:
        paths: `extras["images"]["paths"]`.
        meta: The payload's `meta`, whose fingerprint of the image list is compared.
        folder: As for `find_photograph`.
        roots: As from `allowed_roots`, which None stands for.

    Returns:
        None where it cannot be told: no fingerprint, or not all images are readable.
    """
    run = meta.get("run")
    recorded = run.get("dataset_fingerprint") if isinstance(run, dict) else None
    try:
        sizes = [find_photograph(path, meta, folder, roots).stat().st_size for path in paths]
    except (InputError, OSError):
        return None
    return fingerprint_files(paths, sizes) == recorded if recorded and paths else None


def _readable(path: Path, roots: Sequence[Path]) -> Path | None:
    try:
        resolved = resolve_below_roots(path, roots)
        return resolved if resolved.exists() else None
    except (ConfigError, OSError):
        return None
