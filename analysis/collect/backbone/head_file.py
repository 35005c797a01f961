"""Read a head: what a training run leaves beside the frozen backbone. Does not need peft.

A head file is ``{"state_dict", "meta", "peft": {"config": LoraConfig.to_dict(), "state_dict"}}``;
``peft`` is absent where nothing was adapted. peft's own adapter folder (`adapter_config.json` and
`adapter_model.safetensors`) counts as a head without regression weights.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.collect.backbone.adapter_names import (
    AdapterTensors,
    is_adapter_name,
    relate_to_backbone,
)
from analysis.collect.backbone.head_fusion import describe_fusion
from analysis.collect.backbone.head_settings import MAX_LEVELS, find_settings, read_settings
from analysis.collect.backbone.names import name_some
from analysis.errors import AdapterError
from analysis.files.atomic import is_folder, is_regular
from analysis.files.safe_load import (
    SafeGlobal,
    is_safetensors,
    load_json_object,
    load_safetensors,
    load_torch_file,
    read_metadata,
)

KIND = "head"
CONFIG_NAME = "adapter_config.json"
WEIGHTS_NAMES = ("adapter_model.safetensors", "adapter_model.bin")

# A LoraConfig as a dict holds two enums. They are read as the strings that they
# stand for, so that reading a head neither imports peft nor depends on its version.
ALLOWED: tuple[SafeGlobal, ...] = (
    (str, "peft.utils.peft_types.PeftType"),
    (str, "peft.utils.peft_types.TaskType"),
)

_NAMED_MODULES = ("target_modules", "exclude_modules", "rank_pattern", "alpha_pattern")
_DECISIVE = ("r", "lora_alpha", "use_rslora", "use_dora", "rank_pattern", "alpha_pattern")
_FLOATS = (torch.float16, torch.bfloat16, torch.float32, torch.float64)
"""Others (float8, float4) are of no use without scales, and torch cannot compare or copy all."""


@dataclass(frozen=True)
class Head:
    """A head as it was read; its adapter has not been tried yet."""

    path: Path
    meta: dict[str, Any] = field(default_factory=dict)
    peft_config: dict[str, Any] | None = None
    """`LoraConfig` as a dict, enums as strings; None without an adapter."""
    peft_state: dict[str, Tensor] | None = None
    """The adapter's tensors, named relative to the backbone, without peft's prefix."""
    fault: str | None = None
    """Why the adapter in the file cannot be used, where that shows without trying."""
    paths: tuple[str, ...] = ("",)
    """What the names of modules in the settings may begin with."""
    notices: tuple[str, ...] = ()
    """Sentences on what was left aside."""
    partial: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By their keys in the file, settings that are not those of peft, or several."""
    fusion: dict[str, Any] = field(default_factory=dict)
    """What it learned about the layers that it reads (`describe_fusion`); empty without any."""
    digest: Callable[[], str] | None = field(default=None, repr=False)
    """Computes `sha256`; None without an adapter."""

    @cached_property
    def sha256(self) -> str | None:
        """SHA-256 of the adapter's content (`digest_adapter`), None without an adapter.

        Reads every tensor, so it is for an adapter whose shapes were judged before.
        """
        return None if self.digest is None else self.digest()


MAX_NAME = 1_000
"""Letters of a tensor's name: matching patterns takes a time that grows with its square."""


def read_head(path: Path) -> Head:
    """Read a head file or a peft adapter folder without executing anything in it.

    A file of another kind is taken for the LoRA tensors in it, if it has some; where their
    settings are not in the file (`find_settings`), `peft_config` is None and `peft_state` is not.

    Raises:
        AdapterError: If the file is missing, damaged, hostile or no head. A head whose adapter is
            incomplete is returned with its `fault`.
    """
    if path.name in (CONFIG_NAME, *WEIGHTS_NAMES) and is_regular(path.parent / CONFIG_NAME):
        path = path.parent
    if is_folder(path):
        return _read_adapter_folder(path)
    if is_safetensors(path):
        tensors = load_safetensors(path, kind=KIND, error=AdapterError)
        return _read_other_file(path, {**read_metadata(path), **tensors})
    loaded = load_torch_file(
        path, kind=KIND, error=AdapterError, allowed=ALLOWED, beside_tensors=True
    )
    if not isinstance(loaded, dict) or not ("peft" in loaded or _is_plain_head(loaded)):
        return _read_other_file(path, loaded)
    meta = loaded.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    fusion = describe_fusion(loaded.get("state_dict"))
    peft = loaded.get("peft")
    if not peft:
        return Head(path, meta, fusion=fusion)
    if not isinstance(peft, dict):
        fault = f"peft is {type(peft).__name__}, expected a dict"
        return Head(path, meta, fault=fault, fusion=fusion)
    head = _build_head(path, meta, peft.get("config"), peft.get("state_dict"))
    return replace(head, fusion=fusion)


def _is_plain_head(loaded: Mapping[Any, Any]) -> bool:
    """Tell whether a dict is a head without adapter: a small state dict and facts, nothing else."""
    state = loaded.get("state_dict")
    if not isinstance(state, Mapping) or "meta" not in loaded or "layers" in loaded:
        return False
    return not any(is_adapter_name(name) or _is_backbone_name(name) for name, _ in _walk(loaded))


def _is_backbone_name(name: str) -> bool:
    return bool(re.search(r"(?:^|\.)(?:blocks|layer)\.\d+\.", name))


def _read_other_file(path: Path, loaded: Any) -> Head:
    """Take the LoRA tensors of a checkpoint.

    Raises:
        AdapterError: If there are none.
    """
    tensors = {name: tensor for name, tensor in _walk(loaded) if len(name) <= MAX_NAME}
    own = {name: tensor for name, tensor in tensors.items() if is_adapter_name(name)}
    if any(".lora_" in name for name in own):
        notice = (
            f"{path}: this is no head but another file; the {len(own)} LoRA tensors in it are used"
        )
        settings = find_settings(loaded)
        if len(settings) == 1 and {"peft_type", "target_modules"} <= settings[0][1].keys():
            head = _build_head(path, {}, settings[0][1], own)
            notice += f", with the settings under {settings[0][0]}."
            return replace(head, notices=(notice, *head.notices))
        related = relate_to_backbone(own, only_adapter=True)
        wrong = [name for name, tensor in related.state.items() if not _is_float_tensor(tensor)]
        if wrong:
            return Head(path, fault=f"not floating-point tensors: {name_some(wrong)}")
        return Head(
            path,
            peft_state=related.state,
            digest=partial(digest_adapter, {}, related.state),
            paths=related.paths,
            notices=(f"{notice}.", *_describe_aside(path, related)),
            partial=dict(settings),
        )
    raise AdapterError(
        f"{path}: this is not a head file{_guess_kind(loaded, tensors)}. Expected a dict with the "
        "keys state_dict, meta and peft, or LoRA tensors, found "
        f"{_describe_content(loaded)}. Give another head (--head-weights), or "
        "none for the frozen backbone."
    )


def _walk(loaded: Any, start: str = "", level: int = 0) -> Iterator[tuple[str, Any]]:
    if not isinstance(loaded, Mapping) or level == MAX_LEVELS:
        return
    for key, value in loaded.items():
        if isinstance(value, Tensor):
            yield f"{start}{key}", value
        else:
            yield from _walk(value, f"{start}{key}.", level + 1)


def _guess_kind(loaded: Any, tensors: Mapping[str, Any]) -> str:
    if isinstance(loaded, Mapping) and {"meta", "layers"} <= loaded.keys():
        return " but a payload, as an extraction writes it"
    if any(map(_is_backbone_name, tensors)):
        return " but the weights of a backbone (they belong to --dino-weights-pt)"
    return ""


def _describe_content(loaded: Any) -> str:
    if not isinstance(loaded, dict):
        return type(loaded).__name__
    return name_some([str(key) for key in loaded]) or "dict"


def digest_adapter(config: Mapping[str, Any], state: Mapping[str, Tensor]) -> str:
    """Compute the SHA-256 of what an adapter does, whatever file it is in.

    It covers the settings that enter the arithmetic (rank, alpha, their patterns, rsLoRA, DoRA)
    and, in the order of the names, every tensor's name, precision, shape and bytes. Hence the
    same adapter in two heads, or in a head and a peft folder, has the same digest; another rank,
    scale or value has not.
    """
    settings = {key: config.get(key) for key in _DECISIVE}
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _read_adapter_folder(path: Path) -> Head:
    path = _find_adapter_folder(path)
    config = load_json_object(path / CONFIG_NAME, kind=KIND, error=AdapterError)
    weights = [path / name for name in WEIGHTS_NAMES if is_regular(path / name)]
    if not weights:
        raise AdapterError(
            f"{path}: this adapter folder holds no {WEIGHTS_NAMES[0]}. Copy the whole folder that "
            "save_pretrained wrote."
        )
    if weights[0].suffix == ".safetensors":
        state: Any = load_safetensors(weights[0], kind=KIND, error=AdapterError)
    else:
        state = load_torch_file(weights[0], kind=KIND, error=AdapterError)
    return _build_head(path, {}, config, state)


def _find_adapter_folder(path: Path) -> Path:
    """Return the folder itself, or the one below it where peft put an adapter with a name."""
    if is_regular(path / CONFIG_NAME):
        return path
    named = sorted(config.parent for config in path.glob(f"*/{CONFIG_NAME}"))
    if len(named) > 1:
        names = name_some([folder.name for folder in named])
        raise AdapterError(
            f"{path}: this folder holds several adapters: {names}. Name the folder of one of them "
            "(--head-weights)."
        )
    return named[0] if named else path


def _build_head(path: Path, meta: dict[str, Any], config: Any, state: Any) -> Head:
    config = read_settings(config) or config
    if not isinstance(config, dict) or not config:
        return Head(path, meta, fault="peft.config is missing or empty")
    if not isinstance(state, Mapping) or not state:
        return Head(path, meta, fault="peft.state_dict is missing or empty")
    wrong = [
        str(name)
        for name, value in state.items()
        if not isinstance(name, str) or not _is_float_tensor(value)
    ]
    if wrong:
        return Head(path, meta, fault=f"not floating-point tensors: {name_some(wrong)}")
    longest = max(map(len, state))
    if longest > MAX_NAME:
        return Head(path, meta, fault=f"a tensor's name of {longest} letters")
    related = relate_to_backbone(state)
    config = config | {
        key: _rename_modules(config[key], max(related.paths, key=len))
        for key in _NAMED_MODULES
        if key in config
    }
    return Head(
        path,
        meta,
        config,
        related.state,
        digest=partial(digest_adapter, config, related.state),
        paths=related.paths,
        notices=_describe_aside(path, related),
    )


def _describe_aside(path: Path, related: AdapterTensors) -> tuple[str, ...]:
    notices = []
    if len(related.adapters) > 1:
        names = name_some(related.adapters)
        notices.append(
            f"{path}: this file holds several adapters ({names}); the one named default is used, "
            "else the first by name. Save the one to measure on its own for another."
        )
    if related.aside:
        notices.append(
            f"{path}: {len(related.aside)} tensors of the adapter belong to what was around the "
            f"backbone, as a classifier, and are left aside: {name_some(related.aside)}."
        )
    return tuple(notices)


def _is_float_tensor(value: object) -> bool:
    return (
        isinstance(value, Tensor)
        and value.dtype in _FLOATS
        and value.layout is torch.strided
        and not (value.is_meta or value.is_nested)
    )


def _rename_modules(modules: Any, start: str) -> Any:
    if isinstance(modules, Mapping):
        return {str(name).removeprefix(start): value for name, value in modules.items()}
    if isinstance(modules, list | tuple | set):
        return sorted(str(name).removeprefix(start) for name in modules)
    return modules
