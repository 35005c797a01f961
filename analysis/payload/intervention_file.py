"""The result of interventions on one network: a safetensors file that is read without torch.

Keys, for ``A`` arms, ``N`` images, ``L`` layers and the two token roles (CLS, patch):

* ``relative``: float32 ``[A, N, L, 2]``, ``|| x' - x || / || x ||`` of the block outputs over the
  channels that the arm leaves alone; NaN before the arm's start layer
* ``cosine``: float32 ``[A, N, L, 2]``, mean over tokens of the cosine of ``x'`` and ``x`` over the
  same channels; NaN likewise
* ``token_norm``: float32 ``[A, N, L, 2]``, mean L2 norm of ``x'`` over that of ``x``, all channels
* ``final_relative``, ``final_cosine``: float32 ``[A, N, 2]``, of the normed CLS token and of the
  mean normed patch token, all channels
* ``final``: float32 ``[1 + A, N, 2, C]``, those two vectors, first without an intervention; only
  where `InterventionResult.final` says so

The header holds one JSON object, ``about``: the arms, the images, and what was run.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from glob import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from analysis.errors import PayloadError
from analysis.files.atomic import replace_file
from analysis.files.writing import make_folder
from analysis.language import _
from analysis.payload.features import fingerprint_statistics
from analysis.payload.stored_tensors import open_tensors
from analysis.payload.table import StatsTable

FOLDER = "interventions"
"""Beside the payload: where results are kept."""

FORMAT = 1
MAX_BYTES = 2**28
MAX_ARMS = 4096

Floats = NDArray[np.float32]
MEASURES = ("relative", "cosine", "token_norm")
FINAL_MEASURES = ("final_relative", "final_cosine")


@dataclass(frozen=True)
class Arm:
    """One intervention that was run on every image."""

    layer: int
    """The first block whose output is changed."""
    channels: tuple[int, ...]
    is_control: bool
    """Whether the channels were drawn at random from the middle of the distribution."""


@dataclass(frozen=True)
class InterventionResult:
    """What interventions changed; arrays as the module describes them."""

    arms: tuple[Arm, ...]
    images: tuple[str, ...]
    """Relative paths, as the payload names them."""
    action: str
    tokens: tuple[str, ...]
    hold: bool
    """Whether the channels stay fixed at every later block output as well."""
    payload: str
    """File name of the payload whose network was run."""
    relative: Floats
    cosine: Floats
    token_norm: Floats
    final_relative: Floats
    final_cosine: Floats
    final: Floats | None = None
    statistics: str = ""
    """`analysis.payload.features.fingerprint_statistics` of that payload; empty where unknown."""

    @property
    def num_layers(self) -> int:
        """Number of blocks."""
        return self.relative.shape[2]

    @property
    def is_sweep(self) -> bool:
        """Whether several interventions were run: each channel alone, from each layer on."""
        return len(self.select(control=False)) > 1

    def select(self, *, control: bool, layer: int | None = None) -> list[int]:
        """Return the positions of the arms that are controls or not, of one start layer or all."""
        return [
            position
            for position, arm in enumerate(self.arms)
            if arm.is_control is control and layer in (None, arm.layer)
        ]


def save_interventions(path: Path, result: InterventionResult) -> None:
    """Write the result, complete or not at all.

    Raises:
        OSError: If the file cannot be written.
    """
    arrays = {name: getattr(result, name) for name in (*MEASURES, *FINAL_MEASURES)}
    if result.final is not None:
        arrays["final"] = result.final
    about = {
        "format": FORMAT,
        "arms": [asdict(arm) for arm in result.arms],
        "images": list(result.images),
        "action": result.action,
        "tokens": list(result.tokens),
        "hold": result.hold,
        "payload": result.payload,
        "statistics": result.statistics,
    }
    make_folder(path.parent)
    with replace_file(path) as file:
        file.write(
            save(
                {name: np.ascontiguousarray(array) for name, array in arrays.items()},
                metadata={"about": json.dumps(about)},
            )
        )


def load_interventions(path: Path) -> InterventionResult:
    """Read a result and check its shapes.

    Raises:
        PayloadError: If the file cannot be read or its arrays do not fit its header.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise PayloadError(
                _("{path}: larger than {most} MB. Run it again.").format(
                    path=path, most=MAX_BYTES // 2**20
                )
            )
        file = open_tensors(path)
        about = json.loads(file.metadata["about"])
        return _build(about, {name: file.read(name) for name in file.tensors})
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise PayloadError(
            _("{path}: is no result of `intervene` ({error}). Run the intervention again.").format(
                path=path, error=error
            )
        ) from error


def list_results(payload: Path, table: StatsTable) -> list[InterventionResult]:
    """Return the results that are kept beside a payload and were made with it, oldest first.

    What cannot be read, or was made with another payload of that name, is left out.
    """
    statistics = fingerprint_statistics(table)
    files = []
    with contextlib.suppress(OSError):
        found = (payload.parent / FOLDER).glob(f"{escape(payload.stem)}-*.safetensors")
        files = sorted(found, key=lambda file: file.stat().st_mtime_ns)
    results = []
    for file in files:
        with contextlib.suppress(PayloadError):
            result = load_interventions(file)
            if result.statistics == statistics:
                results.append(result)
    return results


def _build(about: Mapping[str, Any], arrays: Mapping[str, Floats]) -> InterventionResult:
    if about["format"] != FORMAT or len(about["arms"]) > MAX_ARMS:
        raise ValueError(f"format {about['format']}, {len(about['arms'])} arms")
    arms = tuple(
        Arm(int(arm["layer"]), tuple(map(int, arm["channels"])), bool(arm["is_control"]))
        for arm in about["arms"]
    )
    images = tuple(map(str, about["images"]))
    for name in (*MEASURES, *FINAL_MEASURES):
        shape = arrays[name].shape
        fits = shape[:2] == (len(arms), len(images)) and shape[-1] == 2
        if not fits or arrays[name].dtype != np.float32:
            raise ValueError(f"{name} is {arrays[name].dtype} {shape}")
    vectors = arrays.get("final")
    if vectors is not None:
        fits = vectors.ndim == 4 and vectors.shape[:3] == (1 + len(arms), len(images), 2)
        if not fits or vectors.dtype != np.float32:
            raise ValueError(f"final is {vectors.dtype} {vectors.shape}")
    return InterventionResult(
        arms=arms,
        images=images,
        action=str(about["action"]),
        tokens=tuple(map(str, about["tokens"])),
        hold=bool(about["hold"]),
        payload=str(about["payload"]),
        final=vectors,
        statistics=str(about.get("statistics", "")),
        **{name: arrays[name] for name in (*MEASURES, *FINAL_MEASURES)},
    )
