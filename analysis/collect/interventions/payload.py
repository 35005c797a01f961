"""Interventions on the network that a payload was made with, over its own images."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from analysis.collect.images.batches import normalize_pixels
from analysis.collect.images.decode import load_image
from analysis.collect.interventions.plan import (
    check_request,
    list_arms,
    read_means,
    result_path,
    spread_evenly,
    to_interventions,
)
from analysis.collect.interventions.request import InterventionRequest
from analysis.collect.interventions.run import measure_interventions
from analysis.collect.plan.measured_network import find_head, find_weights
from analysis.collect.run.devices import choose_batch_size, choose_device, choose_precision
from analysis.collect.run.measured_network import load_measured
from analysis.collect.run.progress import ProgressReporter
from analysis.errors import PayloadError
from analysis.files.roots import allowed_roots
from analysis.language import N_
from analysis.payload.features import fingerprint_statistics
from analysis.payload.intervention_file import (
    InterventionResult,
    load_interventions,
    save_interventions,
)
from analysis.payload.reading import open_payload
from analysis.payload.recorded_files import find_photograph
from analysis.payload.table import StatsTable

MAX_BATCH = 4
"""Images; all block outputs of a batch are kept, to be shared by all interventions.

On the CPU one image at a time: its tensors fit into the processor's cache.
"""


def intervene(
    payload: Path,
    request: InterventionRequest,
    *,
    output: Path | None = None,
    images_dir: str | None = None,
    device: str = "auto",
    precision: str = "auto",
    reporter: ProgressReporter | None = None,
    roots: Sequence[Path] | None = None,
) -> tuple[Path, InterventionResult]:
    """Run a request, or return its result where an equal one was run before.

    Args:
        payload: Names network and images.
        request: What to fix.
        output: Where the result goes; beside the payload, in `interventions/`, where None.
        images_dir: Where the images are here, in place of the payload's `data.root`.
        device: auto, cpu, cuda or cuda:N.
        precision: auto, fp32, tf32 or bf16.
        reporter: Receives the progress, in images.
        roots: Folders that may be read; `allowed_roots` where None.

    Raises:
        PayloadError: If the payload cannot be read, or does not name its images.
        ConfigError: If the request names what the network lacks.
        CheckpointError: If the weights are not here, or are others.
        AdapterError: If the adapter is not here, or is another one.
        ImageError: If an image cannot be read.
    """
    reporter = reporter or ProgressReporter(quiet=True)
    roots = allowed_roots() if roots is None else roots
    reporter.say("preparing", N_("reading the payload"))
    reading = open_payload(payload)
    table, extras = reading.table, reading.extras
    check_request(request, table)
    arms = list_arms(request, table)
    path = output or result_path(payload, table, request, arms)
    if output is None and path.exists():
        return path, load_interventions(path)
    if not extras.image_paths:
        raise PayloadError(
            f"{payload}: does not hold the list of its images (extras), so nothing can be run on "
            "them. Extract this version again, without --no-extras."
        )
    names = [
        extras.image_paths[index]
        for index in spread_evenly(len(extras.image_paths), request.max_images)
    ]
    files = [find_photograph(name, table.meta, images_dir, roots) for name in names]
    place = choose_device(device)
    reporter.say("preparing", N_("loading the network"))
    network = load_measured(
        str(table.backbone.get("backbone_name")),
        find_weights(table, roots),
        find_head(table, roots),
        table.config,
        weights_key=table.run.get("weights_key"),
        weights_sha256=table.run.get("weights_sha256"),
        adapter_sha256=table.run.get("adapter_sha256"),
        device=place,
    )
    reporter.begin(len(files))

    def advance(done: int) -> None:
        reporter.advance(done - reporter.progress.done)

    measured = measure_interventions(
        network.backbone,
        _load(files, table, place, network.backbone.n_prefix_tokens),
        to_interventions(arms, request),
        read_means(table, extras),
        num_images=len(files),
        precision=choose_precision(precision, place),
        check=advance,
    )
    result = InterventionResult(
        arms=tuple(arms),
        images=tuple(names),
        action=request.action.value,
        tokens=tuple(kind.value for kind in request.tokens),
        hold=request.hold,
        payload=payload.name,
        final=measured.final,
        statistics=fingerprint_statistics(table),
        **measured.arrays,
    )
    reporter.say("saving", N_("writing the result"))
    save_interventions(path, result)
    return path, result


def _load(
    files: Sequence[Path], table: StatsTable, device: torch.device, n_prefix: int
) -> Iterator[Tensor]:
    """Yield normalised batches, as the payload's images were prepared."""
    run = table.run
    try:
        width, height = (int(side) for side in run["image_size"])
        mean, std = (tuple(map(float, run["normalization"][key])) for key in ("mean", "std"))
    except (KeyError, TypeError, ValueError):
        raise PayloadError(
            "This payload does not say how its images were prepared (meta.run), so its network "
            "cannot be run the same way. Extract this version again."
        ) from None
    tokens = n_prefix + (width // 16) * (height // 16)
    size = 1 if device.type == "cpu" else min(MAX_BATCH, choose_batch_size(tokens, device))
    for first in range(0, len(files), size):
        images = [load_image(file, (width, height)) for file in files[first : first + size]]
        yield normalize_pixels(torch.stack(images).to(device), mean, std)
