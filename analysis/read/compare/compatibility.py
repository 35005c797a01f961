"""Whether payloads may be compared at all, and what speaks against it.

Each topic is judged from what the payloads themselves record. Red: the numbers do not mean the
same thing. Amber: they do, but part of a difference may come from how they were measured, or
nobody can tell because an older tool did not record it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np

from analysis.language import N_, Texts, _
from analysis.payload.table import StatsTable
from analysis.read.compare.common_images import CommonImages


class Severity(StrEnum):
    """How much a reason speaks against a comparison, least first."""

    GREEN = "green"
    AMBER = "amber"
    RED = "red"


SEVERITY_LABELS = Texts(
    {Severity.GREEN: N_("green"), Severity.AMBER: N_("amber"), Severity.RED: N_("red")}
)


@dataclass(frozen=True)
class Reason:
    """One thing that payloads agree or disagree in."""

    topic: str
    severity: Severity
    sentence: str
    """For the screen; values in it come from the files: never to be rendered as HTML."""


@dataclass(frozen=True)
class _Topic:
    name: str
    read: Callable[[StatsTable], Any]
    """What must be equal; None where the payload does not record it."""
    severity: Severity
    """Where it differs."""
    consequence: str
    """What a difference means, as the second half of the sentence."""
    show: Callable[[Any], str] = str
    read_meta: Callable[[StatsTable], Any] | None = None
    """The same by config and backbone of the payload, where one lacks `meta.run`."""


def _run(key: str) -> Callable[[StatsTable], Any]:
    return lambda table: table.run.get(key)


def _shorten(value: Any) -> str:
    return str(value)[:12]


def _normalization(value: Any) -> str:
    parts = value.items() if isinstance(value, dict) else []
    return _(", ").join(f"{name} {shown}" for name, shown in parts) or str(value)


def _size(value: Any) -> str:
    return " × ".join(map(str, value)) if isinstance(value, list) else str(value)


def _data(key: str) -> Callable[[StatsTable], Any]:
    def read(table: StatsTable) -> Any:
        data = table.config.get("data")
        return data.get(key) if isinstance(data, dict) else None

    return read


def _split(table: StatsTable) -> str | None:
    train_all = table.config.get("train_all")
    if not isinstance(train_all, dict):
        return None
    return "all" if train_all.get("enabled") else "train"


def _weights_file(table: StatsTable) -> str | None:
    path = table.backbone.get("dino_weights_pt")
    return str(path) if path else None


_TOPICS = (
    _Topic(
        "backbone",
        lambda table: table.backbone.get("backbone_name"),
        Severity.RED,
        N_("channel and layer numbers mean different things in them"),
    ),
    _Topic(
        "channels",
        lambda table: table.channels,
        Severity.RED,
        N_("no channel of one is a channel of the other"),
    ),
    _Topic(
        "layers",
        lambda table: table.layers.tolist(),
        Severity.RED,
        N_("only the layers that all of them hold can be compared"),
        lambda layers: _("{count} layers").format(count=len(layers)),
    ),
    _Topic(
        "backbone weights",
        _run("weights_sha256"),
        Severity.AMBER,
        N_("a difference may come from the pretrained weights, not from the fine-tuning"),
        _shorten,
        _weights_file,
    ),
    _Topic(
        "images",
        _run("dataset_fingerprint"),
        Severity.AMBER,
        N_("part of any difference comes from the images"),
        _shorten,
    ),
    _Topic(
        "number of images",
        lambda table: table.num_images,
        Severity.AMBER,
        N_("max |x| grows with the number of tokens, so compare mean and std"),
    ),
    _Topic(
        "token counts",
        lambda table: table.counts.max(axis=0).tolist(),
        Severity.AMBER,
        N_("max |x| grows with the number of tokens, so compare mean and std"),
        lambda counts: _("{counts_1} CLS and {counts_2} patch tokens").format(
            counts_1=counts[0], counts_2=counts[1]
        ),
    ),
    _Topic(
        "image size",
        lambda table: table.run.get("network_size") or table.run.get("image_size"),
        Severity.AMBER,
        N_("part of any difference comes from the resolution"),
        _size,
        _data("image_size"),
    ),
    _Topic(
        "normalisation",
        _run("normalization"),
        Severity.AMBER,
        N_("the network saw differently scaled pixels"),
        _normalization,
        _data("normalization"),
    ),
    _Topic(
        "split",
        _run("split"),
        Severity.AMBER,
        N_("they were measured on different images"),
        read_meta=_split,
    ),
    _Topic(
        "precision",
        _run("precision"),
        Severity.AMBER,
        N_("part of any difference is rounding"),
    ),
    _Topic(
        "tool version",
        _run("tool_version"),
        Severity.AMBER,
        N_("read the changelog for what is measured differently"),
    ),
)

_SUBJECTS = Texts(
    {
        "backbone": N_("Backbone"),
        "channels": N_("Channels"),
        "layers": N_("Layers"),
        "backbone weights": N_("Backbone weights"),
        "images": N_("Images"),
        "number of images": N_("Number of images"),
        "token counts": N_("Token counts"),
        "image size": N_("Image size"),
        "normalisation": N_("Normalisation"),
        "split": N_("Split"),
        "precision": N_("Precision"),
        "tool version": N_("Tool version"),
    }
)

_BY_META = {"backbone weights": N_("Backbone weights by the path of the file")}
"""Topics whose values in the config are of another kind; shown as they are."""

_ORDER = (Severity.RED, Severity.AMBER, Severity.GREEN)


def check_compatibility(
    tables: Sequence[StatsTable],
    names: Sequence[str] | None = None,
    images: CommonImages | None = None,
) -> tuple[Reason, ...]:
    """Judge every topic for a set of payloads, worst first.

    Args:
        tables: Two or more payloads.
        names: What the sentences call them; A, B, C, ... where None.
        images: Which images they have in common; None where that is not known.
    """
    names = names or [chr(ord("A") + i) for i in range(len(tables))]
    reasons = [_judge(topic, tables, names) for topic in _TOPICS]
    reasons = [_judge_images(reason, images) for reason in reasons]
    reasons += _judge_adapters(tables, names)
    return tuple(sorted(reasons, key=lambda reason: _ORDER.index(reason.severity)))


def _judge(topic: _Topic, tables: Sequence[StatsTable], names: Sequence[str]) -> Reason:
    values = [topic.read(table) for table in tables]
    subject, show = _SUBJECTS[topic.name], topic.show
    if None in values and topic.read_meta is not None:
        asked = [topic.read_meta(table) for table in tables]
        if None not in asked:
            values = asked
            subject = _("{subject} by the configs").format(subject=subject)
            if topic.name in _BY_META:
                subject, show = _(_BY_META[topic.name]), str
    missing = [name for name, value in zip(names, values, strict=True) if value is None]
    if missing:
        sentence = _("{subject}: not recorded in {missing}, so nobody can tell.").format(
            subject=subject, missing=_(", ").join(missing)
        )
        return Reason(topic.name, Severity.AMBER, sentence)
    if all(value == values[0] for value in values):
        return Reason(
            topic.name,
            Severity.GREEN,
            _("{subject}: the same ({show}).").format(subject=subject, show=show(values[0])),
        )
    found = _(", ").join(f"{n} {show(v)}" for n, v in zip(names, values, strict=True))
    return Reason(
        topic.name,
        topic.severity,
        _("{subject}: they differ ({found}); {consequence}.").format(
            subject=subject, found=found, consequence=_(topic.consequence)
        ),
    )


def _judge_images(reason: Reason, images: CommonImages | None) -> Reason:
    """Say how many images are in common where the lists of images are not the same."""
    if reason.topic != "images" or reason.severity is Severity.GREEN or images is None:
        return reason
    if not images.any:
        sentence = _("Images: none in common, so any difference may come from the images alone.")
        return replace(reason, severity=Severity.RED, sentence=sentence)
    sentence = _("{sentence} By their paths {common} of {most} are in common.").format(
        sentence=reason.sentence, common=images.common, most=images.most
    )
    return replace(reason, sentence=sentence)


def _judge_adapters(tables: Sequence[StatsTable], names: Sequence[str]) -> list[Reason]:
    broken = [n for n, t in zip(names, tables, strict=True) if t.backbone.get("lora_error")]
    reasons: list[Reason] = []
    if broken:
        sentence = _(
            "Adapter: could not be loaded in {broken}, which therefore shows "
            "the frozen backbone and not the fine-tuned one."
        ).format(broken=_(", ").join(broken))
        reasons.append(Reason("adapter", Severity.RED, sentence))
    adapters = [t.run.get("adapter_sha256") for t in tables if t.backbone.get("used_lora")]
    known = [adapter for adapter in adapters if adapter]
    if len(known) > len(np.unique(known)):
        sentence = _(
            "Adapter: the same adapter file under more than one version, so a "
            "difference cannot come from its training."
        )
        reasons.append(Reason("adapter", Severity.AMBER, sentence))
    return reasons
