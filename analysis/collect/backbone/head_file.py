"""Read a head: what a training run leaves beside the frozen backbone. Does not need peft.

A head file is ``{"state_dict", "meta", "peft": {"config": LoraConfig.to_dict(), "state_dict"}}``;
``peft`` is absent where nothing was adapted. peft's own adapter folder (`adapter_config.json` and
`adapter_model.safetensors`) counts as a head without regression weights.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from analysis.collect.backbone.names import name_some
from analysis.errors import AdapterError
from analysis.files.atomic import is_folder, is_regular
from analysis.files.safe_load import SafeGlobal, load_json_object, load_safetensors, load_torch_file

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
_PEFT_PREFIX = "base_model.model."
# "....lora_A.default.weight" where a raw state dict was saved, "....lora_A.weight" usually.
_ADAPTER_NAME = re.compile(r"\.(lora_\w+)\.default(?=\.|$)")
# Current peft keeps the magnitudes of DoRA in a module, and saves them as it did before.
_MAGNITUDE = re.compile(r"(\.lora_magnitude_vector)\.weight$")
_OWN_MODULE = re.compile(r"^(.*?)(?:blocks\.\d+\.|patch_embed\.)")


@dataclass(frozen=True)
class Head:
    """A head as it was read; its adapter has not been tried yet."""

    path: Path
    meta: dict[str, Any] = field(default_factory=dict)
    peft_config: dict[str, Any] | None = None
    """`LoraConfig` as a dict, enums as strings; None without an adapter."""
    peft_state: dict[str, Tensor] | None = None
    """The adapter's tensors, named relative to the backbone, without peft's prefix."""
    sha256: str | None = None
    """Of the adapter's content (`digest_adapter`), None without an adapter."""
    fault: str | None = None
    """Why the adapter in the file cannot be used, where that shows without trying."""


def read_head(path: Path) -> Head:
    """Read a head file or a peft adapter folder without executing anything in it.

    Raises:
        AdapterError: If the file is missing, damaged, hostile or no head. A head whose adapter is
            incomplete is returned with its `fault`.
    """
    if path.name in (CONFIG_NAME, *WEIGHTS_NAMES):
        path = path.parent
    if is_folder(path):
        return _read_adapter_folder(path)
    loaded = load_torch_file(path, kind=KIND, error=AdapterError, allowed=ALLOWED)
    if not isinstance(loaded, dict) or not {"state_dict", "meta", "peft"} & loaded.keys():
        found = name_some([str(key) for key in loaded]) if isinstance(loaded, dict) else None
        raise AdapterError(
            f"{path}: this is not a head file. Expected a dict with the keys state_dict, meta and "
            f"peft, found {found or type(loaded).__name__}. Give another head (--head-weights), or "
            "none for the frozen backbone."
        )
    meta = loaded.get("meta")
    meta = dict(meta) if isinstance(meta, dict) else {}
    peft = loaded.get("peft")
    if not peft:
        return Head(path, meta)
    if not isinstance(peft, dict):
        return Head(path, meta, fault=f"peft is {type(peft).__name__}, expected a dict")
    return _build_head(path, meta, peft.get("config"), peft.get("state_dict"))


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
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read_adapter_folder(path: Path) -> Head:
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


def _build_head(path: Path, meta: dict[str, Any], config: Any, state: Any) -> Head:
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
    config, state = _name_relative_to_backbone(config, state)
    return Head(path, meta, config, state, digest_adapter(config, state))


def _is_float_tensor(value: object) -> bool:
    return isinstance(value, Tensor) and value.is_floating_point()


def _name_relative_to_backbone(
    config: dict[str, Any], state: Mapping[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Take off peft's prefix, the adapter's name, and the path to the backbone in a wrapper."""
    names = {
        name: _MAGNITUDE.sub(r"\1", _ADAPTER_NAME.sub(r".\1", name)).removeprefix(_PEFT_PREFIX)
        for name in state
    }
    starts = {match[1] for name in names.values() if (match := _OWN_MODULE.match(name))}
    # One path for all, or none: anything else would be a guess.
    start = starts.pop() if len(starts) == 1 else ""

    own = {names[name].removeprefix(start): tensor for name, tensor in state.items()}
    return config | {
        key: _rename_modules(config[key], start) for key in _NAMED_MODULES if key in config
    }, own


def _rename_modules(modules: Any, start: str) -> Any:
    if isinstance(modules, Mapping):
        return {str(name).removeprefix(start): value for name, value in modules.items()}
    if isinstance(modules, list | tuple | set):
        return sorted(str(name).removeprefix(start) for name in modules)
    return modules
