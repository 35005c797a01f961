"""Name the tensors of an adapter relative to the backbone, whatever it was wrapped in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from torch import Tensor

_PEFT_PREFIX = "base_model.model."
_WRAPPERS = re.compile(r"(?<![^.])(?:_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.")
_INNER_MODULE = re.compile(r"((?:^|\.)(?:blocks|layer)\.(?:.*?\.)?)module\.")
# "....lora_A.default.weight" where a raw state dict was saved, "....lora_A.weight" usually.
_ADAPTER_NAME = re.compile(r"\.(lora_[A-Za-z_]+)\.(?!weight$|bias$)([^.]+)(?=\.|$)")
_SAVED_NAME = re.compile(r"\.modules_to_save\.([^.]+)\.")
# Current peft keeps the magnitudes of DoRA in a module, and saves them as it did before.
_MAGNITUDE = re.compile(r"(\.lora_magnitude_vector)\.weight$")
_OWN_MODULE = re.compile(
    r"^(.*?)(?:blocks\.\d+\.|patch_embed\.|(?:model\.)?layer\.\d+\.|embeddings\.patch_embeddings)"
)
_OWN_NAME = re.compile(
    r"(blocks|patch_embed|norm|cls_norm|rope_embed|(model\.)?layer|embeddings)\."
    r"|(cls_token|storage_tokens|mask_token)$"
)


@dataclass(frozen=True)
class AdapterTensors:
    """The tensors of one adapter that belong to the backbone."""

    state: dict[str, Tensor]
    """By name relative to the backbone, without peft's prefix and the adapter's name."""
    paths: tuple[str, ...]
    """What the training run may have had before these names; each ends with a dot or is empty."""
    aside: tuple[str, ...]
    """Names of tensors that belong to a classifier or whatever else was around the backbone."""
    adapters: tuple[str, ...]
    """Names of the adapters in the file, where the names of the tensors tell them."""


def relate_to_backbone(
    state: Mapping[str, Tensor], *, only_adapter: bool = False
) -> AdapterTensors:
    """Take off peft's prefix, training wrappers, the adapter's name and the path to the backbone.

    Args:
        state: What was saved, by name.
        only_adapter: Whether frozen tensors stand beside those of the adapter, as in a checkpoint
            of the whole network; they are left out.

    Returns:
        Of several adapters in one file, the tensors of the one named `default`, else of the first
        by name.
    """
    if only_adapter:
        state = {name: tensor for name, tensor in state.items() if is_adapter_name(name)}
    adapters = sorted({parts[-1] for name in state if (parts := _find_adapter(name))})
    chosen = "default" if "default" in adapters else next(iter(adapters), None)
    names = {
        name: _canonical_name(name)
        for name in state
        if not (parts := _find_adapter(name)) or parts[-1] == chosen
    }
    start = _find_start(names.values())
    raw_start = _find_start(name.rpartition(_PEFT_PREFIX)[2] for name in names)
    own, aside = {}, []
    for name, plain in names.items():
        relative = plain.removeprefix(start)
        if plain.startswith(start) and (_OWN_NAME.match(relative) or not start):
            own[relative] = state[name]
        else:
            aside.append(plain)
    if any(_OWN_NAME.match(name) for name in own):
        aside += [name for name in own if not _OWN_NAME.match(name)]
        own = {name: tensor for name, tensor in own.items() if _OWN_NAME.match(name)}
    return AdapterTensors(
        own, tuple({"": 0, start: 0, raw_start: 0}), tuple(aside), tuple(adapters)
    )


def is_adapter_name(name: str) -> bool:
    """Tell whether a tensor of a whole network belongs to its adapter."""
    return ".lora_" in name or ".modules_to_save." in name


def adapted_modules(names: Iterable[str]) -> list[str]:
    """Name the modules that these tensors of an adapter belong to."""
    return sorted({name.split(".lora_")[0] for name in names if ".lora_" in name})


def _find_adapter(name: str) -> tuple[str, ...]:
    match = _ADAPTER_NAME.search(name)
    if match:
        return (match[2],)
    saved = _SAVED_NAME.search(name)
    return (saved[1],) if saved else ()


def _canonical_name(name: str) -> str:
    name = _SAVED_NAME.sub(".", _WRAPPERS.sub("", name))
    name = _MAGNITUDE.sub(r"\1", _ADAPTER_NAME.sub(r".\1", name)).rpartition(_PEFT_PREFIX)[2]
    while (shorter := _INNER_MODULE.sub(r"\1", name)) != name:
        name = shorter
    return name


def _find_start(names: Iterable[str]) -> str:
    starts = {match[1] for name in names if ".lora_" in name and (match := _OWN_MODULE.match(name))}
    # One path for all, or none: anything else would be a guess.
    return starts.pop() if len(starts) == 1 else ""
