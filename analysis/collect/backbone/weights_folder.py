"""Which files of a folder hold the weights of a backbone, by name only. Does not import torch."""

from __future__ import annotations

from pathlib import Path

from analysis.errors import CheckpointError
from analysis.files.atomic import is_folder, is_regular

SINGLE_FILES = ("model.safetensors", "pytorch_model.bin", "pytorch_model.safetensors")
INDEX_FILES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WEIGHT_SUFFIXES = (".pt", ".pth", ".ckpt", ".bin", ".safetensors")
_SNAPSHOTS = "snapshots"
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
    return is_folder(folder / _SNAPSHOTS) or any(is_regular(folder / name) for name in names)


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

    Raises:
        CheckpointError: If there is none, or a choice; the message names what is there.
    """
    there = sorted(folder.iterdir())
    files = [path for path in there if path.suffix.lower() in WEIGHT_SUFFIXES and is_regular(path)]
    if len(files) == 1:
        return files
    folders = [path for path in there if path.name.startswith("checkpoint") and is_folder(path)]
    names = ", ".join(path.name for path in (*files, *folders)[:10])
    raise CheckpointError(
        f"{folder}: expected {', '.join(SINGLE_FILES)}, an index of shards or one weights file, "
        f"found {names or 'none of them'}. Name the file or folder itself (--dino-weights-pt)."
    )


def _choose_snapshot(folder: Path, snapshots: Path) -> Path:
    folders = sorted(path for path in snapshots.iterdir() if is_folder(path))
    reference = folder / "refs" / "main"
    if is_regular(reference) and reference.stat().st_size < 200:
        current = reference.read_text(encoding="utf-8", errors="replace").strip()
        folders = [path for path in folders if path.name == current] or folders
    if len(folders) != 1:
        names = ", ".join(path.name for path in folders[:10]) or "none"
        raise CheckpointError(
            f"{snapshots}: expected one snapshot, found {names}. Name the folder of one of them "
            "(--dino-weights-pt)."
        )
    return folders[0]
