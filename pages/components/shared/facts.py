"""What is known of a payload besides its numbers, as rows for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from analysis.language import N_, Texts, _, pgettext
from analysis.payload.extras import PART_LABELS, ExtraTable
from analysis.payload.table import StatsTable
from analysis.read.script import LOADER, is_by_script
from analysis.show.figures.theme import REPRESENTATION_LABELS, ROLE_LABELS, STATISTIC_LABELS
from analysis.vocabulary import REPRESENTATIONS, ROLES, STATISTICS, TokenRole
from pages.components.shared.cache import is_upload
from pages.components.shared.text import format_duration
from pages.components.shared.version import Version

UNKNOWN = "—"
MAX_WARNINGS = 50
"""Shown of one payload; each is an element of the page."""

_SPLITS = Texts(
    {"all": N_("all images"), "train": N_("training split"), "val": N_("validation split")}
)


def describe_adapter(table: StatsTable, *, at_length: bool = False) -> str:
    """Return the state of the LoRA adapter in a word or two; at length with its targets."""
    if adapter_error(table):
        return _("failed")
    if not table.backbone.get("used_lora"):
        return _("none")
    adapter = _mapping(table.run, "adapter")
    if not adapter:
        return _("LoRA")
    short = f"{adapter.get('method', 'LoRA')} r {_rank(adapter)}"
    targets = _join(adapter.get("targets")) if at_length else ""
    if not targets:
        return short
    return _("{adapter} on {targets}").format(adapter=short, targets=targets)


def adapter_error(table: StatsTable) -> str | None:
    """Return why the adapter could not be used; None where it was, or none was asked for."""
    error = table.backbone.get("lora_error")
    return None if error is None else str(error)


def tabulate(versions: Sequence[Version]) -> pd.DataFrame:
    """Return one row per fact and one column per version; facts that nobody knows are left out."""
    columns = {version.name: _facts(version) for version in versions}
    frame = pd.DataFrame(columns).fillna(UNKNOWN)
    known = frame[(frame != UNKNOWN).any(axis=1)]
    return known.rename_axis("Fact").reset_index()


def keep_differing(known: pd.DataFrame) -> pd.DataFrame:
    """Return the facts in which versions differ."""
    return known[known.drop(columns="Fact").nunique(axis=1) > 1]


def list_warnings(table: StatsTable) -> list[str]:
    """Return what the extraction warned of; of very many the first ones, and how many more.

    Of a payload of the specification's script, what its loader may have done.
    """
    if is_by_script(table):
        return [_(LOADER)]
    warnings = table.run.get("warnings")
    if not isinstance(warnings, list):
        return []
    shown = [str(warning) for warning in warnings[:MAX_WARNINGS]]
    more = len(warnings) - len(shown)
    return (
        [*shown, _("{more:,} more warnings are in the payload.").format(more=more)]
        if more
        else shown
    )


def list_skipped(table: StatsTable) -> tuple[pd.DataFrame, int]:
    """Return the files that could not be read (the first thousand), and how many there were."""
    files = table.run.get("skipped_files")
    rows = [row for row in files if isinstance(row, dict)] if isinstance(files, list) else []
    frame = pd.DataFrame(rows, columns=["path", "reason"]).astype(str)
    count = table.run.get("skipped_count")
    return frame, count if isinstance(count, int) else len(frame)


def tabulate_contents(table: StatsTable, extras: ExtraTable) -> pd.DataFrame:
    """Return what a payload holds, one row per cell of a layer and per optional part."""
    statistics = _(", ").join(STATISTIC_LABELS[statistic] for statistic in STATISTICS)
    cells = [
        (
            _("{representation}, {role} tokens").format(
                representation=REPRESENTATION_LABELS[representation], role=ROLE_LABELS[role]
            ),
            _(
                "{statistics} of {channels:,} channels in {num_layers} layers, "
                "{counts_max:,} tokens each"
            ).format(
                statistics=statistics,
                channels=table.channels,
                num_layers=table.num_layers,
                counts_max=int(table.counts[:, place].max()),
            ),
        )
        for representation in REPRESENTATIONS
        for place, role in enumerate(ROLES)
    ]
    parts = [
        (_(label), _("yes") if extras.has(part) else _("no")) for part, label in PART_LABELS.items()
    ]
    return pd.DataFrame([*cells, *parts], columns=[_("Part"), _("Held")])


def _name_sets(sets: object) -> str | None:
    """Return the images of each data set of a list that mixes several; None of a single one."""
    if not isinstance(sets, list) or len(sets) < 2:
        return None
    known = [each for each in sets if isinstance(each, dict)]
    return _(", ").join(f"{each.get('section')}: {each.get('images')}" for each in known)


def _facts(version: Version) -> dict[str, str]:
    table, run = version.table, version.table.run
    counts = _mapping(table.meta, "counts")
    last = int(table.layers[-1])
    facts = {
        _("Version"): version.ref.version,
        _("Backbone"): table.backbone.get("backbone_name"),
        pgettext("count", "Layers"): table.num_layers,
        pgettext("count", "Channels"): table.channels,
        pgettext("count", "Registers"): counts.get("n_storage_tokens"),
        pgettext("count", "Images"): f"{table.num_images:,}",
        _("CLS tokens per layer"): f"{table.count(last, TokenRole.CLS):,}",
        _("Patch tokens per layer"): f"{table.count(last, TokenRole.PATCH):,}",
        _("Images from"): _SPLITS.get(str(run.get("split"))),
        _("Image sets"): _name_sets(run.get("image_sets")),
        _("Image size"): _size(run.get("image_size")),
        _("Adapter"): describe_adapter(table),
        **_adapter_facts(_mapping(table.run, "adapter")),
        _("Adapter file"): table.backbone.get("first_head_path"),
        _("Weights file"): table.backbone.get("dino_weights_pt"),
        _("Weights sha256"): _short_hash(run.get("weights_sha256")),
        _("Adapter sha256"): _short_hash(run.get("adapter_sha256")),
        _("Images fingerprint"): _short_hash(run.get("dataset_fingerprint")),
        _("Precision"): run.get("precision"),
        _("Device"): run.get("device_name") or run.get("device"),
        _("Batches"): counts.get("num_batches"),
        _("Batch size"): run.get("batch_size"),
        _("Measured"): _("{created:%Y-%m-%d %H:%M} UTC").format(created=version.ref.created),
        _("Took"): _took(run),
        _("Tool"): run.get("tool_version"),
        "torch": run.get("torch_version"),
        _("Config"): run.get("config_name"),
        _("Project dir"): table.meta.get("project_dir"),
        _("File"): version.ref.path.name if is_upload(version.ref) else version.ref.path,
    }
    return {name: UNKNOWN if value is None else str(value) for name, value in facts.items()}


def _adapter_facts(adapter: Mapping[str, Any]) -> dict[str, str | None]:
    """Return the record of an adapter as rows; none where a payload has none."""
    if not adapter:
        return {}
    parameters = adapter.get("parameters")
    return {
        _("Adapter rank"): _rank(adapter),
        _("Adapter alpha"): adapter.get("alpha"),
        _("Adapter targets"): _join(adapter.get("targets")),
        _("Adapter blocks"): _join(adapter.get("blocks")),
        _("Adapted modules"): adapter.get("modules"),
        _("Trained whole"): _join(adapter.get("trained_whole")) or None,
        _("Adapter parameters"): None if parameters is None else f"{parameters:,}",
    }


def _rank(adapter: Mapping[str, Any]) -> str:
    rank, least = adapter.get("rank"), adapter.get("least_rank")
    return (
        str(rank)
        if least in (None, rank)
        else _("{least} to {rank}").format(least=least, rank=rank)
    )


def _join(values: Any) -> str:
    """Join values with commas; whole numbers in a row as one range."""
    if not isinstance(values, list):
        return ""
    whole = values and all(type(value) is int for value in values)
    if whole and len(values) > 2 and values == list(range(values[0], values[-1] + 1)):
        return _("{values_1} to {values}").format(values_1=values[0], values=values[-1])
    return _(", ").join(map(str, values))


def _size(value: Any) -> str | None:
    if isinstance(value, list) and len(value) == 2:
        return _("{value_1} × {value_2} px").format(value_1=value[0], value_2=value[1])
    return None


def _short_hash(value: Any) -> str | None:
    return value[:12] if isinstance(value, str) else None


def _took(run: Mapping[str, Any]) -> str | None:
    seconds, rate = run.get("seconds"), run.get("images_per_second")
    if not isinstance(seconds, int | float):
        return None
    pace = _(", {rate:.3g} images/s").format(rate=rate) if isinstance(rate, int | float) else ""
    return format_duration(seconds) + pace


def _mapping(parent: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    value = parent.get(key)
    return value if isinstance(value, dict) else {}
