"""What interventions a request comes to, from the payload's numbers."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from analysis.collect.interventions.controls import draw_controls
from analysis.collect.interventions.edit import Intervention, Means
from analysis.collect.interventions.request import InterventionRequest, TokenKind
from analysis.errors import ConfigError
from analysis.payload.extras import ExtraTable
from analysis.payload.intervention_file import FOLDER, Arm
from analysis.payload.table import StatsTable
from analysis.vocabulary import Representation, Statistic, TokenRole


def check_request(request: InterventionRequest, table: StatsTable) -> None:
    """Refuse what cannot be run.

    Raises:
        ConfigError: If the layer or a number is missing or out of range.
    """
    if request.layer is None and not request.sweep:
        raise ConfigError("--layer: say from which layer on, or ask for a --sweep of all layers.")
    if request.layer is not None:
        table.position(request.layer)
    for flag, value, least in (
        ("--top", request.top, 1),
        ("--max-images", request.max_images, 1),
        ("--draws", request.draws, 0),
    ):
        if value < least:
            raise ConfigError(f"{flag} {value}: must be {least} or more.")
    wrong = [c for c in request.channels or () if not 0 <= c < table.channels]
    if wrong or request.channels == ():
        named = wrong[0] if wrong else "none"
        raise ConfigError(f"--channels {named}: choose from 0 to {table.channels - 1}.")


def choose_channels(request: InterventionRequest, table: StatsTable) -> tuple[int, ...]:
    """Return the channels to fix: those named, or those of the largest max |x|."""
    if request.channels is not None:
        return tuple(dict.fromkeys(request.channels))
    sizes = _sizes(table)
    if request.layer is not None:
        score = sizes[table.position(request.layer)]
    else:
        typical = np.maximum(np.median(sizes, axis=1, keepdims=True), np.finfo(np.float32).tiny)
        score = (sizes / typical).max(axis=0)
    return tuple(np.argsort(-score, kind="stable")[: request.top].tolist())


def list_arms(request: InterventionRequest, table: StatsTable) -> list[Arm]:
    """Return what is run: the chosen channels first, then the controls of each start layer."""
    chosen, sizes = choose_channels(request, table), _sizes(table)
    if not request.sweep:
        layer = int(request.layer or 0)
        controls = draw_controls(sizes[table.position(layer)], chosen, request.draws)
        return [Arm(layer, chosen, False), *(Arm(layer, drawn, True) for drawn in controls)]
    layers = table.layers.tolist()
    if request.layer is not None:
        layers = [layer for layer in layers if layer >= request.layer]
    arms = [Arm(layer, (channel,), False) for channel in chosen for layer in layers]
    for layer in layers:
        drawn = draw_controls(sizes[table.position(layer)], chosen, request.draws, size=1)
        arms += [Arm(layer, channels, True) for channels in drawn]
    return arms


def to_interventions(arms: list[Arm], request: InterventionRequest) -> list[Intervention]:
    """Return the arms with what all of them share."""
    return [
        Intervention(arm.layer, arm.channels, request.tokens, request.action, request.hold)
        for arm in arms
    ]


def read_means(table: StatsTable, extras: ExtraTable) -> Means:
    """Return each channel's mean over the data set, float32 ``[depth, channels]`` by kind."""
    means: dict[TokenKind, NDArray[np.float32]] = {
        TokenKind.CLS: table.over_depth(Representation.PRE, TokenRole.CLS, Statistic.MEAN),
        TokenKind.PATCHES: table.over_depth(Representation.PRE, TokenRole.PATCH, Statistic.MEAN),
    }
    registers = [extras.storage(Representation.PRE, role) for role in extras.storage_roles]
    present = [values[:, 0] for values in registers if values is not None]
    if present:
        means[TokenKind.REGISTERS] = np.stack(present).mean(axis=0, dtype=np.float32)
    return {kind: torch.from_numpy(values.copy()) for kind, values in means.items()}


def result_path(
    payload: Path, table: StatsTable, request: InterventionRequest, arms: list[Arm]
) -> Path:
    """Return where the result of a request is kept: equal requests share a file."""
    facts: Mapping[str, object] = {
        "run": {
            key: table.run.get(key)
            for key in ("weights_sha256", "adapter_sha256", "dataset_fingerprint", "created")
        },
        "images": table.num_images,
        "arms": [asdict(arm) for arm in arms],
        "request": [
            *request.tokens,
            request.action,
            request.hold,
            request.max_images,
        ],
    }
    digest = hashlib.sha256(json.dumps(facts, default=str).encode()).hexdigest()[:16]
    return payload.parent / FOLDER / f"{payload.stem}-{digest}.safetensors"


def spread_evenly(total: int, wanted: int) -> list[int]:
    """Return up to `wanted` indices of `total` items, evenly spaced."""
    count = min(total, wanted)
    return [index * total // count for index in range(count)] if count else []


def _sizes(table: StatsTable) -> NDArray[np.float32]:
    return table.over_depth(Representation.PRE, TokenRole.PATCH, Statistic.MAX_ABS)
