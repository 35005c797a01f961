"""Which files of a folder hold the weights of a backbone, by name only. Does not import torch."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from analysis.errors import CheckpointError
from analysis.files.atomic import is_folder, is_regular
from analysis.files.isolated import isolated
from analysis.files.own_state import read_small

SINGLE_FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.safetensors")
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
MOST_SHARDS = 1000
_SNAPSHOTS = "snapshots"
_SHARD = re.compile(r"(.+)-(\d{5})-of-(\d{5})(\.safetensors|\.bin|\.pth?)")
_BESIDE = re.compile(r"(?:training_args|optimizer|scheduler|scaler|rng_state|random_states).*")
"""Stems of files that a trainer saves beside the weights, under suffixes of weights."""
_CONVERSIONS = {
    ".metadata": (
        "a distributed checkpoint of torch",
        "python -m torch.distributed.checkpoint.format_utils dcp_to_torch {folder} weights.pt",
    ),
    "zero_to_fp32.py": (
        "a checkpoint of DeepSpeed",
        "python {folder}/zero_to_fp32.py {folder} converted",
    ),
}
"""What marks a folder that only its own tool can put together, what it is, and the command."""


def holds_weights(folder: Path) -> bool:
    """Tell whether a folder itself is what a library saves a model as."""
    if not is_folder(folder):
        return False
    names = (*SINGLE_FILES, *INDEX_FILES, *_CONVERSIONS)
    if is_folder(folder / _SNAPSHOTS) or any(is_regular(folder / name) for name in names):
        return True
    try:
        return any(_SHARD.fullmatch(path.name) and is_regular(path) for path in folder.iterdir())
    except OSError:
        return False


def is_training_state(path: Path) -> bool:
    """Tell by its name whether a file is what a trainer saves beside the weights."""
    return bool(_BESIDE.fullmatch(path.stem))


def find_model_folder(folder: Path) -> Path:
    """Return the folder with the files: the one snapshot, where this is one of the hub's cache.

    One file of a distributed checkpoint stands for its folder.

    Raises:
        CheckpointError: If there are several snapshots and none is the current one, or the folder
            has to be converted first. The message holds the command.
    """
    snapshots = folder / _SNAPSHOTS
    if folder.suffix == ".distcp" and is_regular(folder):
        folder = folder.parent
    if is_folder(snapshots):
        folder = _choose_snapshot(folder, snapshots)
    for marker, (kind, command) in _CONVERSIONS.items():
        if is_regular(folder / marker) and not any(is_regular(folder / x) for x in SINGLE_FILES):
            raise CheckpointError(
                f"{folder}: this is {kind}. Make one file of it with "
                f"`{command.format(folder=folder)}`, and name that file (--dino-weights-pt)."
            )
    return folder


def list_loose_files(folder: Path) -> list[Path]:
    """Return the one weights file of a folder that no library saved, as a training run leaves it.

    Shards without their index are one too, where their names count them: `x-00001-of-00003.bin`.

    Raises:
        CheckpointError: If there is none, or a choice, or a shard is missing; the message names
            what is there.
    """
    there = sorted(folder.iterdir())
    files = [
        path
        for path in there
        if path.suffix.lower() in WEIGHT_SUFFIXES
        and not is_training_state(path)
        and is_regular(path)
    ]
    if len(files) == 1:
        return list_shards(files[0])
    if len({_name_set(path) for path in files}) == 1 and _name_set(files[0]):
        return list_shards(files[0])
    folders = [path for path in there if path.name.startswith("checkpoint") and is_folder(path)]
    names = ", ".join(path.name for path in (*files, *folders)[:10])
    raise CheckpointError(
        f"{folder}: expected {', '.join(SINGLE_FILES)}, an index of shards or one weights file, "
        f"found {names or 'none of them'}. Name the file or folder itself (--dino-weights-pt)."
    )


def list_shards(path: Path) -> list[Path]:
    """Return a file, or with the name of one of several shards all of them, in order.

    Raises:
        CheckpointError: If a shard is missing.
    """
    match = _SHARD.fullmatch(path.name)
    if not match or not 0 < int(match[3]) <= MOST_SHARDS:
        return [path]
    names = [f"{match[1]}-{i + 1:05}-of-{match[3]}{match[4]}" for i in range(int(match[3]))]
    shards = [path.parent / name for name in names]
    missing = [shard.name for shard in shards if not is_regular(shard)]
    if missing:
        raise CheckpointError(
            f"{path}: this is one of {len(shards)} shards, and {_join(missing)} is not beside it. "
            "Copy or download all of them into one folder."
        )
    return shards


def _name_set(path: Path) -> tuple[str, ...] | None:
    """Return what the shards of one model share in their names; None of another file."""
    match = _SHARD.fullmatch(path.name)
    return (match[1], match[3], match[4]) if match else None


def _join(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:5])


@isolated("default branch")
def _read_reference(path: str) -> str:
    """Return the commit that a branch of a hub cache stands at; empty where it cannot be read."""
    try:
        return read_small(Path(path).resolve(), 200).decode(errors="replace").strip()
    except OSError:
        return ""


def _choose_snapshot(folder: Path, snapshots: Path) -> Path:
    folders = sorted(path for path in snapshots.iterdir() if is_folder(path))
    reference = folder / "refs" / "main"
    if is_regular(reference):
        current = _read_reference(str(reference))
        folders = [path for path in folders if path.name == current] or folders
    if len(folders) != 1:
        names = ", ".join(path.name for path in folders[:10]) or "none"
        raise CheckpointError(
            f"{snapshots}: expected one snapshot, found {names}. Name the folder of one of them "
            "(--dino-weights-pt)."
        )
    return folders[0]
