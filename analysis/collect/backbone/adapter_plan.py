"""Turn a head's adapter into settings and tensors for the modules of our backbone.

Every module is named in full and its rank and scale are written out, so that peft matches no
pattern of a file; ranks are compared with the tensors before peft allocates any.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from analysis.collect.backbone.adapter_names import adapted_modules
from analysis.collect.backbone.adapter_patterns import choose_values, find_targeted
from analysis.collect.backbone.adapter_translation import (
    Adaptation,
    is_foreign,
    name_officially,
    translate,
)
from analysis.collect.backbone.head_file import Head
from analysis.collect.backbone.names import compare_tensors, name_some
from analysis.collect.backbone.vit import DinoVisionTransformer
from analysis.errors import AdapterError

MAX_RANK = 65_536
MAX_ALPHA = 1e9
_A, _B = ".lora_A.weight", ".lora_B.weight"
_MATCHING = ("layers_to_transform", "layers_pattern", "exclude_modules")
_CHANGES_BASE = ("pissa", "olora")


@dataclass(frozen=True)
class AdapterPlan:
    """What peft is to build, and what to fill it with."""

    settings: dict[str, Any]
    """A `LoraConfig` as a dict that names every module in full."""
    state: dict[str, Tensor]
    """By official name."""
    warnings: list[str] = field(default_factory=list)


def plan_adapter(head: Head, backbone: DinoVisionTransformer) -> AdapterPlan:
    """Resolve the settings of an adapter against the backbone.

    Raises:
        AdapterError: If settings and tensors contradict each other or the backbone, or a value is
            out of bounds.
    """
    settings, state = dict(head.peft_config or {}), dict(head.peft_state or {})
    gated = backbone.variant.ffn == "swiglu"
    modules = adapted_modules(state)
    ranks = _read_values(head, settings, modules, "r", "rank_pattern", _check_rank)
    alphas = _read_values(head, settings, modules, "lora_alpha", "alpha_pattern", _check_alpha)
    _compare_with_settings(head, settings, backbone, state, ranks)
    _refuse_non_finite(state)  # reads every tensor, so after their shapes
    foreign = [module for module in modules if is_foreign(module, gated=gated)]
    saved = settings.get("modules_to_save")
    settings["modules_to_save"] = _keep_own(saved, state) if saved else None
    for key in _MATCHING:
        settings.pop(key, None)
    if foreign:
        settings, state = _translate(settings, state, ranks, alphas, backbone)
        modules = adapted_modules(state)
    else:
        settings |= _write_out(ranks, alphas)
    settings["target_modules"] = modules
    return AdapterPlan(settings, state)


def _read_values(
    head: Head,
    settings: Mapping[str, Any],
    modules: list[str],
    setting: str,
    pattern_setting: str,
    check: Any,
) -> dict[str, Any]:
    """Return a setting of every module, checked."""
    default = check(setting, settings.get(setting, 8))
    aliases = [f"{path}{module}" for module in modules for path in head.paths]
    values = choose_values(aliases, settings.get(pattern_setting), None, pattern_setting)
    chosen = {}
    for module in modules:
        found = (values[f"{path}{module}"] for path in head.paths)
        value = next((value for value in found if value is not None), None)
        chosen[module] = default if value is None else check(pattern_setting, value)
    return chosen


def _check_rank(setting: str, value: Any) -> int:
    if type(value) is not int or not 1 <= value <= MAX_RANK:
        raise AdapterError(
            f"its {setting} is {value!r:.100}, expected a whole number from 1 to {MAX_RANK}"
        )
    return value


def _check_alpha(setting: str, value: Any) -> float:
    if type(value) not in (int, float) or not abs(value) <= MAX_ALPHA:
        raise AdapterError(f"its {setting} is {value!r:.100}, expected a number")
    return value


def _compare_with_settings(
    head: Head,
    settings: Mapping[str, Any],
    backbone: DinoVisionTransformer,
    state: Mapping[str, Tensor],
    ranks: Mapping[str, int],
) -> None:
    """Check that the tensors are those of the modules and ranks that the settings name."""
    candidates = _name_candidates(backbone, state)
    aliases = {f"{path}{module}": module for module in candidates for path in head.paths}
    targeted = find_targeted(aliases, settings)
    expected = set(ranks) if targeted is None else {aliases[name] for name in targeted}
    expected -= {module for module in expected if f"{module}.weight" in state}  # modules_to_save
    shapes = {name: tensor.shape for name, tensor in state.items() if name.endswith((_A, _B))}
    wanted: dict[str, list[int]] = {}
    for module in sorted(expected):
        rank = ranks.get(module, 0)
        a, b = shapes.get(module + _A, ()), shapes.get(module + _B, ())
        wanted[module + _A] = [rank, *a[1:]]
        wanted[module + _B] = [*b[:1], rank, *b[2:]]
    faults = compare_tensors(shapes, wanted)
    if faults is None:
        return
    targets = settings.get("target_modules")
    named = f" (its target_modules: {targets!r:.300})" if "without a place" in faults else ""
    raise AdapterError(f"{faults}{named}")


def _refuse_non_finite(state: Mapping[str, Tensor]) -> None:
    bad = [name for name, tensor in state.items() if not tensor.isfinite().all()]
    if bad:
        raise AdapterError(f"NaN or infinite values in {name_some(bad)}")


def _name_candidates(backbone: DinoVisionTransformer, state: Mapping[str, Tensor]) -> list[str]:
    """Name what can be adapted, officially and as transformers and timm name it."""
    names = [
        name
        for name, module in backbone.named_modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
    ]
    start = "model." if any(name.startswith("model.layer.") for name in state) else ""
    gated = backbone.variant.ffn == "swiglu"
    attention = [f"attention.{letter}_proj" for letter in "qkvo"]
    hidden = ["mlp.up_proj", "mlp.down_proj", *(["mlp.gate_proj"] if gated else [])]
    if any(".layer." in f".{name}" for name in state):
        blocks = range(backbone.depth)
        names = [f"{start}layer.{i}.{part}" for i in blocks for part in (*attention, *hidden)]
        return [*names, "embeddings.patch_embeddings"]
    if gated and any(re.search(r"\.fc(1_g|1_x|2)\.", name) for name in state):
        spelling = {"mlp.w1": "mlp.fc1_g", "mlp.w2": "mlp.fc1_x", "mlp.w3": "mlp.fc2"}
        return [re.sub(r"mlp\.w\d$", lambda match: spelling[match[0]], name) for name in names]
    return names


def _keep_own(saved: Any, state: Mapping[str, Tensor]) -> list[str] | None:
    """Return the modules that were trained as a whole and are part of the backbone."""
    names = [saved] if isinstance(saved, str) else [str(name) for name in saved]
    whole = {name.rpartition(".")[0] for name in state if ".lora_" not in name}
    own = [name for name in names if any(f".{x}".endswith(f".{name}") for x in whole)]
    return own or None


def _write_out(ranks: Mapping[str, int], alphas: Mapping[str, float]) -> dict[str, Any]:
    """Write ranks and scales as settings that hold for full names only."""
    most = max(ranks.values(), default=1)
    alpha = next(iter(alphas.values()), most)
    return {
        "r": most,
        "lora_alpha": alpha,
        "rank_pattern": {re.escape(x): rank for x, rank in ranks.items() if rank != most},
        "alpha_pattern": {re.escape(x): value for x, value in alphas.items() if value != alpha},
    }


def _translate(
    settings: dict[str, Any],
    state: Mapping[str, Tensor],
    ranks: Mapping[str, int],
    alphas: Mapping[str, float],
    backbone: DinoVisionTransformer,
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Return settings and tensors for the official modules."""
    initial = str(settings.get("init_lora_weights")).lower()
    if initial.startswith(_CHANGES_BASE):
        raise AdapterError(
            f"its initialisation {initial!r} moved a part of transformers' split weights into the "
            "adapter. Save it with path_initial_model_for_weight_conversion, which makes it a "
            "plain LoRA"
        )
    parts = ("lora_A.weight", "lora_B.weight", "lora_magnitude_vector", "lora_B.bias")
    own = {f"{module}.{part}" for module in ranks for part in parts}
    others, strange = {}, []
    for name, tensor in state.items():
        if name in own:
            continue
        module, _, leaf = name.rpartition(".")
        if module in ("norm", "embeddings.patch_embeddings"):
            others[f"{name_officially(module, gated=False) or module}.{leaf}"] = tensor
        else:
            strange.append(name)
    if strange:
        raise AdapterError(
            f"beside LoRA it trained {name_some(strange)} of transformers' DINOv3, for which there "
            "is no place here. Merge the adapter (merge_and_unload) and measure the saved weights"
        )
    root = bool(settings.get("use_rslora"))
    adaptations = {
        module: Adaptation(
            a=state[f"{module}.lora_A.weight"],
            b=state[f"{module}.lora_B.weight"],
            scale=alphas[module] / (rank**0.5 if root else rank),
            magnitude=state.get(f"{module}.lora_magnitude_vector"),
            bias=state.get(f"{module}.lora_B.bias"),
        )
        for module, rank in ranks.items()
    }
    translated = translate(adaptations, backbone)
    settings |= _write_out(
        {module: item.rank for module, item in translated.items()},
        {module: item.scale * item.rank for module, item in translated.items()},
    )
    settings["use_rslora"] = False
    tensors = dict(others)
    for module, item in translated.items():
        values = (item.a, item.b, item.magnitude, item.bias)
        named = zip(parts, values, strict=True)
        tensors |= {f"{module}.{part}": value for part, value in named if value is not None}
    return settings, tensors
