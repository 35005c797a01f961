"""Files that a second round of attacks made: settings of adapters, archives, headers, scores.

Expressions without an end are left out: a process of their own ends them after ten seconds
(`tests/collect/backbone/test_adapter_patterns.py`), which here would count as hung.
"""

from __future__ import annotations

import json
import struct
from typing import Any

import torch

from tests.hostile.archives import _patch, _patch32, as_zip
from tests.hostile.pickles import in_dict, tensor

SETTINGS: dict[str, dict[str, Any]] = {
    "a module to import": {"megatron_config": {"a": 1}, "megatron_core": "this"},
    "a module of the allow-list to import": {
        "megatron_config": {"a": 1}, "megatron_core": "megatron.evil"
    },
    "rank 10^9": {"r": 10**9}, "rank 10^6": {"r": 10**6}, "rank -1": {"r": -1},
    "rank of text": {"r": "8"}, "rank true": {"r": True}, "rank 1.5": {"r": 1.5},
    "alpha infinite": {"lora_alpha": float("inf")}, "alpha NaN": {"lora_alpha": float("nan")},
    "alpha a long text": {"lora_alpha": "x" * 10**6}, "alpha 10^400": {"lora_alpha": 10**400},
    "dropout 2": {"lora_dropout": 2.0}, "bias all": {"bias": "all"}, "bias a list": {"bias": ["x"]},
    "layers replicated": {"layer_replication": [[0, 10**6]]},
    "invocation tokens": {"alora_invocation_tokens": [1]},
    "target_parameters": {"target_parameters": ["blocks.0.attn.qkv.weight"]},
    "token indices": {"trainable_token_indices": [1]}, "qalora": {"use_qalora": True},
    "eva": {"init_lora_weights": "eva"}, "olora": {"init_lora_weights": "olora"},
    "pissa of 10^5 rounds": {"init_lora_weights": "pissa_niter_100000"},
    "pissa of no rounds": {"init_lora_weights": "pissa_niter_-1"},
    "pissa of digits": {"init_lora_weights": f"pissa_niter_{'9' * 5000}"},
    "corda": {"init_lora_weights": "corda"}, "a dict as start": {"init_lora_weights": {"a": 1}},
    "all-linear": {"target_modules": "all-linear"}, "no targets": {"target_modules": None},
    "targets of numbers": {"target_modules": [1, 2]},
    "200,000 targets": {"target_modules": [f"x{n}" for n in range(200_000)]},
    "50,000 settings": {f"k{n}": n for n in range(50_000)},
    "lora_bias": {"lora_bias": True}, "dora without magnitudes": {"use_dora": True},
}  # fmt: skip


def heads_of_hostile_settings() -> dict[str, Any]:
    """Return heads whose adapter is harmless but for one setting, or one tensor's name."""
    heads = {name: _head(change) for name, change in SETTINGS.items()}
    for name, stored in {
        "a name of 9 MB": "base_model.model." + "blocks.0." * 1_000_000 + "lora_A.weight",
        "a name of adapters": ".lora_A.default" * 300_000,
        "a name of wrappers": "module." * 500_000 + "blocks.0.attn.qkv.lora_A.weight",
        "a name of prefixes": "base_model.model." * 200_000 + "lora_A.weight",
    }.items():
        heads[name] = _head({}, {stored: torch.ones(1)})
    return heads


def _head(settings: dict[str, Any], more: dict[str, Any] | None = None) -> dict[str, Any]:
    state = {
        f"base_model.model.blocks.0.attn.qkv.lora_{side}.weight": torch.ones(shape)
        for side, shape in (("A", (4, 192)), ("B", (576, 4)))
    }
    config = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ["qkv"]}
    peft = {"config": config | settings, "state_dict": state | (more or {})}
    return {"state_dict": {}, "meta": {}, "peft": peft}


def archives_of_two_minds() -> dict[str, bytes]:
    """Return archives whose two lists of entries, or whose entry and header, disagree."""
    good = as_zip(in_dict(tensor([2], [1])))
    entry, listed = good.index(b"PK\3\4"), good.index(b"PK\1\2")
    return {
        "another name before the pickle": good.replace(b"archive/data.pkl", b"archive/date.pkl", 1),
        "60 kB of extra": _patch(good, (entry + 28, 60_000)),
        "a descriptor behind": _patch(good, (entry + 6, 8), (listed + 6, 8)),
        "strong encryption": _patch(good, (entry + 6, 0x41), (listed + 6, 0x41)),
        "NUL in the folder": good.replace(b"archive/data.pkl", b"arch\0ve/data.pkl"),
        "NUL in one folder of two": good.replace(b"archive/data.pkl", b"arch\0ve/data.pkl", 1),
        "offset of zip64 without one": _patch32(good, listed + 42, 0xFFFFFFFF),
        "offset beyond": _patch32(good, listed + 42, 0x7FFFFFFF),
        "another disk": _patch(good, (listed + 34, 1)),
        "version 99": _patch(good, (listed + 6, 99)),
        "no date": _patch(good, (listed + 12, 0xFFFF), (listed + 14, 0)),
        "name longer than there is": _patch(good, (listed + 28, 60_000)),
        "comment longer than there is": _patch(good, (listed + 32, 60_000)),
        "method 99": _patch(good, (entry + 8, 99), (listed + 10, 99)),
    }


def crafted_headers() -> dict[str, bytes]:
    """Return safetensors files whose headers lie."""
    one = {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}
    text = json.dumps(one).encode()
    headers: dict[str, bytes | dict[str, Any]] = {
        "two of one name": b'{"a":' + text + b',"a":' + text + b"}",
        "blanks": b"{" + b" " * 15_999_990 + b"}",
        "200,000 empty tensors": {
            str(n): {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]} for n in range(200_000)
        },
        "16 MB of metadata": {"__metadata__": {"x": "y" * 15_900_000}},
        "overlap by one": {"a": one, "b": one | {"data_offsets": [3, 7]}},
        "end before start": {"a": one | {"data_offsets": [4, 0]}},
        "shape of floats": {"a": one | {"shape": [1.5]}},
        "shape 2^64": {"a": one | {"shape": [2**64]}},
        "shape in a shape": {"a": one | {"shape": [[1]]}},
        "10^6 dimensions": {"a": one | {"shape": [1] * 10**6}},
        "one offset": {"a": one | {"data_offsets": [0]}},
        "NUL in a name": {"a\0b": one},
        "half a surrogate": b'{"\\ud800":' + text + b"}",
        "bytes behind": {"a": one},
        "scales": {"a": one | {"dtype": "F8_E8M0", "shape": [4]}},
        "127 levels": b'{"a":' * 127 + b"1" + b"}" * 127,
        "a name of 10 MB": {"blocks.0." * 1_100_000: one},
    }
    contents = {}
    for name, header in headers.items():
        raw = header if isinstance(header, bytes) else json.dumps(header).encode()
        contents[name] = struct.pack("<Q", len(raw)) + raw + bytes(400)
    return contents | {"length 2^64 - 1": b"\xff" * 8 + b"{", "length 0": bytes(8) + b"{"}


SPEEDS = ("1e-320", "true", "1e308", "1" + "0" * 400, "NaN", "[]", '"fast"', "-1", "Infinity")
"""What another person may have noted as images per second, in JSON."""
