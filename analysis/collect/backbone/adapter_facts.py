"""What an adapter is, for the record of a run, and where it differs from the training config."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from analysis.collect.backbone.adapter_names import adapted_modules
from analysis.collect.backbone.head_file import Head
from analysis.collect.backbone.variants import find_variant_name
from analysis.collect.backbone.vit import DinoVisionTransformer


def describe_adapter(head: Head, backbone: DinoVisionTransformer) -> dict[str, Any]:
    """Summarise an attached adapter in plain types, for `meta["run"]["adapter"]`.

    Args:
        head: Where it came from; names of modules are those of its training.
        backbone: The backbone with the adapter.
    """
    settings, state = head.peft_config or {}, head.peft_state or {}
    modules = adapted_modules(state)
    ranks = {len(state[f"{x}.lora_A.weight"]) for x in modules if f"{x}.lora_A.weight" in state}
    return {
        "method": _name_method(settings),
        "rank": max(ranks, default=0),
        "least_rank": min(ranks, default=0),
        "alpha": settings.get("lora_alpha", 8),
        "targets": _name_targets(modules),
        "blocks": adapted_blocks(modules),
        "modules": len(modules),
        "parameters": sum(tensor.numel() for tensor in state.values()),
        "trained_whole": sorted({x.rpartition(".")[0] for x in state if ".lora_" not in x}),
        "source": str(head.path),
        "peft_version": _as_text(settings.get("peft_version")),
    }


def describe_missing_head(expected: Mapping[str, Any]) -> list[str]:
    """Return a warning where the training config enables an adapter and no head was found."""
    section = _section(expected, "peft") or _section(expected, "lora")
    if section.get("enabled") is not True:
        return []
    return [
        "The training config enables an adapter (peft.enabled: true), but no head was found: the "
        "frozen backbone is measured. Name the head with --head-weights, or give none if the "
        "frozen backbone is meant."
    ]


def _name_method(settings: Mapping[str, Any]) -> str:
    name = "DoRA" if settings.get("use_dora") else "LoRA"
    return f"{name} (rank-stabilised)" if settings.get("use_rslora") else name


def _name_targets(modules: list[str]) -> list[str]:
    return sorted({module.rpartition(".")[2] for module in modules})


def adapted_blocks(modules: list[str]) -> list[int]:
    """Return the indices of the blocks that these modules are in."""
    matches = (re.search(r"\b(?:blocks|layer)\.(\d{1,9})\b", name) for name in modules)
    return sorted({int(match[1]) for match in matches if match})


def compare_with_training(
    head: Head, expected: Mapping[str, Any], backbone: DinoVisionTransformer
) -> list[str]:
    """Compare a head with the training config: one folder of heads often serves many versions.

    Args:
        head: The head.
        expected: The training config as parsed (`model.backbone` and the section `peft`); what it
            does not say is not compared.
        backbone: What is measured.

    Returns:
        A warning for every difference.
    """
    section = _section(expected, "peft") or _section(expected, "lora")
    depth = backbone.depth
    pairs = _pair_meta(head.meta, expected, backbone)
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
    modules = adapted_modules(head.peft_state or {})
    blocks = adapted_blocks(modules)
    targets = section.get("target_modules")
    if isinstance(targets, list):
        # a list often serves several backbones (fc1 and w1): what this one lacks says nothing
        present = {name.rpartition(".")[2] for name, _ in backbone.named_modules()}
        wanted = sorted({str(name).rpartition(".")[2] for name in targets} & present)
        pairs.append(("target_modules", _name_targets(modules), wanted or None))
    last = section.get("last_k_blocks")
    if isinstance(last, int) and blocks:
        first = depth - last if 0 < last < depth else 0
        pairs.append(("blocks", blocks, list(range(first, depth))))
    warnings = _name_differences(head, pairs)
    if section.get("enabled") is False:
        warnings.append(
            f"{head.path}: the training config disables the adapter (peft.enabled: false), but "
            "this head holds one, and it is used. Pass --head-weights none for the frozen backbone."
        )
    return warnings


def _pair_meta(
    meta: Mapping[str, Any], expected: Mapping[str, Any], backbone: DinoVisionTransformer
) -> list[tuple[str, Any, Any]]:
    """Pair what the head says of its training run with what is measured."""
    config = _section(meta, "config")
    model, theirs = _section(expected, "model"), _section(config, "model")
    version = meta.get("version", config.get("version"))
    name = meta.get("backbone", meta.get("backbone_name", theirs.get("backbone")))
    width = meta.get("embedding_dim")
    return [
        ("version", _as_text(version), _as_text(expected.get("version"))),
        ("backbone", _canonical(name), _canonical(model.get("backbone"))),
        ("embedding_dim", width if type(width) is int else None, backbone.embed_dim),
    ]


def _as_text(value: Any) -> str | None:
    return None if value is None or isinstance(value, Mapping | list) else str(value)


def _canonical(name: Any) -> str | None:
    text = _as_text(name)
    return None if text is None else find_variant_name(text) or text


def _name_differences(head: Head, pairs: list[tuple[str, Any, Any]]) -> list[str]:
    return [
        f"{head.path}: this head was trained with {key} {found!s:.200}, the training config says "
        f"{wanted!s:.200}. It may belong to another version."
        for key, found, wanted in pairs
        if found is not None and wanted is not None and found != wanted
    ]


def _section(config: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    section = config.get(name)
    return section if isinstance(section, Mapping) else {}
