"""Run pictures through the network of a payload and keep the maps of every layer. A process.

``python -m analysis.maps.token_maps FOLDER`` computes the requests in the folder (`runs`),
all to the same networks, on the CPU. Block outputs come one by one and are reduced at once.
"""

from __future__ import annotations

import os
import sys
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from analysis.backbone.adapters import attach_adapter
from analysis.backbone.checkpoints import WeightsInfo, load_backbone
from analysis.backbone.vit import DinoVisionTransformer
from analysis.errors import AdapterError, CheckpointError, InputError
from analysis.image_files import load_image
from analysis.images import normalize
from analysis.jobs.locks import locked
from analysis.maps.request import Arm, MapRequest, maps_folder
from analysis.maps.runs import list_requests, progress_file
from analysis.maps.store import TokenMaps, save_maps
from analysis.progress import ProgressReporter
from analysis.vocabulary import LAYER_NORM_EPS

IDLE_S = 60.0
"""How long the process waits for another request."""

POLL_INTERVAL_S = 0.1

SMALL_PARAMETERS = 50_000_000
"""Smaller networks run on one thread: hardly slower on an idle machine, and several times faster on
a busy one, where threads wait for each other in every layer."""

MAX_KEPT_PARAMETERS = 500_000_000
"""Larger networks are loaded anew for each request: memory is for others too."""

Networks: TypeAlias = dict[Arm, DinoVisionTransformer]

COMPONENTS = 3
MAX_EXACT = 512
"""Of larger matrices the components are found by iteration, to a few thousandths."""

CLIPPED = 0.01
"""Share of the patches at either end of a component that get its full colour."""


def compute_missing(
    request: MapRequest, reporter: ProgressReporter, networks: Networks | None = None
) -> None:
    """Compute and keep all maps of the request that are not kept yet.

    Args:
        request: What to compute.
        reporter: Told about every picture.
        networks: Loaded before, and kept for later requests to the same networks.

    Raises:
        InputError: If weights, head or a picture cannot be used, or are not those measured.
    """
    networks = {} if networks is None else networks
    missing = request.missing()
    reporter.begin(total=len(missing))
    for arm in request.arms:
        pictures = [picture for picture, its_arm in missing if its_arm is arm]
        if not pictures:
            continue
        if arm not in networks:
            reporter.say("running", f"loading the network ({arm.value})")
            networks[arm] = load_arm(request, arm)
        size = sum(weight.numel() for weight in networks[arm].parameters())
        for picture in pictures:
            reporter.say("running", f"{picture.path.name} ({arm.value})")
            pixels = normalize(
                load_image(picture.path, request.image_size)[None], request.mean, request.std
            )
            with _one_thread() if size < SMALL_PARAMETERS else nullcontext():
                maps = compute_maps(networks[arm], pixels, request.channels)
            save_maps(request.result_path(picture, arm), maps)
            reporter.advance(1)
        if size > MAX_KEPT_PARAMETERS:
            del networks[arm]


def load_arm(request: MapRequest, arm: Arm) -> DinoVisionTransformer:
    """Load the backbone, with the adapter where the arm says so; refuse what was not measured.

    Raises:
        CheckpointError: If the weights cannot be used or are not those of the payload.
        AdapterError: If the adapter cannot be attached or is not that of the payload.
    """
    loaded: list[WeightsInfo] = []

    def build() -> DinoVisionTransformer:
        backbone, info = load_backbone(request.backbone, request.weights)
        loaded.append(info)
        return backbone

    head = request.head if arm is Arm.ADAPTER else None
    backbone, adapter = attach_adapter(build, head, request.config)
    if request.weights_sha256 not in (None, loaded[-1].sha256):
        raise CheckpointError(
            f"{request.weights}: these are not the weights that the payload was made with. "
            "Extract this version again, or put the old weights back."
        )
    if adapter.lora_error:
        raise AdapterError(adapter.lora_error)
    if head is not None and request.adapter_sha256 not in (None, adapter.sha256):
        raise AdapterError(
            f"{head}: this is not the adapter that the payload was made with. "
            "Extract this version again, or put the old head back."
        )
    return backbone


@torch.inference_mode()
def compute_maps(
    backbone: DinoVisionTransformer, pixels: Tensor, channels: tuple[int, ...] | None = None
) -> TokenMaps:
    """Run one picture and reduce every block output to what is kept.

    Args:
        backbone: In evaluation mode.
        pixels: Normalised, float32 ``[1, 3, H, W]``.
        channels: Channels to keep; None keeps all.
    """
    kept = list(range(backbone.embed_dim)) if channels is None else list(channels)
    prefix, grid = backbone.n_prefix_tokens, backbone.patch_grid(*pixels.shape[-2:])
    layers: dict[str, list[Any]] = {name: [] for name in _STACKED}
    previous: list[Tensor | None] = [None] * 3
    outputs = backbone.forward_blocks(pixels)
    next(outputs)  # what enters the first block
    for output in outputs:
        tokens = output[0].float()
        held = tokens[:, kept].T
        scale = held.abs().amax(dim=1).clamp_min(torch.finfo(torch.float32).tiny)
        layers["tokens"].append((held / scale[:, None]).half())
        layers["scale"].append(scale)
        layers["center"].append(tokens.mean(dim=1))
        variance = tokens.var(dim=1, correction=0)
        layers["inverse_std"].append((variance + LAYER_NORM_EPS).rsqrt())
        views = list(_representations(backbone, tokens))
        layers["norms"].append(torch.stack([view.norm(dim=1) for view in views]))
        colors, explained = [], []
        for place, view in enumerate(views):
            scores, share = _principal_components(view[prefix:], previous[place])
            previous[place] = scores
            colors.append(_to_colors(scores).reshape(*grid, COMPONENTS))
            explained.append(share)
        layers["colors"].append(torch.stack(colors))
        layers["explained"].append(torch.stack(explained))
    arrays = {name: torch.stack(parts).numpy() for name, parts in layers.items()}
    for name in ("norms", "colors", "explained"):  # by representation first
        arrays[name] = np.ascontiguousarray(arrays[name].swapaxes(0, 1))
    norm, cls_norm = backbone.norm, backbone.cls_norm or backbone.norm
    return TokenMaps(
        channels=np.array(kept, dtype=np.int32),
        grid=np.array(grid, dtype=np.int32),
        gamma=torch.stack([cls_norm.weight[kept], norm.weight[kept]]).numpy(),
        beta=torch.stack([cls_norm.bias[kept], norm.bias[kept]]).numpy(),
        **arrays,
    )


_STACKED = ("tokens", "scale", "center", "inverse_std", "norms", "colors", "explained")


def _representations(backbone: DinoVisionTransformer, tokens: Tensor) -> Iterator[Tensor]:
    """Yield ``[T, C]`` as pre, per_layer_ln and global_ln."""
    yield tokens
    yield F.layer_norm(tokens, tokens.shape[-1:], eps=LAYER_NORM_EPS)
    yield backbone.apply_norm(tokens[None])[0]


def _principal_components(patches: Tensor, previous: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return scores ``[N, 3]`` of the first principal components and their shares of the variance.

    A component's sign is free: it follows the layer before, so that colours do not flip through
    depth; at first its largest loading is positive.
    """
    centered = patches - patches.mean(dim=0)
    loadings = F.pad(_leading_directions(centered), (0, COMPONENTS))[:, :COMPONENTS]
    scores = centered @ loadings
    total = centered.square().sum().clamp_min(torch.finfo(torch.float32).tiny)
    share = scores.square().sum(dim=0) / total
    if previous is None:
        largest = loadings.gather(0, loadings.abs().argmax(dim=0, keepdim=True))[0]
        sign = torch.where(largest < 0, -1.0, 1.0)
    else:
        sign = torch.where((scores * previous).sum(dim=0) < 0, -1.0, 1.0)
    return scores * sign, share


def _leading_directions(centered: Tensor) -> Tensor:
    """Return the first principal directions of ``[N, C]``, columns of ``[C, <= 8]``."""
    if min(centered.shape) <= MAX_EXACT:
        with _one_thread():
            return torch.linalg.svd(centered, full_matrices=False).Vh[:COMPONENTS].T
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return torch.svd_lowrank(centered, q=COMPONENTS + 5, niter=6)[2][:, :COMPONENTS]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Run small work on one thread, since several would wait for each other."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _to_colors(scores: Tensor) -> Tensor:
    low, high = torch.quantile(scores, torch.tensor([CLIPPED, 1 - CLIPPED]), dim=0)
    width = (high - low).clamp_min(torch.finfo(torch.float32).tiny)
    return ((scores - low) / width).clamp(0, 1).mul(255).round().to(torch.uint8)


def main(folder: Path) -> None:
    """Compute the requests of a folder until none has come for a while."""
    networks: Networks = {}
    parent, idle_since = os.getppid(), time.monotonic()
    while time.monotonic() - idle_since < IDLE_S:
        waiting = list_requests(folder)
        for path in waiting:
            _serve(path, networks)
            idle_since = time.monotonic()
        if not waiting and os.getppid() != parent:
            return  # the server is gone
        time.sleep(POLL_INTERVAL_S)


def _serve(path: Path, networks: Networks) -> None:
    """Compute one request and note how it ended."""
    reporter = ProgressReporter(progress_file(path.parent, path.stem), quiet=True)
    try:
        reporter.say("waiting", "waiting for other maps")
        with locked(maps_folder() / "turn.lock"):
            compute_missing(MapRequest.from_json(path.read_text()), reporter, networks)
    except InputError as error:
        reporter.end("failed", error=str(error))
    except Exception as error:  # the process goes on with the next request
        traceback.print_exc()
        reporter.end("failed", error=f"{type(error).__name__}: {error}")
    else:
        reporter.end("done")
    path.unlink(missing_ok=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
