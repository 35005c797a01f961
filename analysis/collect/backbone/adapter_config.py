"""The settings of an adapter: into a `LoraConfig` of the installed peft."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import TYPE_CHECKING, Any

from analysis.collect.backbone.adapter_names import adapted_modules
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
    # peft imports the module that this names: a stranger's code.
    "megatron_config",
    "megatron_core",
}


def check_kind(settings: Mapping[str, Any]) -> None:
    """Refuse whatever peft can train besides LoRA and DoRA.

    Raises:
        AdapterError: If the settings name another kind.
    """
    kind = str(settings.get("peft_type") or "LORA").removeprefix("PeftType.")
    if kind != "LORA":
        raise AdapterError(f"it is of the kind {kind:.100}, expected LORA (LoRA or DoRA)")


def supply_settings(head: Head, expected: Mapping[str, Any]) -> Head:
    """Supply LoRA tensors with settings: from their own file, else from the training config.

    Ranks are those of the tensors, DoRA shows in its magnitudes; only the scale is not in them.

    Args:
        head: As read.
        expected: The training config as parsed, with the section `peft`.

    Returns:
        The head itself where it has settings; else one with settings and a notice, or a fault.
    """
    if head.peft_config is not None or head.peft_state is None:
        return head
    section = expected.get("peft") or expected.get("lora")
    section, source = section if isinstance(section, Mapping) else {}, "the training config"
    if len(head.partial) == 1:
        ((source, section),) = head.partial.items()
    alpha = section.get("lora_alpha")
    if type(alpha) not in (int, float):
        return replace(
            head,
            fault="it holds LoRA tensors but not their settings, and the training config has no "
            "peft.lora_alpha, so their scale is not known. Save the adapter with its settings "
            "(peft's save_pretrained), or add peft.lora_alpha to the config",
        )
    modules = adapted_modules(head.peft_state)
    ranks = {
        module: len(head.peft_state[f"{module}.lora_A.weight"])
        for module in modules
        if f"{module}.lora_A.weight" in head.peft_state
    }
    most = max(ranks.values(), default=8)
    settings = {
        "peft_type": "LORA",
        "r": most,
        "lora_alpha": alpha,
        "use_rslora": section.get("use_rslora") is True,
        "use_dora": any("lora_magnitude_vector" in name for name in head.peft_state),
        "target_modules": modules,
        "alpha_pattern": section.get("alpha_pattern"),
        "rank_pattern": {module: rank for module, rank in ranks.items() if rank != most},
    }
    notice = f"{head.path}: lora_alpha {alpha} is taken from {source}."
    if len(head.partial) > 1:
        notice += f" The file holds unlike settings ({name_some(list(head.partial))}), of no use."
    return replace(head, peft_config=settings, notices=(*head.notices, notice))


def build_lora_config(settings: Mapping[str, Any]) -> tuple[LoraConfig, list[str]]:
    """Turn the stored settings into a `LoraConfig`, whichever peft version wrote them.

    Returns:
        The configuration, and a warning about every setting that this peft does not know.

    Raises:
        AdapterError: If it is no LoRA, needs base weights that were changed from training data,
            or peft refuses a value.
    """
    from peft import LoraConfig

    check_kind(settings)
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
    if name.startswith("pissa_niter_") and not re.fullmatch(r"pissa_niter_\d\d?", name):
        raise AdapterError(
            f"its initialisation {initial!r:.100} asks for more than 99 rounds, which may not end"
        )
    if name.startswith(("pissa", "olora")):
        return initial, [
            f"The adapter's initialisation {initial!r} moves a part of the base weights into the "
            "adapter: the LoRA proof compares with the rest, not with the frozen backbone."
        ]
    return True, []
