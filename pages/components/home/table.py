"""The table of versions, one row each, running extractions included."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC
from statistics import fmean
from typing import Any

import numpy as np
import pandas as pd
import streamlit as st

from analysis.jobs.extractions import Job
from analysis.language import N_, _, pgettext
from analysis.read.summary import Peak, Summary, compute_ratio, find_peak
from analysis.vocabulary import TokenRole
from pages.components.home.rows import Row
from pages.components.shared import job_states
from pages.components.shared.text import format_bytes

Column = Callable[[Row], object]
WAITING = "…"
HEALTHY = "✓"
PROGRESS = N_("Progress")
"""Of extractions that live; a column of theirs only."""


def build_frame(
    rows: Sequence[Row], jobs: Sequence[Job], role: TokenRole, outliers: int | None
) -> pd.DataFrame:
    """Return the table: running extractions first, then one row per version.

    Args:
        rows: The versions.
        jobs: Extractions that live.
        role: Which tokens the drift is of.
        outliers: Outlier channels of the baseline; None where they are not known.
    """
    columns = _columns(role, outliers)
    frame = pd.DataFrame({name: [value(row) for row in rows] for name, value in columns.items()})
    if jobs:
        running = pd.DataFrame(
            {
                "Version": [job.title for job in jobs],
                PROGRESS: [job.done / job.total if job.total else 0.0 for job in jobs],
                "Against the baseline": [job_states.mark(job) for job in jobs],
                "Images": [job.total or None for job in jobs],
            }
        )
        frame = pd.concat([running, frame], ignore_index=True)
    else:
        frame[PROGRESS] = np.nan
    for name in ("Images", "Most in layer", "Outlier channels", "Outliers, change"):
        frame[name] = frame[name].astype("Int64")
    return frame


def sort(rows: Sequence[Row], name: str, role: TokenRole, outliers: int | None) -> list[Row]:
    """Return the rows sorted by a column: large numbers first, texts by letter, empty ones last."""
    value = _columns(role, outliers)[name]
    values = [value(row) for row in rows]
    values = [", ".join(each) if isinstance(each, list) else each for each in values]
    values = [None if each == "" else each for each in values]
    is_text = any(isinstance(each, str) for each in values)
    order = pd.Series(values).sort_values(
        ascending=is_text,
        kind="stable",
        key=(lambda texts: texts.str.casefold()) if is_text else None,
    )
    return [rows[number] for number in order.index]


def order(columns: Sequence[str], *, is_live: bool) -> list[str]:
    """Return the columns with the progress of extractions behind the first, where some live."""
    first, *others = columns
    return [first, PROGRESS, *others] if is_live else [first, *others]


def configure() -> dict[str, Any]:
    """Return how the columns look, each with its name in the language that is shown."""
    config = st.column_config
    columns: dict[str, Any] = {
        "Version": config.TextColumn(pinned=True),
        PROGRESS: config.ProgressColumn(
            format="percent", min_value=0.0, max_value=1.0, width="small"
        ),
        "Over depth": config.LineChartColumn(
            help=_("Drift as a multiple of what chance gives, from the first layer to the last."),
            width="small",
        ),
        "× chance": config.NumberColumn(
            format="%.3g",
            help=_("Drift over its noise floor in the layer where that is largest."),
        ),
        "Drift": config.NumberColumn(
            format="%.3g", help=_("In that layer, in standard deviations.")
        ),
        "Noise floor": config.NumberColumn(
            format="%.3g", help=_("The drift that chance alone gives there.")
        ),
        "Most in layer": config.NumberColumn(
            help=_("The layer in which the drift is furthest beyond chance.")
        ),
        "Spread": config.NumberColumn(
            format="%.3g",
            help=_("Standard deviation of the drift between folds or seeds, in the same layer."),
        ),
        "Outlier channels": config.NumberColumn(
            help=_("Channels that are outliers by robust score in some layer, CLS or patch.")
        ),
        "Outliers, change": config.NumberColumn(
            format="%+d", help=_("How many more than the baseline has.")
        ),
        "Largest |x|": config.NumberColumn(format="%.1f", help=_("Of all block outputs.")),
        "Adapter effect": config.NumberColumn(
            format="percent",
            help=_(
                "The largest relative change of a block output, adapter on against "
                "off, on up to eight images."
            ),
        ),
        "Best probe": config.NumberColumn(
            format="%.3f",
            help=_(
                "R² or balanced accuracy of the best linear probe of the block outputs on images "
                "held out, of the first column that can be predicted; empty where it is no better "
                "than permuted targets."
            ),
        ),
        "Score": config.NumberColumn(
            format="%.4g", help=_("How well it does, as somebody typed it.")
        ),
        "Tags": config.ListColumn(),
        "Measured (UTC)": config.DatetimeColumn(format="YYYY-MM-DD HH:mm"),
    }
    return {
        name: columns.get(name, config.Column()) | {"label": name_column(name)}
        for name in (PROGRESS, *NAMES)
    }


def name_column(name: str) -> str:
    """Return what a column is called; that of images counts them."""
    return pgettext("count", "Images") if name == "Images" else _(name)


NAMES = (
    N_("Version"),
    N_("Over depth"),
    N_("Against the baseline"),
    N_("× chance"),
    N_("Drift"),
    N_("Noise floor"),
    N_("Spread"),
    N_("Most in layer"),
    N_("Outlier channels"),
    N_("Outliers, change"),
    N_("Largest |x|"),
    N_("Health"),
    N_("LoRA"),
    N_("Adapter effect"),
    N_("Backbone"),
    N_("Images"),
    N_("Precision"),
    N_("Measured (UTC)"),
    N_("Size"),
    N_("Best probe"),
    N_("Probe of"),
    N_("Score"),
    N_("Tags"),
    N_("Note"),
)
"""All columns, in their order."""

UNSORTED = ("Over depth", "Size")
"""Columns that rows are not sorted by: a curve, and sizes in several units."""


def _columns(role: TokenRole, outliers: int | None) -> Mapping[str, Column]:
    def peak(row: Row) -> Peak | None:
        drift = row.drift.summary if row.drift else None
        return None if drift is None else find_peak(drift, role)

    def of_peak(read: Callable[[Peak], float | None]) -> Column:
        def column(row: Row) -> object:
            found = peak(row)
            return None if found is None else read(found)

        return column

    def count(row: Row) -> int | None:
        found = _summaries(row)
        return round(fmean(each.outlier_channels for each in found)) if found else None

    def change(row: Row) -> int | None:
        own = count(row)
        return None if own is None or outliers is None or row.is_baseline else own - outliers

    def most(row: Row, read: Callable[[Summary], float | None]) -> float | None:
        values = [read(each) for each in _summaries(row)]
        return max((value for value in values if value is not None), default=None)

    def over_depth(row: Row) -> list[float] | None:
        drift = row.drift.summary if row.drift else None
        if drift is None or drift.refused is not None:
            return None
        ratio = compute_ratio(drift, role)
        return np.where(np.isfinite(ratio), ratio, 0.0).tolist()

    values: dict[str, Column] = {
        "Version": _mark_name,
        "Over depth": over_depth,
        "Against the baseline": lambda row: describe_drift(row, peak(row)),
        "× chance": of_peak(lambda found: found.ratio),
        "Drift": of_peak(lambda found: found.drift),
        "Noise floor": of_peak(lambda found: found.noise_floor),
        "Spread": lambda row: _find_spread(row, peak(row), role),
        "Most in layer": of_peak(lambda found: found.layer if found.drift > 0 else None),
        "Outlier channels": count,
        "Outliers, change": change,
        "Largest |x|": lambda row: most(row, lambda found: found.largest),
        "Health": _describe_all_health,
        "LoRA": lambda row: _describe_adapter(row),
        "Adapter effect": lambda row: most(row, lambda found: found.adapter_effect),
        "Backbone": lambda row: row.ref.facts.backbone,
        "Images": lambda row: row.ref.facts.num_images,
        "Precision": lambda row: row.ref.facts.precision,
        "Measured (UTC)": lambda row: row.ref.created.astimezone(UTC),
        "Size": lambda row: format_bytes(row.ref.size),
        "Best probe": _mean_probe,
        "Probe of": _describe_probe,
        "Score": lambda row: row.about.score,
        "Tags": lambda row: list(row.about.tags),
        "Note": lambda row: row.about.note or "",
    }
    return {name: values[name] for name in NAMES}


def describe_drift(row: Row, peak: Peak | None) -> str:
    """Return how far a version is from the baseline in a few words, or why nobody can tell."""
    if row.is_baseline:
        return _("baseline")
    if row.drift is None:
        return WAITING
    if row.drift.summary is None:
        return row.drift.problem or ""
    if row.drift.summary.refused is not None:
        return _("not comparable: {refused}").format(refused=row.drift.summary.refused)
    if peak is None:
        return _("not comparable: every channel is constant")
    if peak.noise_floor is None:
        return _("noise not known")
    return _("beyond chance") if peak.beyond else _("within chance")


def _summaries(row: Row) -> list[Summary]:
    entries = (one.summary for one in row.versions)
    return [entry.summary for entry in entries if entry is not None and entry.summary is not None]


def _describe_all_health(row: Row) -> str:
    """Return what is wrong with the versions of a row, each fault once."""
    found = dict.fromkeys(describe_health(one) for one in row.versions)
    return "; ".join(health for health in found if health != HEALTHY) or HEALTHY


def describe_health(row: Row) -> str:
    """Return what is wrong with a payload in a few words; a tick where nothing is."""
    if row.summary is None:
        return WAITING
    if row.summary.summary is None:
        return f"✗ {row.summary.problem}"
    found, not_loaded = row.summary.summary, bool(row.ref.facts.lora_error)
    faults = [
        _("adapter NOT loaded") if not_loaded else "",
        *(
            _("broken: {law}").format(law=_(law))
            for law in found.broken_laws
            if law != "adapter" or not not_loaded
        ),
        _("{left_out:,} tokens not finite").format(left_out=found.left_out)
        if found.left_out
        else "",
        _("{skipped:,} images skipped").format(skipped=found.skipped) if found.skipped else "",
    ]
    faults = [fault for fault in faults if fault]
    return f"✗ {'; '.join(faults)}" if faults else HEALTHY


def _mark_name(row: Row) -> str:
    name = f"★ {row.name}" if row.is_baseline else row.name
    return _("{name} (hidden)").format(name=name) if row.about.hidden else name


def _mean_probe(row: Row) -> float | None:
    """Return the mean best score of the versions of a row, where all can be told."""
    found = [one.probe.summary for one in row.versions if one.probe and one.probe.summary]
    scores = [each.score for each in found if each.predictable]
    is_one_target = len({each.target for each in found}) == 1
    return fmean(scores) if len(scores) == len(row.versions) and is_one_target else None


def _describe_probe(row: Row) -> str:
    """Return what the best probe of a version predicts and where, or why there is none."""
    entry = row.versions[0].probe
    if entry is None or entry.summary is None:
        return (entry.problem if entry else None) or ""
    best = entry.summary
    where = _("{target}, layer {layer} {role}, ± {error:.2g}")
    if not best.predictable:
        where = _("{target}: no better than chance")
    return where.format(target=best.target, layer=best.layer, role=best.role, error=best.error)


def _find_spread(row: Row, peak: Peak | None, role: TokenRole) -> float | None:
    if peak is None or not row.spread or row.drift is None or row.drift.summary is None:
        return None
    return row.spread[row.drift.summary.layers.index(peak.layer)][role.position]


def _describe_adapter(row: Row) -> str:
    if row.ref.facts.lora_error:
        return _("NOT loaded")
    return {True: _("LoRA"), False: _("frozen"), None: ""}[row.ref.facts.used_lora]
