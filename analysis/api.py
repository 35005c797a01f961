"""The package from Python: measure your own model, save and load payloads, compare them.

::

    from analysis import compare, extract, load_payload, save_payload

    payload = extract(model, loader, blocks=model.blocks, norm=model.norm, n_storage_tokens=4)
    save_payload(payload, "outputs/b/feature_stats/dinov3_feature_stats.pt")
    comparison = compare(load_payload("a.pt"), payload)

`extract` takes any model whose blocks return tokens ``[B, T, C]`` in the order CLS, storage
tokens, patches: it listens to the blocks while the model runs as it always does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeGuard, cast

import torch
from torch import Tensor, nn

from analysis.collect.interventions.payload import intervene as _intervene
from analysis.collect.interventions.request import InterventionRequest
from analysis.collect.statistics.collector import NormParameters, StatisticsCollector
from analysis.payload.contract.payload import Payload
from analysis.payload.file import load_payload as _load_payload
from analysis.payload.file import save_payload as _save_payload
from analysis.payload.intervention_file import InterventionResult
from analysis.payload.schema import validate_payload
from analysis.read.compare.comparison import compare
from analysis.vocabulary import LAYER_NORM_EPS, SCHEMA_VERSION, TOOL_VERSION

__all__ = [
    "InterventionRequest",
    "compare",
    "extract",
    "intervene",
    "load_payload",
    "save_payload",
]


def extract(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    blocks: Sequence[nn.Module],
    norm: nn.LayerNorm | None = None,
    n_storage_tokens: int = 0,
    forward: Callable[[Tensor], Any] | None = None,
    name: str | None = None,
    version: str | None = None,
    extras: bool = True,
) -> Payload:
    """Measure the block outputs of a model over batches of images, and return a payload.

    The model runs on its own device, in evaluation mode (every module's mode is restored
    afterwards) and without gradients; autocast around the call applies to the model, never to the
    statistics.

    Args:
        model: Any module; its parameters tell the device.
        batches: Float images ``[B, 3, H, W]``, normalised as the model expects, or tuples, lists
            that begin with them, or dicts that hold them (``image``, ``pixel_values``, ...), as
            data loaders yield.
        blocks: The blocks in order; each returns tokens ``[B, 1 + S + N, C]``, or a tuple that
            begins with them. Each must run exactly once per forward pass.
        norm: The shared output LayerNorm for `global_ln`; None takes one without affine
            parameters, which makes `global_ln` equal to `per_layer_ln`. With another epsilon than
            1e-5, `global_ln` is taken with 1e-5 and the payload warns of it.
        n_storage_tokens: Tokens between CLS and the patches (registers); counted as neither.
        forward: Runs the model on one batch; ``model(images)`` by default.
        name: Backbone name in the payload; the class name by default.
        version: Version in the payload.
        extras: Whether to collect the payload's ``extras`` too.

    Raises:
        ValueError: If there is no batch, a batch holds no images, or a block did not run.
        StatisticsError: If a layer has no finite token.
    """
    run = forward or model
    device = next(model.parameters()).device
    collector: StatisticsCollector | None = None
    num_images = num_batches = 0

    def listen(layer: int) -> Callable[[nn.Module, Any, Any], None]:
        def hook(_module: nn.Module, _inputs: Any, output: Any) -> None:
            nonlocal collector
            tokens = output if isinstance(output, Tensor) else output[0]
            if collector is None:
                collector = StatisticsCollector(
                    len(blocks), tokens.shape[-1], n_storage_tokens, device, extras=extras
                )
                _begin(collector, num_images, len(tokens))
            with torch.autocast(device.type, enabled=False):
                collector.observe(layer, tokens.float())

        return hook

    handles = [block.register_forward_hook(listen(layer)) for layer, block in enumerate(blocks)]
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            for batch in batches:
                images = _images_of(batch).to(device)
                if collector is not None:
                    _begin(collector, num_images, len(images))
                run(images)
                if collector is None:
                    raise ValueError("no block ran; are `blocks` the modules that the model calls?")
                collector.commit_batch()
                num_images += len(images)
                num_batches += 1
    finally:
        for module, training in modes:
            module.training = training
        for handle in handles:
            handle.remove()
    if collector is None:
        raise ValueError("`batches` held no batch")
    statistics = collector.finalize(_norm_parameters(norm, collector.channels, device))
    payload: Payload = {
        "meta": {
            "project_dir": str(Path.cwd()),
            "config": {} if version is None else {"version": version},
            "backbone": {
                "backbone_name": name or type(model).__name__,
                "dino_weights_pt": None,
                "head_weights_base": None,
                "first_head_path": None,
                "used_lora": False,
                "lora_error": None,
            },
            "counts": {
                "num_images": num_images,
                "num_batches": num_batches,
                "num_layers": len(blocks),
                "embedding_dim": collector.channels,
                "n_storage_tokens": n_storage_tokens,
            },
            "run": {
                "schema_version": SCHEMA_VERSION,
                "tool_version": TOOL_VERSION,
                "torch_version": str(torch.__version__),
                "created": datetime.now(UTC).isoformat(timespec="seconds"),
                "device": str(device),
                "warnings": _warn_of_epsilon(norm),
                "nonfinite_tokens": statistics.nonfinite_tokens,
            },
        },
        "layers": statistics.as_layers(),
    }
    if statistics.extras is not None:
        payload["extras"] = statistics.extras
    validate_payload(payload, Path("extract()"))
    return payload


def load_payload(path: str | Path) -> Payload:
    """Read a payload file without executing anything in it, and check that it is one.

    Raises:
        PayloadError: If it is not; the message names the key.
    """
    return cast(Payload, _load_payload(Path(path)))


def save_payload(payload: Payload, path: str | Path) -> None:
    """Write a payload and the JSON beside it; the dashboard finds it in a folder `feature_stats`.

    Raises:
        ConfigError: If the folder cannot be made or written to, or the disk is full.
    """
    _save_payload(payload, Path(path))


def _begin(collector: StatisticsCollector, first: int, images: int) -> None:
    collector.begin_batch(torch.arange(first, first + images), torch.ones(images, dtype=torch.bool))


_IMAGE_KEYS = ("image", "images", "pixel_values", "img", "imgs", "x", "input", "inputs", "pixels")


def _images_of(batch: Any) -> Tensor:
    if isinstance(batch, Mapping):
        named = [batch[key] for key in _IMAGE_KEYS if key in batch]
        images = next((value for value in [*named, *batch.values()] if _are_images(value)), None)
        content = f"a dict with the keys {', '.join(map(str, batch))}"
    else:
        images = batch[0] if isinstance(batch, tuple | list) and batch else batch
        content = f"a {type(images).__name__}"
    if _are_images(images):
        return images
    if isinstance(images, Tensor):
        content = f"a tensor of shape {list(images.shape)}"
    raise ValueError(
        f"a batch is {content}; expected images [B, 3, H, W], or a tuple, list or dict with them"
    )


def _are_images(value: Any) -> TypeGuard[Tensor]:
    return isinstance(value, Tensor) and value.ndim == 4 and value.is_floating_point()


def _norm_parameters(
    norm: nn.LayerNorm | None, channels: int, device: torch.device
) -> NormParameters:
    norm = norm or nn.LayerNorm(channels, eps=LAYER_NORM_EPS, device=device)
    weight, bias = norm.weight, norm.bias
    return NormParameters(
        torch.ones(channels, device=device) if weight is None else weight.detach(),
        torch.zeros(channels, device=device) if bias is None else bias.detach(),
    )


def _warn_of_epsilon(norm: nn.LayerNorm | None) -> list[str]:
    if norm is None or norm.eps == LAYER_NORM_EPS:
        return []
    difference = abs(norm.eps - LAYER_NORM_EPS) / 2
    return [
        f"The epsilon of the output norm is {norm.eps}; global_ln is taken with "
        f"{LAYER_NORM_EPS}, as per_layer_ln is. A token of variance v over its channels "
        f"changes by {difference:.1g} / v."
    ]


def intervene(
    payload: Path | str, request: InterventionRequest, *, images_dir: str | None = None
) -> InterventionResult:
    """Fix channels of a payload's network and measure what later outputs change.

    Args:
        payload: Names network and images; those must be readable here.
        request: Which channels, where, and to what.
        images_dir: Where the images are, in place of the payload's `data.root`.

    Returns:
        The effects, beside those of random channels; `analysis.read.interventions` reads them.

    Raises:
        InputError: If payload, weights, adapter or images cannot be used, or the request names
            what the network lacks.
    """
    path = Path(payload).resolve()
    return _intervene(path, request, images_dir=images_dir, roots=[Path(path.anchor)])[1]
