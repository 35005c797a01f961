"""Check that a file is a payload before anything reads it (`analysis.payload.contract`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from analysis.errors import PayloadError
from analysis.language import _
from analysis.payload.contract.form import Form, FormError, check, shorten
from analysis.payload.contract.payload import PAYLOAD
from analysis.vocabulary import REPRESENTATIONS, ROLES

MAX_LAYERS = 256

MAX_TABLE = 2**20
"""Layers times channels: six times those of the largest backbone."""


def validate_payload(payload: Any, path: Path) -> None:
    """Check `meta` and `layers`; `extras` are checked where they are read, `meta.run` is cleared.

    Raises:
        PayloadError: At the first key that is missing or not as specified, naming the path, the
            key, what was expected and what was found.
    """
    try:
        _check_payload(payload)
    except FormError as error:
        raise PayloadError(
            _(
                "{path}: not a feature-statistics payload. {error}. Make it anew with "
                "analyze_dinov3_features.py."
            ).format(path=path, error=error)
        ) from error


def check_meta(meta: Any) -> tuple[int, int]:
    """Check what every `meta` must hold, and return its numbers of layers and of channels.

    Raises:
        FormError: As `validate_payload`, without the path.
    """
    form = PAYLOAD.fields["meta"]
    known = {key: form.fields[key] for key in ("config", "backbone", "counts")}
    check(meta, Form(dict, fields=known), "meta", {})
    num_layers, channels = meta["counts"]["num_layers"], meta["counts"]["embedding_dim"]
    if num_layers > MAX_LAYERS or channels < 1 or num_layers * channels > MAX_TABLE:
        raise FormError(
            "meta.counts",
            f"at most {MAX_LAYERS} layers and {MAX_TABLE} channels of all layers, at least 1",
            f"{num_layers} layers of {channels} channels",
        )
    return num_layers, channels


def _check_payload(payload: Any) -> None:
    check(payload, Form(dict), "the file", {})
    for key in ("meta", "layers"):
        if key not in payload:
            raise FormError(key, "this key (dict)", f"only {shorten(payload)}")
    layers = PAYLOAD.fields["layers"]
    num_layers, channels = check_meta(payload["meta"])
    check(payload["layers"], Form(dict), "layers", {})
    keys = list(payload["layers"])
    if (
        any(type(key) is not int for key in keys)
        or sorted(keys) != list(range(num_layers))
        or not keys
    ):
        raise FormError(
            "layers",
            f"the layers 0 to {num_layers - 1} of meta.counts.num_layers = {num_layers}",
            f"{len(keys)} layer(s): {shorten(keys)}",
        )
    assert layers.item is not None
    for layer in range(num_layers):
        cells = payload["layers"][layer]
        check(cells, layers.item, f"layers.{layer}", {"C": channels})
        for role in ROLES:
            tokens = [cells[representation][role]["count"] for representation in REPRESENTATIONS]
            if len(set(tokens)) > 1:
                raise FormError(
                    f"layers.{layer}.*.{role}.count",
                    "the same tokens behind every representation",
                    ", ".join(map(str, tokens)),
                )
