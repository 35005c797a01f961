"""The optional part of a payload, `extras`: every key, its type, shape, unit and meaning."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, TypedDict

from analysis.language import N_
from analysis.payload.contract.form import Array, Doc, Form, Label, Length, Limits, compile_form
from analysis.payload.contract.kinds import (
    MAX_GRID,
    AnyRoleKey,
    Count,
    GroupedRoleKey,
    LayerKey,
    MeasuredKey,
    StorageKey,
    Vector,
)
from analysis.vocabulary import EXCEED_LEVELS, NORM_EDGES

if TYPE_CHECKING:
    from torch import Tensor
else:
    Tensor = object


class ExtraStatistics(TypedDict):
    """The same of tokens that are no part of `layers`."""

    count: Annotated[Count, Doc("n, tokens pooled", "tokens")]
    mean: Annotated[Vector, Doc("μ", "x")]
    std: Annotated[Vector, Doc("σ, of the population", "x")]
    max_abs: Annotated[Vector, Doc("max of the absolute value of x", "x")]


class Range(TypedDict):
    """Signed ends."""

    min: Annotated[Vector, Doc("smallest value, signed", "x")]
    max: Annotated[Vector, Doc("largest value, signed", "x")]


class Groups(TypedDict):
    """Statistics by image group."""

    count: Annotated[Tensor, Array("int64", ("groups",)), Doc("tokens by image group", "tokens")]
    mean: Annotated[
        Tensor,
        Array("float32", ("groups", "C")),
        Doc("mean of each group; NaN where a group has no token", "x"),
    ]
    std: Annotated[
        Tensor,
        Array("float32", ("groups", "C")),
        Doc("population std of each group; NaN likewise", "x"),
    ]


class Footprint(TypedDict):
    """Maps of a few large channels."""

    channels: Annotated[
        Tensor,
        Array("int32", ("K",)),
        Doc(
            "the K = 8 channels (fewer where the model has fewer) of `pre` whose largest absolute "
            "value over the patches of the first few images was largest, descending"
        ),
    ]
    mean_abs: Annotated[
        Tensor,
        Array("float32", ("K", "rows", "columns"), least=0, nan=True),
        Doc(
            "of each of them, the mean of the absolute value over all images at every patch of the "
            "grid; NaN where no patch was counted",
            "x",
        ),
    ]


class LayerExtras(TypedDict, total=False):
    """The optional parts of one layer."""

    range: Annotated[
        dict[MeasuredKey, dict[AnyRoleKey, Range]],
        Label(N_("the smallest and largest value of each channel")),
    ]
    argmax: Annotated[
        dict[
            AnyRoleKey,
            Annotated[
                Tensor,
                Array("int32", ("C", 2)),
                Doc(
                    "where max_abs of `pre` was seen: index of the image in `extras.images.paths`, "
                    "and of the patch (row · columns + column; -1 for single tokens). Of equal "
                    "values the earliest"
                ),
            ],
        ],
        Label(N_("where each channel is largest")),
    ]
    exceed: Annotated[
        dict[
            AnyRoleKey,
            Annotated[
                Tensor,
                Array("int32", (len(EXCEED_LEVELS), "C"), other_dtype="int64"),
                Doc(
                    "tokens of `pre` with an absolute value above 6, 20 and 100; int64 where a "
                    "count does not fit",
                    "tokens",
                ),
            ],
        ],
        Label(N_("how many tokens exceed a level")),
    ]
    norm_hist: Annotated[
        dict[
            MeasuredKey,
            dict[
                AnyRoleKey,
                Annotated[
                    Tensor,
                    Array("int64", (len(NORM_EDGES) + 1,)),
                    Doc(
                        "histogram of the L2 norms of tokens: bin 0 is below 0.1, bins 1 to 64 lie "
                        "between the 65 edges `logspace(-1, 5, 65)`, bin 65 is from 1e5 on",
                        "tokens",
                    ),
                ],
            ],
        ],
        Label(N_("histograms of token norms")),
    ]
    top: Annotated[
        Tensor,
        Array("float32", (4,)),
        Doc(
            "mean over images of the three largest absolute values of the image's `pre` tokens "
            "(all roles), and of their median absolute value",
            "x",
        ),
        Label(N_("the three largest activations and the median of each layer")),
    ]
    groups: Annotated[
        dict[MeasuredKey, dict[GroupedRoleKey, Groups]], Label(N_("statistics by image group"))
    ]
    image_means: Annotated[
        dict[
            MeasuredKey,
            dict[
                GroupedRoleKey,
                Annotated[
                    Vector,
                    Doc(
                        "sum over images of (m - μ)², m the mean of the image's tokens and μ the "
                        "mean of all; each image counts once. With equal tokens per image, this "
                        "over images · σ² is the share of the variance that lies between images",
                        "x²",
                    ),
                ],
            ],
        ],
        Label(N_("how far the means of the images lie apart")),
    ]
    footprint: Annotated[
        Footprint, Label(N_("where in the pictures the largest channels are large"))
    ]
    storage: Annotated[
        dict[StorageKey, dict[MeasuredKey, ExtraStatistics]],
        Label(N_("statistics of storage tokens (registers)")),
    ]


class Norm(TypedDict, total=False):
    """The model's output norm."""

    gamma: Annotated[Vector, Doc("scale γ of the model's output norm")]
    beta: Annotated[Vector, Doc("offset β of the model's output norm")]
    cls_gamma: Annotated[
        Vector,
        Doc("γ for CLS and storage tokens; only where the model has a norm of its own for them"),
    ]
    cls_beta: Annotated[Vector, Doc("β likewise")]


class Images(TypedDict, total=False):
    """The list of images and their patch grid."""

    paths: Annotated[
        list[str] | Tensor,
        Array("uint8", ("bytes",)),
        Doc(
            "paths relative to the data root, in index order; beyond 200,000 paths or 16 MB, the "
            "same as UTF-8 with a zero byte between two paths"
        ),
    ]
    grid: Annotated[
        list[Annotated[int, Limits(1, MAX_GRID)]],
        Length((2,)),
        Doc("[rows, columns] of patches", "patches"),
    ]


class Extras(TypedDict, total=False):
    """The optional part of a payload."""

    layers: dict[LayerKey, LayerExtras]
    embedding: Annotated[
        dict[AnyRoleKey, ExtraStatistics],
        Label(N_("statistics of the tokens that enter the first block")),
    ]
    norm: Annotated[Norm, Label(N_("the weights of the shared LayerNorm"))]
    images: Annotated[Images, Label(N_("the list of images"))]


EXTRAS: Form = compile_form(Extras)
LAYER_EXTRAS: Form = compile_form(LayerExtras)
