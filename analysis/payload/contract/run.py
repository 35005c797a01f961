"""The record of a run in a payload, `meta["run"]`: every key, its type, unit and meaning."""

from __future__ import annotations

from typing import Annotated, NotRequired, TypedDict

from analysis.payload.contract.form import Doc, Form, Length, compile_form
from analysis.payload.contract.kinds import Amount, Count, Real, Size, Text


class ImageSet(TypedDict):
    """Images of one section of the config."""

    section: Text
    images: Count


class SkippedFile(TypedDict):
    """An image that could not be read."""

    path: Text
    reason: Text


class TokenNorm(TypedDict):
    """The LayerNorm that a head applies to one of the layers that it reads."""

    index: Count
    gamma_mean: Real
    gamma_std: Real
    beta_rms: NotRequired[Real]


MAX_HEAD_LAYERS = 256

Triple = Annotated[list[Real], Length((3,))]


class Normalization(TypedDict):
    """Of pixels, before the network."""

    mean: Annotated[Triple, Doc("per colour channel, of pixels in 0 to 1")]
    std: Annotated[Triple, Doc("likewise")]


class Adapter(TypedDict, total=False):
    """The low-rank adapter."""

    method: Annotated[
        Text,
        Doc("`LoRA` or `DoRA`, with `(rank-stabilised)` where the scale is alpha / √rank"),
    ]
    rank: Annotated[Count, Doc("of the module with the largest one, as it was trained")]
    least_rank: Annotated[Count, Doc("of the module with the smallest one")]
    alpha: Annotated[Count | Real, Doc("`lora_alpha`")]
    targets: Annotated[
        list[Text], Doc("last part of the names of the adapted modules, as in training")
    ]
    blocks: Annotated[list[Count], Doc("indices of the blocks that it reaches")]
    modules: Annotated[Count, Doc("adapted modules")]
    parameters: Annotated[Count, Doc("numbers in all its tensors")]
    trained_whole: Annotated[
        list[Text], Doc("modules trained without low rank (`modules_to_save`, biases)")
    ]
    source: Annotated[Text, Doc("file or folder that it was read from")]
    peft_version: Annotated[Text | None, Doc("that saved it")]


class Run(TypedDict, total=False):
    """How the numbers came about."""

    schema_version: Annotated[Count, Doc("1; of `meta.run`, `extras` and the JSON beside the file")]
    tool_version: Annotated[Text, Doc("version of this tool")]
    torch_version: Annotated[Text, Doc("version of PyTorch")]
    peft_version: Annotated[Text | None, Doc("version of peft; None without an adapter")]
    created: Annotated[Text, Doc("ISO 8601, UTC")]
    config_name: Annotated[Text, Doc("file name of the config")]
    device: Annotated[Text, Doc("such as `cuda:0`")]
    device_name: Annotated[Text, Doc("as the driver calls it")]
    precision: Annotated[
        Text,
        Doc("`fp32`, `tf32` or `bf16`: of the network; statistics are float32 and float64 always"),
    ]
    compiled: Annotated[bool, Doc("whether the blocks were compiled")]
    image_size: Annotated[Size, Doc("[width, height] that the config asks for", "pixels")]
    network_size: Annotated[
        Size,
        Doc("[width, height] that the network sees: truncated to multiples of the patch", "pixels"),
    ]
    split: Annotated[Text, Doc("`train`, `val` or `all`")]
    fold: Annotated[
        Count | None,
        Doc("of `kfold`, from 0, whose split was measured; None for the single split"),
    ]
    image_sets: Annotated[
        list[ImageSet],
        Doc(
            "`{section, images}`: images of the list by data set: `data.train_csv` (also for a "
            "folder without a CSV) and the sections of the config that training appends"
        ),
    ]
    group_by: Annotated[
        Text | None,
        Doc("column of the CSV that made the image groups; None for blocks of the list"),
    ]
    max_images: Annotated[Count, Doc("limit on images; 0 is none", "images")]
    batch_size: Annotated[
        Count,
        Doc(
            "images per forward pass: `--batch-size`, else `data.batch_size` where it is one to "
            "four times what fits the device best, else that",
            "images",
        ),
    ]
    world_size: Annotated[Count, Doc("ranks")]
    normalization: Normalization
    dataset_fingerprint: Annotated[
        Text, Doc("sha256 over relative paths and file sizes of the image list, in order")
    ]
    request_fingerprint: Annotated[
        Text,
        Doc(
            "sha256 over all that decides the numbers: config, image list, precision, device, head "
            "index, weights key, and path, size and modification time of weights and head"
        ),
    ]
    weights_sha256: Annotated[
        Text,
        Doc(
            "of the weights file; of all shards for a folder; with the prefix in it where "
            "`--weights-key` took another backbone than the usual"
        ),
    ]
    weights_format: Annotated[Text, Doc("which format the weights were read from")]
    weights_key: Annotated[Text | None, Doc("`--weights-key`, where it was given")]
    adapter_sha256: Annotated[
        Text | None,
        Doc(
            "of the tensors and settings of the adapter, the same in every head that carries it; "
            "None without one"
        ),
    ]
    adapter: Adapter | None
    heads: Annotated[list[Text], Doc("every head that was found")]
    head_index: Annotated[Count, Doc("which of them was taken")]
    skipped_files: Annotated[
        list[SkippedFile],
        Doc('`{"path", "reason"}` of the first 1000 images that could not be read'),
    ]
    skipped_count: Annotated[Count, Doc("how many there were in all", "images")]
    dropped_missing_target: Annotated[
        Count, Doc("images left out because a target is missing", "images")
    ]
    warnings: Annotated[list[Text], Doc("sentences")]
    nonfinite_tokens: Annotated[
        list[Count],
        Length((0, "L")),
        Doc("L ints: tokens of a layer left out for a NaN or infinite value", "tokens"),
    ]
    lora_proof: Annotated[
        list[Real] | None,
        Length((0, "L")),
        Doc(
            "L floats, ‖on - off‖ / ‖off‖ (Frobenius) of each block output over up to eight "
            "images, adapter on against off"
        ),
    ]
    head_layer_weights: Annotated[
        list[Amount] | None,
        Length(most=MAX_HEAD_LAYERS),
        Doc(
            "softmax of the head's `layer_logits`, in the order of the layers that it reads; None "
            "where the head fuses no layers"
        ),
    ]
    head_token_norms: Annotated[
        list[TokenNorm] | None,
        Length(most=MAX_HEAD_LAYERS),
        Doc(
            "for each `token_norms.<index>` of the head `index`, `gamma_mean` and `gamma_std` over "
            "channels, and `beta_rms` where it shifts; None without any"
        ),
    ]
    seconds: Annotated[Amount, Doc("of the forward loop; of the slowest rank", "seconds")]
    images_per_second: Annotated[Amount, Doc("over all ranks", "images / second")]


RUN: Form = compile_form(Run)
