"""Configs, sidecars and adapter settings that are no such thing, or never end."""

from __future__ import annotations

import json
import random
from typing import Any

MEGABYTE = 990_000


def hostile_yaml() -> dict[str, bytes]:
    """Return contents of `train.yaml`; none is a usable config."""
    aliases = "a0: &a0 [x, x]\n" + "".join(
        f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 20)
    )
    merges = "a0: &a0 {k: 1}\n" + "".join(
        f"a{i}: &a{i} {{<<: [{', '.join([f'*a{i - 1}'] * 9)}]}}\n" for i in range(1, 20)
    )
    long_text = "a: &a " + "x" * 100_000 + "\nb: [" + "*a, " * 5000 + "*a]\n"
    texts = {
        "aliases": aliases,
        "merged aliases": merges,
        "one long text 5000 times": long_text,
        "alias of itself": "a: &a [*a]\n",
        "key of itself": "&a ? *a : 1\n",
        "chain of aliases": "a0: &a0 [x]\n"
        + "".join(f"a{i}: &a{i} [*a{i - 1}]\n" for i in range(1, 3000)),
        "flow 10^6 deep": "[" * MEGABYTE,
        "mappings 10^5 deep": "{a: " * 100_000,
        "block 10^5 deep": "- " * 100_000,
        "keys 10^5 deep": "? " * 100_000,
        "indented 1300 deep": "".join(" " * i + "a:\n" for i in range(1300)),
        "many values": "a: [" + "1," * (MEGABYTE // 2) + "1]",
        "many lines": "a:\n" + "- 1\n" * (MEGABYTE // 4),
        "many keys": "".join(f"k{i}: 1\n" for i in range(90_000)),
        "many documents": "--- a\n" * 100_000,
        "many anchors": "".join(f"a{i}: &x{i} 1\n" for i in range(50_000)),
        "comment without end": "#" * MEGABYTE,
        "lines without end": "a: " + "\n" * MEGABYTE + "b",
        "escapes": 'a: "' + "\\n" * (MEGABYTE // 2) + '"',
        "base 60": "seed: 1" + ":59" * (MEGABYTE // 3),
        "base 60 float": "seed: 1" + ":59" * (MEGABYTE // 3) + ".5",
        "hexadecimal": "version: 0x" + "f" * MEGABYTE,
        "long number": "version: " + "9" * 4000,
        "underscores": "seed: " + "1_" * (MEGABYTE // 2),
        "larger than a megabyte": "a: " + "x" * 1_100_000,
        "python object": "!!python/object/apply:os.system ['touch executed']",
        "python name": "a: !!python/name:os.system",
        "python module": "a: !!python/module:antigravity",
        "python new": "!!python/object/new:subprocess.Popen [[touch, executed]]",
        "python tuple": "? !!python/tuple [1, 2]\n: 1\n",
        "unknown tag": "a: !<tag:x> 1\n",
        "long tag": "a: !!" + "x" * MEGABYTE + " 1",
        "list as a key": "? [1, 2]\n: 1\n",
        "wrong date": "a: 2024-13-45\n",
        "wrong base64": "a: !!binary '=x'\n",
        "wrong float": "a: !!float x\n",
        "omap": "a: !!omap [1, 2]\n",
        "tabs": "a:\n\t- b\n",
        "bell": "a: \x07\n",
        "half a surrogate pair": 'version: "\\ud800"\n',
        "list": "[1, 2]\n",
        "text": "hello\n",
        "null": "null\n",
        "%YAML 9": "%YAML 9.9\n---\na: 1\n",
    }
    return {name: text.encode() for name, text in texts.items()} | {
        "empty": b"",
        "nul": b"\0" * 1000,
        "utf-16": "a: 1\n".encode("utf-16"),
        "not utf-8": b"a: \xff\xfe\n",
        "random": random.Random(0).randbytes(5000),
    }


def hostile_json() -> dict[str, bytes]:
    """Return contents of a JSON file that should hold one object."""
    numbers = "9" * 4000
    values: dict[str, Any] = {
        "list": [1, 2],
        "text": "x",
        "null": None,
        "wrong types": {"version": [1], "num_images": -3, "created": {}, "size": "x", "r": "x"},
        "half a surrogate pair": {"version": "\udc80", "backbone": "a\nb\u202e", "r": 4},
        "html": {"version": "<img src=x onerror=alert(1)>", "r": 4},
        "long text": {"version": "x" * 200_000, "peft_type": "x" * 200_000},
        "years": {"created": "0001-01-01T00:00:00+14:00"},
        "late years": {"created": "9999-12-31T23:59:59-14:00"},
        "long key": {"x" * 200_000: 1},
        "nested 500 deep": json.loads("[" * 500 + "]" * 500),
        "settings of another kind": {"peft_type": "IA3", "r": 8},
        "endless block": {"peft_type": "LORA", "r": -1, "target_modules": "(" * 1000},
    }
    texts = {
        "empty": "",
        "cut": '{"version": "a',
        "nested 10^6 deep": "[" * 10**6,
        "objects 10^6 deep": '{"a":' * 10**6,
        "many values": "[" + "{}," * (10**6) + "{}]",
        "five megabytes": '{"a": "' + "x" * 5_000_000 + '"}',
        "long numbers": f'{{"num_images": {numbers}, "seconds": 1e999, "size": {numbers}0}}',
        "longer numbers": f'{{"num_images": {numbers * 2}}}',
        "NaN": '{"seconds": NaN, "images_per_second": Infinity, "mtime_ns": -Infinity}',
        "same key": '{"version": "a", "version": 1}',
    }
    found = {name: json.dumps(value).encode() for name, value in values.items()}
    return (
        found
        | {name: text.encode() for name, text in texts.items()}
        | {
            "utf-16": '{"a": 1}'.encode("utf-16"),
            "not utf-8": b'{"version": "\xff"}',
            "nul": b"\0" * 1000,
            "pickle": b"\x80\x02cos\nsystem\nX\x04\0\0\0truetR.",
        }
    )
