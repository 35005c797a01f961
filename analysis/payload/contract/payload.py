"""A payload as a whole: its statistics and its `meta`, and the JSON beside the file."""

from __future__ import annotations

from typing import Annotated, Any, NotRequired, TypedDict

from analysis.payload.contract.extras import Extras
from analysis.payload.contract.form import Doc, Form, Limits, compile_form
from analysis.payload.contract.kinds import (
    MAX_COUNT,
    Count,
    LayerKey,
    Magnitude,
    Measured,
    RepresentationKey,
    RoleKey,
)
from analysis.payload.contract.run import Run


class Statistics(TypedDict):
    """What is kept of one layer, representation and role."""

    count: Annotated[
        int,
        Limits(1, MAX_COUNT),
        Doc(
            "n, tokens pooled: images for `cls`, images × patches for `patch`, less those with a "
            "NaN or infinite value",
            "tokens",
        ),
    ]
    mean: Annotated[Measured, Doc("μ = Σx / n", "x")]
    std: Annotated[Magnitude, Doc("σ = sqrt(Σ(x - μ)² / n), of the population (ddof 0)", "x")]
    max_abs: Annotated[Magnitude, Doc("max of the absolute value of x over all tokens", "x")]


class Backbone(TypedDict):
    """What was measured."""

    backbone_name: Annotated[str, Doc("such as `dinov3_vith16plus`")]
    dino_weights_pt: Annotated[str | None, Doc("absolute path of the weights")]
    head_weights_base: Annotated[str | None, Doc("file or folder in which heads were looked for")]
    first_head_path: Annotated[str | None, Doc("the head that the adapter was taken from")]
    used_lora: Annotated[bool, Doc("whether an adapter was attached")]
    lora_error: Annotated[
        str | None,
        Doc("why the adapter could not be attached; the frozen backbone was measured then"),
    ]


class Counts(TypedDict):
    """How much was measured."""

    num_images: Annotated[Count, Doc("images measured; skipped ones do not count", "images")]
    num_batches: Annotated[
        Count,
        Doc(
            "batches of `meta.run.batch_size` images measured, over all ranks; those of the "
            "training loader where that equals `data.batch_size`",
            "batches",
        ),
    ]
    num_layers: Annotated[Count, Doc("L, number of blocks", "layers")]
    embedding_dim: Annotated[Count, Doc("C, number of channels", "channels")]
    n_storage_tokens: Annotated[Count, Doc("storage tokens between CLS and the patches", "tokens")]


class Meta(TypedDict):
    """Everything but numbers."""

    project_dir: NotRequired[Annotated[str, Doc("the project dir of the run")]]
    config: Annotated[dict[str, Any], Doc("`train.yaml` as parsed; dates are strings")]
    backbone: Backbone
    counts: Counts
    run: NotRequired[Run]


class Payload(TypedDict):
    """The file."""

    layers: dict[LayerKey, dict[RepresentationKey, dict[RoleKey, Statistics]]]
    meta: Meta
    extras: NotRequired[Extras]


class SidecarFacts(TypedDict, total=False):
    """The JSON beside the file."""

    schema_version: Annotated[int, Doc("as `meta.run.schema_version`")]
    version: Annotated[str | None, Doc("of the config")]
    train_all: Annotated[bool, Doc("`train_all.enabled` of the config")]
    config_name: Annotated[str, Doc("as in `meta.run`, like all keys here that are named alike")]
    backbone: Annotated[str, Doc("`meta.backbone.backbone_name`")]
    used_lora: Annotated[bool, Doc("as in `meta.backbone`")]
    lora_error: Annotated[str | None, Doc("as in `meta.backbone`")]
    num_images: Annotated[int, Doc("as in `meta.counts`", "images")]
    num_layers: Annotated[int, Doc("as in `meta.counts`", "layers")]
    embedding_dim: Annotated[int, Doc("as in `meta.counts`", "channels")]
    created: Annotated[str, Doc("ISO 8601, UTC")]
    device: Annotated[str, Doc("as in `meta.run`")]
    device_name: Annotated[str, Doc("as in `meta.run`")]
    precision: Annotated[str, Doc("as in `meta.run`")]
    image_size: Annotated[list[int], Doc("[width, height]", "pixels")]
    split: Annotated[str, Doc("as in `meta.run`")]
    images_per_second: Annotated[float, Doc("as in `meta.run`", "images / second")]
    seconds: Annotated[float, Doc("as in `meta.run`", "seconds")]
    warnings: Annotated[int, Doc("how many")]
    weights_sha256: Annotated[str, Doc("as in `meta.run`")]
    adapter_sha256: Annotated[str | None, Doc("as in `meta.run`")]
    dataset_fingerprint: Annotated[str, Doc("as in `meta.run`")]
    request_fingerprint: Annotated[str, Doc("as in `meta.run`")]
    size: Annotated[int, Doc("of the `.pt`", "bytes")]
    mtime_ns: Annotated[int, Doc("modification time of the `.pt`", "nanoseconds")]


PAYLOAD: Form = compile_form(Payload)
SIDECAR: Form = compile_form(SidecarFacts)
