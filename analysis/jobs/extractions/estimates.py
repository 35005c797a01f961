"""How long an extraction will take: by earlier runs of the same kind, else by its arithmetic."""

from __future__ import annotations

import os
import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from analysis.collect.backbone.variants import Variant, get_variant
from analysis.collect.plan.request import ExtractionPlan
from analysis.jobs.extractions.devices import Device
from analysis.language import _

STARTUP_S = 8.0
"""Importing torch, reading the weights, the proof images, saving."""

EARLIER_RUNS = 5
"""How many of the latest runs the median is taken over."""

_SLOWEST, _FASTEST = 1e-5, 1e7
"""Images per second that any machine may have noted; another person may have written them."""

_CPU_CORE_FLOPS = 25e9
_GPU_FLOPS = {"fp32": 12e12, "tf32": 40e12, "bf16": 100e12}
_DECODED_PER_CORE = 25.0
"""Photographs decoded and resized per second and core."""


@dataclass(frozen=True)
class Estimate:
    """About how long a run will take."""

    seconds: float
    images_per_second: float
    basis: str
    """What the number rests on, as the end of a sentence."""
    rough: bool
    """Whether nothing comparable was measured, so that it may be off by several times."""


def estimate_seconds(
    plan: ExtractionPlan, device: Device, earlier: Iterable[Mapping[str, Any]]
) -> Estimate:
    """Estimate the duration of a planned extraction on a device.

    Args:
        plan: The extraction.
        device: Where it would run.
        earlier: Facts noted beside earlier payloads. Those of the same backbone, image size,
            precision and kind of device count.

    Raises:
        ConfigError: If the backbone's name is unknown.
    """
    images = len(plan.images.entries)
    precision = resolve_precision(plan.request.precision, device)
    alike = [
        facts
        for facts in earlier
        if facts.get("backbone") == plan.settings.backbone_name
        and facts.get("image_size") == list(plan.settings.image_size)
        and facts.get("precision") == precision
        and _is_same_device(facts, device)
        and isinstance(rate := facts.get("images_per_second"), int | float)
        and not isinstance(rate, bool)
        and _SLOWEST <= rate <= _FASTEST
    ]
    alike.sort(key=lambda facts: str(facts.get("created")), reverse=True)
    if alike:
        rates = [float(facts["images_per_second"]) for facts in alike[:EARLIER_RUNS]]
        runs = (
            _("an earlier run")
            if len(rates) == 1
            else _("{count} earlier runs").format(count=len(rates))
        )
        rate = statistics.median(rates)
        return Estimate(
            STARTUP_S + images / rate,
            rate,
            _("{runs} like it on {label}").format(runs=runs, label=device.label),
            False,
        )
    variant = get_variant(plan.settings.backbone_name)
    rate = _guess_rate(variant, plan.settings.image_size, device, precision)
    return Estimate(
        STARTUP_S + images / rate,
        rate,
        _("the size of {name}; no run like it yet").format(name=variant.name),
        True,
    )


def resolve_precision(precision: str | None, device: Device) -> str:
    """Return the precision that "auto" most likely means on a device."""
    if precision in (None, "auto"):
        return "fp32" if device.name == "cpu" else "bf16"
    return str(precision)


def flops_per_image(variant: Variant, image_size: tuple[int, int]) -> float:
    """Return the multiplications and additions of one forward pass of one image.

    Per block and token: 4 C² products for attention's projections, 2 (or, gated, 3) C·hidden for
    the feed-forward part, 2 N·C for the attention over N tokens; two operations each.
    """
    width, height = image_size
    patch, channels = variant.patch_size, variant.embed_dim
    tokens = 1 + variant.n_storage_tokens + (width // patch) * (height // patch)
    matrices = 3 if variant.ffn == "swiglu" else 2
    per_token = 4 * channels**2 + matrices * channels * variant.ffn_hidden + 2 * tokens * channels
    return 2.0 * variant.depth * tokens * per_token


def _guess_rate(
    variant: Variant, image_size: tuple[int, int], device: Device, precision: str
) -> float:
    cores = os.cpu_count() or 1
    speed = cores * _CPU_CORE_FLOPS if device.name == "cpu" else _GPU_FLOPS[precision]
    seconds = flops_per_image(variant, image_size) / speed
    decode = 1.0 / (cores * _DECODED_PER_CORE)
    # on the CPU decoding takes its share of the same cores; a GPU is fed alongside
    return 1.0 / (seconds + decode if device.name == "cpu" else max(seconds, decode))


def _is_same_device(facts: Mapping[str, Any], device: Device) -> bool:
    kind = str(facts.get("device")).partition(":")[0]
    if kind != device.name.partition(":")[0]:
        return False
    return kind == "cpu" or facts.get("device_name") == device.label
