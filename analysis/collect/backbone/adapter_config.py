"""The settings of an adapter: into a `LoraConfig` of the installed peft, and against train.yaml."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from analysis.collect.backbone.head_file import Head
from analysis.collect.backbone.names import name_some
from analysis.errors import AdapterError

if TYPE_CHECKING:
    from peft import LoraConfig

# What the settings say about the training run, not about the arithmetic.
_INERT = {
    "peft_type",
    "task_type",
    "auto_mapping",
    "base_model_name_or_path",
    "revision",
    "peft_version",
    "inference_mode",
    "runtime_config",
    "init_lora_weights",
    "eva_config",
    "loftq_config",
    "corda_config",
    "lora_ga_config",
}
_SPLIT_PROJECTIONS = re.compile(r"(?:^|\.)([qkv]_proj)(?:\.|$)")


def build_lora_config(settings: Mapping[str, Any]) -> tuple[LoraConfig, list[str]]:
    """Turn the stored settings into a `LoraConfig`, whichever peft version wrote them.

    Returns:
        The configuration, and a warning about every setting that this peft does not know.

    Raises:
        AdapterError: If it is no LoRA, needs base weights that were changed from training data,
            or peft refuses a value.
    """
    from peft import LoraConfig

    kind = str(settings.get("peft_type") or "LORA").removeprefix("PeftType.")
    if kind != "LORA":
        raise AdapterError(f"it is of the kind {kind}, expected LORA (LoRA or DoRA)")
    known = {item.name for item in fields(LoraConfig) if item.init} - _INERT
    unknown = sorted(
        f"{key} = {value!r}"
        for key, value in settings.items()
        if key not in known | _INERT and value
    )
    initial, warnings = _keep_initialisation(settings.get("init_lora_weights", True))
    try:
        config = LoraConfig(
            init_lora_weights=initial,
            **{key: value for key, value in settings.items() if key in known},
        )
    except (TypeError, ValueError, AttributeError) as failure:
        raise AdapterError(f"peft refuses its settings: {failure}") from failure
    if unknown:
        warnings.append(
            f"The installed peft does not know these settings of the adapter and ignores them: "
            f"{name_some(unknown)}."
        )
    return config, warnings


def _keep_initialisation(initial: Any) -> tuple[Any, list[str]]:
    """Keep an initialisation only if it changes the base weights; the rest is overwritten."""
    name = str(initial).lower()
    if name.startswith(("corda", "loftq", "lora_ga")):
        raise AdapterError(
            f"its initialisation {initial!r} changed the base weights from data that is not in "
            "the head. Save it with path_initial_model_for_weight_conversion, which makes it a "
            "plain LoRA"
        )
    if name.startswith(("pissa", "olora")):
        return initial, [
            f"The adapter's initialisation {initial!r} moves a part of the base weights into the "
            "adapter: the LoRA proof compares with the rest, not with the frozen backbone."
        ]
    return True, []


def refuse_split_projections(head: Head) -> None:
    """Refuse an adapter of q_proj, k_proj, v_proj, which this backbone does not have.

    Raises:
        AdapterError: If the adapter's tensors or targets name them.
    """
    targets = (head.peft_config or {}).get("target_modules")
    names = [*(head.peft_state or {}), *(targets if isinstance(targets, list) else [])]
    found = sorted({match[1] for name in names if (match := _SPLIT_PROJECTIONS.search(name))})
    if found:
        raise AdapterError(
            f"it adapts {', '.join(found)}, which belong to transformers' DINOv3: there Q, K and V "
            "are three layers, here and in the official model they are the one layer attn.qkv, "
            "whose low-rank update cannot take up three separate ones. Train the adapter on the "
            "official model"
        )


def describe_adapter(head: Head) -> dict[str, Any]:
    """Summarise an adapter in plain types: rank, scale, kind, and which modules it reaches."""
    settings, modules = head.peft_config or {}, adapted_modules(head)
    return {
        **{key: settings.get(key) for key in ("r", "lora_alpha", "use_dora", "use_rslora")},
        "targets": sorted({module.rpartition(".")[2] for module in modules}),
        "blocks": adapted_blocks(modules),
        "n_modules": len(modules),
        "peft_version": settings.get("peft_version"),
    }


def adapted_modules(head: Head) -> list[str]:
    """Name the modules that the adapter's tensors belong to."""
    names = head.peft_state or {}
    return sorted({name.split(".lora_")[0] for name in names if ".lora_" in name})


def adapted_blocks(modules: list[str]) -> list[int]:
    """Return the indices of the blocks that these modules are in."""
    return sorted(
        {int(found[1]) for name in modules if (found := re.match(r"blocks\.(\d{1,9})\b", name))}
    )


def compare_with_training(head: Head, expected: Mapping[str, Any], depth: int) -> list[str]:
    """Compare a head with the training config: one folder of heads often serves many versions.

    Args:
        head: The head.
        expected: The training config as parsed (`model.backbone` and the section `peft`); what it
            does not say is not compared.
        depth: Number of blocks of the backbone.

    Returns:
        A warning for every difference.
    """
    section = _section(expected, "peft") or _section(expected, "lora")
    pairs = [("backbone", head.meta.get("backbone"), _section(expected, "model").get("backbone"))]
    if head.peft_config is None:
        if section.get("enabled") is True and head.fault is None:
            return [
                *_name_differences(head, pairs),
                f"{head.path}: the training config enables an adapter (peft.enabled), but this "
                "head holds none: the frozen backbone is measured.",
            ]
        return _name_differences(head, pairs)
    for key in ("r", "lora_alpha", "use_dora"):
        pairs.append((key, head.peft_config.get(key), section.get(key)))
    summary = describe_adapter(head)
    targets = section.get("target_modules")
    if isinstance(targets, list):
        wanted = sorted({str(name).rpartition(".")[2] for name in targets})
        pairs.append(("target_modules", summary["targets"], wanted))
    last = section.get("last_k_blocks")
    if isinstance(last, int) and summary["blocks"]:
        first = depth - last if 0 < last < depth else 0
        pairs.append(("blocks", summary["blocks"], list(range(first, depth))))
    warnings = _name_differences(head, pairs)
    if section.get("enabled") is False:
        warnings.append(
            f"{head.path}: the training config disables the adapter (peft.enabled: false), but "
            "this head holds one, and it is used. Pass --head-weights none for the frozen backbone."
        )
    return warnings


def _name_differences(head: Head, pairs: list[tuple[str, Any, Any]]) -> list[str]:
    return [
        f"{head.path}: this head was trained with {key} {found}, the training config says "
        f"{wanted}. It may belong to another version."
        for key, found, wanted in pairs
        if found is not None and wanted is not None and found != wanted
    ]


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}
