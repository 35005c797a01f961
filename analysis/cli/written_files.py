"""What a run writes, checked before it writes anything: no file of a person is ever lost.

Two rules. No two files of one run are the same file, also through links. A file that is replaced
is of the kind that replaces it: a payload by a payload, a log by a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from analysis.collect.plan.request import ExtractionPlan
from analysis.errors import ConfigError, InputError
from analysis.files.atomic import is_regular, read_json
from analysis.payload.features import SUFFIX as FEATURES_SUFFIX
from analysis.payload.index import SUFFIX as INDEX_SUFFIX
from analysis.payload.index import is_index
from analysis.payload.intervention_file import load_interventions

_LOG_LINE = re.compile(rb"\d{4}-\d\d-\d\d [\d:,]+ INFO \d+ images, payload ")


@dataclass(frozen=True)
class RunFile:
    """One file that a run reads or writes."""

    name: str
    """For messages: the flag or key, and what the file is to it."""
    path: Path


def check_progress_file(progress: Path | None, plan: ExtractionPlan, *, backup: bool) -> None:
    """Refuse a `--progress` file that the run needs for something else.

    Raises:
        ConfigError: If it is one of the run's other files, or holds something else than progress.
    """
    if progress is None:
        return
    own = RunFile("--progress", progress)
    _refuse_shared([own], [*_read_files(plan), *_written_files(plan, backup=backup)])
    _refuse_images([own], plan)
    refuse_foreign(own, is_progress, "the progress of a run")


def check_written_files(plan: ExtractionPlan, *, backup: bool) -> None:
    """Refuse outputs that would replace something else, by name.

    Raises:
        ConfigError: If two of the run's files are one file, or an output exists and is not of
            the kind that would replace it.
    """
    written = list(_written_files(plan, backup=backup))
    for place, file in enumerate(written):
        _refuse_shared([file], written[:place])
    _refuse_shared(written, list(_read_files(plan)))
    _refuse_images(written, plan)
    for flag, path in (("--output", plan.output), ("--preview", plan.request.preview)):
        if path is not None:
            refuse_foreign(RunFile(flag, path), _is_payload, "a payload")
            sidecar = RunFile(f"{flag} (its .json)", path.with_suffix(".json"))
            refuse_foreign(sidecar, _is_sidecar, "the .json of a payload")
    index = RunFile(f"--output (its {INDEX_SUFFIX})", plan.output.with_suffix(INDEX_SUFFIX))
    refuse_foreign(index, is_index, "the index of a payload")
    log_file = RunFile("--output (its .log)", plan.output.with_suffix(".log"))
    if log_file.path.is_symlink():
        raise ConfigError(
            f"{log_file.name} {log_file.path} is a link; remove it, or choose another --output."
        )
    refuse_foreign(log_file, _is_log, "the log of a run")


def is_progress(path: Path) -> bool:
    """Return whether a run has written this file to say how far it is."""
    return {"state", "done", "pid"} <= (read_json(path) or {}).keys()


def is_report(path: Path) -> bool:
    """Return whether this file is an HTML report of ours."""
    from analysis.show.report.page import GENERATOR  # plotly, only where there is a file

    with path.open("rb") as file:
        return GENERATOR.encode() in file.read(1000)


def check_intervention_files(output: Path | None, progress: Path | None) -> None:
    """Refuse outputs of `intervene` that would replace something else, by name.

    Raises:
        ConfigError: If both are one file, or one exists and is not of the kind that replaces it.
    """
    kinds = (
        ("--output", output, _is_intervention, "a result of `intervene`"),
        ("--progress", progress, is_progress, "the progress of a run"),
    )
    files: list[RunFile] = []
    for flag, path, is_ours, kind in kinds:
        if path is not None:
            file = RunFile(flag, path)
            _refuse_shared([file], files)
            refuse_foreign(file, is_ours, kind)
            files.append(file)


def may_replace(path: Path, is_ours: Callable[[Path], bool]) -> bool:
    """Return whether nothing is lost when `path` is replaced: missing, empty or of our own."""
    try:
        if not path.exists():
            return True
        return is_regular(path) and (path.stat().st_size == 0 or is_ours(path))
    except OSError:
        return False


def refuse_foreign(file: RunFile, is_ours: Callable[[Path], bool], kind: str) -> None:
    """Refuse to replace a file that is not empty and not of the kind that replaces it.

    Raises:
        ConfigError: If it is.
    """
    if not may_replace(file.path, is_ours):
        raise ConfigError(
            f"{file.name} {file.path}: there is a file already, and it is not {kind}. It stays as "
            "it is; move it away or choose another name."
        )


def _written_files(plan: ExtractionPlan, *, backup: bool) -> Iterator[RunFile]:
    for flag, path in (("--output", plan.output), ("--preview", plan.request.preview)):
        if path is not None:
            yield RunFile(flag, path)
            yield RunFile(f"{flag} (its .json)", path.with_suffix(".json"))
    output = plan.output
    yield RunFile("--output (its .log)", output.with_suffix(".log"))
    yield RunFile(f"--output (its {FEATURES_SUFFIX})", output.with_suffix(FEATURES_SUFFIX))
    yield RunFile(f"--output (its {INDEX_SUFFIX})", output.with_suffix(INDEX_SUFFIX))
    if backup:
        for path in (output, output.with_suffix(".json")):
            yield RunFile(f"--backup of {path.name}", path.with_name(f"{path.name}.bak"))


def _read_files(plan: ExtractionPlan) -> Iterator[RunFile]:
    settings = plan.settings
    yield RunFile("--config", settings.config_path)
    if settings.train_csv is not None:
        yield RunFile("data.train_csv", settings.train_csv)
    for kind, paths in (
        ("the backbone weights", [plan.weights.path]),
        ("a head", plan.heads.paths),
    ):
        for path in paths:
            parts = sorted(path.iterdir()) if path.is_dir() else [path]
            yield from (RunFile(kind, part) for part in parts)


def _refuse_shared(written: Sequence[RunFile], others: Sequence[RunFile]) -> None:
    keys = {key: file for file in others for key in _identify(file.path)}
    for file in written:
        for key in _identify(file.path):
            if key in keys:
                raise _shared(file, f"{keys[key].name} ({keys[key].path})")


def _refuse_images(written: Sequence[RunFile], plan: ExtractionPlan) -> None:
    places = {str(file.path.resolve()): file for file in written}
    for entry in plan.images.entries:
        if str(entry.path) in places:
            raise _shared(places[str(entry.path)], "one of the images")


def _shared(file: RunFile, other: str) -> ConfigError:
    return ConfigError(
        f"{file.name} {file.path} is the same file as {other}; choose another name for it."
    )


def _identify(path: Path) -> set[object]:
    """Return what is equal for two names of one file: the path without links, and the inode."""
    keys: set[object] = {str(path.expanduser().resolve())}
    try:
        state = path.stat()
    except OSError:
        return keys
    return keys | {(state.st_dev, state.st_ino)}


def _is_payload(path: Path) -> bool:
    facts, state = read_json(path.with_suffix(".json")) or {}, path.stat()
    if (facts.get("size"), facts.get("mtime_ns")) == (state.st_size, state.st_mtime_ns):
        return _is_sidecar(path.with_suffix(".json"))  # written beside this very file
    from analysis.payload.file import load_payload  # torch, only where nothing else tells

    try:
        load_payload(path)
    except InputError:
        return False
    return True


def _is_intervention(path: Path) -> bool:
    try:
        load_interventions(path)
    except InputError:
        return False
    return True


def _is_sidecar(path: Path) -> bool:
    return {"schema_version", "num_layers"} <= (read_json(path) or {}).keys()


def _is_log(path: Path) -> bool:
    with path.open("rb") as file:
        return _LOG_LINE.match(file.read(200)) is not None
