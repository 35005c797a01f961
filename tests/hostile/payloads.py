"""Payloads of which one thing is wrong: every one must be refused, and the key named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from typing import Any

import torch

from tests.factories.payloads import make_payload

LAYERS, CHANNELS = 2, 6


def wrong_payloads() -> dict[str, Any]:
    """Return contents for `torch.save`."""
    good = make_payload(layers=LAYERS, channels=CHANNELS)
    wrong: dict[str, Any] = {
        "nothing": None,
        "a list": [1, 2],
        "a tensor": torch.zeros(4),
        "a text": "layers",
        "an empty dict": {},
        "numbers as keys": {1: {}, 2: {}},
        "None as a key": {None: good["meta"], "layers": good["layers"]},
    }
    for name, change in _changes():
        payload = copy.deepcopy(good)
        change(payload)
        wrong[name] = payload
    return wrong


def _changes() -> Iterator[tuple[str, Callable[[dict[Any, Any]], None]]]:
    cell = ("layers", 1, "per_layer_ln", "patch")
    for keys in (
        ("meta",), ("layers",), ("meta", "config"), ("meta", "backbone"), ("meta", "counts"),
        ("meta", "counts", "num_layers"), ("meta", "backbone", "used_lora"),
        ("layers", 0), ("layers", 1, "pre"), ("layers", 1, "pre", "cls"),
        (*cell, "count"), (*cell, "mean"), (*cell, "std"), (*cell, "max_abs"),
    ):  # fmt: skip
        yield f"without {_dotted(keys)}", lambda payload, keys=keys: _delete(payload, keys)
        for kind, value in (("None", None), ("a list", []), ("a text", "x"), ("bool", True)):
            if (keys[-1], kind) != ("used_lora", "bool"):
                label = f"{_dotted(keys)} is {kind}"
                yield label, lambda payload, keys=keys, value=value: _set(payload, keys, value)
    counts = {
        "negative": -1, "0": 0, "2^40": 2**40, "2^70": 2**70, "1.5": 1.5, "10^600": 10**600,
        "NaN": float("nan"),
    }  # fmt: skip
    for label, count in counts.items():
        for keys in (
            (*cell, "count"), ("meta", "counts", "num_layers"), ("meta", "counts", "embedding_dim")
        ):  # fmt: skip
            if (label, keys[-1]) != ("2^40", "count"):
                name = f"{_dotted(keys)} is {label}"
                yield name, lambda payload, keys=keys, count=count: _set(payload, keys, count)
    yield "num_images is -1", lambda payload: _set(payload, ("meta", "counts", "num_images"), -1)
    yield "counts that disagree", lambda payload: _set(payload, (*cell, "count"), 7)
    good = torch.ones(CHANNELS)
    tensors = {
        "NaN": good * torch.nan, "inf": good * torch.inf, "-inf": good * -torch.inf,
        "one channel more": torch.ones(CHANNELS + 1), "one less": torch.ones(CHANNELS - 1),
        "none": torch.ones(0), "two axes": torch.ones(1, CHANNELS), "no axis": torch.tensor(1.0),
        "float64": good.double(), "float16": good.half(), "int64": good.long(),
        "bool": good.bool(), "complex": good.to(torch.complex64), "expanded": torch.ones(1).expand(
            CHANNELS
        ), "sparse": good.to_sparse(), "parameter": torch.nn.Parameter(good),
        "needs a gradient": good.clone().requires_grad_(),
        "lazily negated": torch.imag(torch.ones(CHANNELS, dtype=torch.complex64).conj()),
    }  # fmt: skip
    for name, tensor in tensors.items():
        for statistic in ("mean", "max_abs"):
            keys = (*cell, statistic)
            yield f"{name} {statistic}", lambda p, keys=keys, value=tensor: _set(p, keys, value)
    yield "negative std", lambda payload: _set(payload, (*cell, "std"), -good)
    yield "negative max_abs", lambda payload: _set(payload, (*cell, "max_abs"), -good)
    yield "a layer more", lambda payload: payload["layers"].update({2: payload["layers"][0]})
    yield "layers as text", lambda payload: _rename(payload, str)
    yield "layers as floats", lambda payload: _rename(payload, float)
    yield "layers as bool", lambda payload: _rename(payload, bool)
    yield "layers from 1", lambda payload: _rename(payload, lambda layer: layer + 1)
    yield "negative layers", lambda payload: _rename(payload, lambda layer: -layer - 1)
    yield "100,000 layers of one", _repeat_layers
    yield "one storage as every layer", _share_storage
    yield "a storage in meta", lambda p: p["meta"].update(x=torch.ones(10**6).untyped_storage())


def odd_payloads() -> dict[str, Any]:
    """Return contents that are unusual but hold what the specification asks for."""
    good = make_payload(layers=LAYERS, channels=CHANNELS)

    def changed(**meta: Any) -> dict[str, Any]:
        return {"meta": good["meta"] | meta, "layers": good["layers"]}

    nested: Any = "deep"
    for _ in range(50):
        nested = [nested]
    return {
        "half a surrogate pair": changed(project_dir="\udc80", note={"\udfff": "\ud800"}),
        "html": changed(project_dir="<script>alert(1)</script>"),
        "line ends": changed(project_dir="a\nb\r\x1b[31m\u202e"),
        "numbers as keys in config": changed(config={1: 2, 2.5: None, None: 1, False: 0}),
        "NaN in meta": changed(run={"seconds": float("nan"), "warnings": [float("inf")]}),
        "tensors in meta": changed(run={f"t{i}": torch.zeros(2000) for i in range(500)}),
        "nested config": changed(config={"x": nested}),
        "long text": changed(project_dir="x" * 10**6),
        "sets and sizes": changed(run={"set": {1, 2}, "size": torch.Size([1, 2]), "t": (1, 2)}),
        "kinds of numbers": changed(run={"dtype": torch.float32, "device": torch.device("cpu")}),
        "run is a list": changed(run=[1, 2]),
        "long integer": changed(run={"seconds": 10**600}),
        "extras are a text": {**good, "extras": "x"},
        "extras of others": {**good, "extras": {"layers": {0: None}, "images": -1}},
        "more at the top": {**good, "more": {"x": [1]}, 7: 8},
    }


def wrong_extras() -> dict[str, Any]:
    """Return payloads whose `layers` can be read and whose `extras` cannot."""
    good = make_payload(layers=LAYERS, channels=CHANNELS, extras=True)
    found: dict[str, Any] = {
        "a text": good | {"extras": "x"},
        "a list": good | {"extras": [1]},
        "layers of a list": good | {"extras": {"layers": [1]}},
        "images of a number": good | {"extras": {"images": -1}},
        "grid of texts": good | {"extras": {"images": {"grid": ["a", "b"]}}},
        "grid of nothing": good | {"extras": {"images": {"grid": [0, 0]}}},
        "paths of numbers": good | {"extras": {"images": {"paths": [1]}}},
        "paths of a text": good | {"extras": {"images": {"paths": "abc"}}},
        "norm of a tensor": good | {"extras": {"norm": torch.ones(6)}},
        "norm of another length": good | {"extras": {"norm": {"gamma": torch.ones(2)}}},
        "embedding of nothing": good | {"extras": {"embedding": {"cls": {}}}},
    }
    for keys in _leaves(good["extras"]["layers"][1]):
        if keys[-1] in ("patch", "min", "std", "top", "count") and "storage_1" not in keys:
            for kind, value in (("text", "x"), ("short", torch.ones(1)), ("dict", {"a": 1})):
                payload = copy.deepcopy(good)
                _set(payload, ("extras", "layers", 1, *keys), value)
                found[f"{_dotted(keys)} {kind}"] = payload
    for part in good["extras"]["layers"][0]:
        payload = copy.deepcopy(good)
        payload["extras"]["layers"][0][part] = {"cls": {"\n": torch.ones(1)}, 1: 2}
        found[f"{part} of other keys"] = payload
    return found


def _leaves(tree: Any, above: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if not isinstance(tree, dict):
        yield above
        return
    for key, child in tree.items():
        yield from _leaves(child, (*above, key))


def _dotted(keys: tuple[Any, ...]) -> str:
    return ".".join(map(str, keys))


def _set(payload: dict[Any, Any], keys: tuple[Any, ...], value: Any) -> None:
    for key in keys[:-1]:
        payload = payload[key]
    payload[keys[-1]] = value


def _delete(payload: dict[Any, Any], keys: tuple[Any, ...]) -> None:
    for key in keys[:-1]:
        payload = payload[key]
    del payload[keys[-1]]


def _rename(payload: dict[Any, Any], rename: Callable[[int], Any]) -> None:
    payload["layers"] = {rename(layer): cells for layer, cells in payload["layers"].items()}


def _repeat_layers(payload: dict[Any, Any]) -> None:
    payload["layers"] = dict.fromkeys(range(100_000), payload["layers"][0])
    payload["meta"]["counts"]["num_layers"] = 100_000


def _share_storage(payload: dict[Any, Any]) -> None:
    values = torch.ones(100_000)
    cell = {"count": 1, "mean": values, "std": values, "max_abs": values}
    roles = {"cls": cell, "patch": cell}
    layer = {"pre": roles, "per_layer_ln": roles, "global_ln": roles}
    payload["layers"] = dict.fromkeys(range(200), layer)
    payload["meta"]["counts"] |= {"num_layers": 200, "embedding_dim": 100_000}
