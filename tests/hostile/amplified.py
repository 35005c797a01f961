"""Small files of which each reader could make much: one tensor in many places, packed lists."""

from __future__ import annotations

import io
import zipfile
from typing import Any

import torch

from tests.factories.payloads import make_payload

LAYERS = 256
ROLES = ["cls", "patch", *(f"storage_{number}" for number in range(100))]


def amplified_extras() -> dict[str, bytes]:
    """Return payloads whose tables can be read and whose extras would fill the memory."""
    wide = torch.zeros(4096, dtype=torch.float64)
    groups = {
        "count": torch.ones(8, dtype=torch.int64),
        "mean": torch.zeros(8, 4096, dtype=torch.float64),
        "std": torch.zeros(8, 4096, dtype=torch.float64),
    }
    end = {"min": wide, "max": wide}
    ends = dict.fromkeys(ROLES, end)
    footprint = {
        "channels": torch.zeros(1, dtype=torch.int64),
        "mean_abs": torch.zeros(1, 3000, 3000),
    }
    layers = {
        "one vector as the range of all roles": {"range": {"pre": ends, "per_layer_ln": ends}},
        "one table as the groups of all roles": {"groups": {"pre": dict.fromkeys(ROLES, groups)}},
        "one footprint of 3000 x 3000": {"footprint": footprint},
    }
    contents = {name: _share(part) for name, part in layers.items()}
    for name, paths in {
        "60 MB of empty paths": torch.zeros(60_000_000, dtype=torch.uint8),
        "20 million paths": torch.tensor([97, 98, 0], dtype=torch.uint8).repeat(20_000_000),
        "a path of 200 MB": torch.full((200_000_000,), 97, dtype=torch.uint8),
    }.items():
        payload = make_payload(layers=2, channels=6, extras=True)
        payload["extras"]["images"]["paths"] = paths
        contents[name] = deflate(payload)
    return contents


def heads_of_every_float() -> dict[str, Any]:
    """Return heads whose tensors torch can hold and cannot always compute with."""
    kinds = [
        kind
        for name, kind in vars(torch).items()
        if isinstance(kind, torch.dtype) and name.startswith("float") and kind.itemsize == 1
    ]
    heads = {}
    for kind in kinds:
        state = {
            f"base_model.model.blocks.0.attn.qkv.lora_{side}.weight": torch.zeros(
                shape, dtype=torch.uint8
            ).view(kind)
            for side, shape in (("A", (4, 192)), ("B", (576, 4)))
        }
        config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv"]}
        peft = {"config": config, "state_dict": state}
        heads[str(kind)] = {"state_dict": {}, "meta": {}, "peft": peft}
    return heads


def deflate(content: Any) -> bytes:
    """Save a value as torch does, and compress the archive as somebody might."""
    saved, packed = io.BytesIO(), io.BytesIO()
    torch.save(content, saved)
    with (
        zipfile.ZipFile(saved) as source,
        zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as target,
    ):
        for entry in source.infolist():
            target.writestr(entry.filename, source.read(entry))
    return packed.getvalue()


def _share(part: dict[str, Any]) -> bytes:
    wide = "footprint" not in part
    payload = make_payload(layers=1, channels=4096 if wide else 48)
    payload["layers"] = dict.fromkeys(range(LAYERS), payload["layers"][0])
    payload["meta"]["counts"]["num_layers"] = LAYERS
    payload["meta"]["run"] = {}
    images = {"paths": ["a"], "grid": [2, 4] if wide else [3000, 3000]}
    payload["extras"] = {"layers": dict.fromkeys(range(LAYERS), part), "images": images}
    return deflate(payload)
