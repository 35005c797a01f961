"""The payload file: save atomically, load safely. `analysis.payload.contract` has its keys.

Everything but the arrays is of plain types, so that `torch.load(weights_only=True)` reads the file
anywhere.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from analysis.errors import ConfigError, PayloadError
from analysis.files.atomic import replace_file
from analysis.files.safe_load import load_torch_file
from analysis.files.writing import create_file, hold_folder, make_folder
from analysis.payload.contract.payload import SIDECAR
from analysis.payload.schema import validate_payload
from analysis.vocabulary import PAYLOAD_NAME, SCHEMA_VERSION

MAX_BYTES = 2**29
"""Of a payload, unpacked. The largest backbone's takes 120 MB with all extras."""


def save_payload(
    payload: Mapping[str, Any],
    path: Path,
    *,
    backup: bool = False,
    wait: Callable[[], object] | None = None,
) -> None:
    """Write the payload and the small JSON beside it, each complete or not at all.

    A reader sees the old files or the new ones, never a part; on failure what stood at `path` is
    untouched.

    Args:
        payload: What `collect_payload` returns.
        path: Where it goes.
        backup: Whether the files that stood there are kept as `<name>.bak`.
        wait: Called when the payload is written, before it takes its place; where it raises, the
            payload does not.

    Raises:
        ConfigError: If the folder cannot be made or written to, or the disk is full.
    """
    try:
        make_folder(path.parent)
        with replace_file(path, backup=backup) as file:
            torch.save(dict(payload), file)
            if wait is not None:
                wait()
        sidecar = json.dumps(build_sidecar(payload, path), indent=1)
        with replace_file(path.with_suffix(".json"), backup=backup) as file:
            file.write(sidecar.encode())
    except OSError as error:
        raise ConfigError(
            f"{path}: cannot be written ({error.strerror or error}). "
            "Choose another --output or make room."
        ) from error


def prepare_output(path: Path) -> Path:
    """Make the folder of `path` and check, before hours of work, that it can be written to.

    Raises:
        ConfigError: If it cannot, or `path` is a folder or ends in .json (the sidecar's place).
    """
    if path.is_dir() or path.suffix == ".json":
        raise ConfigError(f"--output {path}: must be a file name, such as {PAYLOAD_NAME}.")
    try:
        with hold_folder(path.parent, make=0o777) as folder:
            probe = f".{path.name}.{os.getpid()}.tmp"
            create_file(folder, probe).close()
            os.unlink(probe, dir_fd=folder)
    except OSError as error:
        raise ConfigError(
            f"--output {path}: its folder cannot be written to ({error.strerror or error}). "
            "Choose another path or change its permissions."
        ) from error
    return path


def build_sidecar(payload: Mapping[str, Any], path: Path) -> dict[str, Any]:
    """Return the facts that label the payload at `path` without reading it (no tensors)."""
    meta = payload["meta"]
    run, backbone, counts, config = (
        meta.get("run", {}),
        meta["backbone"],
        meta["counts"],
        meta["config"],
    )
    version = config.get("version")
    state = path.stat()
    facts = {
        "schema_version": SCHEMA_VERSION,
        "version": None if version is None else str(version),
        "train_all": bool((config.get("train_all") or {}).get("enabled")),
        "backbone": backbone["backbone_name"],
        "used_lora": backbone["used_lora"],
        "lora_error": backbone["lora_error"],
        "num_images": counts["num_images"],
        "num_layers": counts["num_layers"],
        "embedding_dim": counts["embedding_dim"],
        "warnings": len(run.get("warnings", [])),
        "size": state.st_size,
        "mtime_ns": state.st_mtime_ns,
    }
    copied = {key: run[key] for key in SIDECAR.fields if key not in facts and key in run}
    return facts | copied


def load_payload(path: Path, *, max_bytes: int = MAX_BYTES) -> dict[str, Any]:
    """Read a payload without executing anything in it, and check that it is one.

    Args:
        path: The `.pt` file.
        max_bytes: Refuse a file that unpacks to more than this.

    Raises:
        PayloadError: If the file cannot be read, needs more than plain types and tensors, or does
            not have the specification's structure; the message names the key.
    """
    payload = load_torch_file(
        path, kind="payload", error=PayloadError, max_bytes=max_bytes, checksums=True
    )
    validate_payload(payload, path)
    return payload
