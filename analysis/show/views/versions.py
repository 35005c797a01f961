"""What differs between a version and its baseline: drift, channels, overlap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, _
from analysis.read.compare.comparison import Comparison
from analysis.read.compare.findings import NEGLIGIBLE
from analysis.read.compare.noise import CellNoise, Effect
from analysis.read.compare.noise_table import NoiseTable
from analysis.read.compare.overlap import RankBy
from analysis.read.compare.top_channels import TopComparison
from analysis.read.frames import tabulate_cells
from analysis.read.scores import Score
from analysis.show.figures import axes, theme
from analysis.show.figures import versions as figures
from analysis.show.figures.noise import (
    EFFECT_ROWS,
    ChannelEffect,
    build_channel_effects,
    build_flagged_curves,
)
from analysis.show.figures.theme import Mode
from analysis.show.view import View, describe_pair
from analysis.show.views import sentences
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, Statistic, TokenRole

Floats = NDArray[np.floating]

DRIFT_HEIGHT = 350
"""Pixels: with its sentences above it on the first screen of a projector."""

DRIFT_CAPTION = N_(
    "Drift: root mean square over channels of how far mean and "
    "standard deviation moved, in units of the standard deviation of "
    "both versions pooled, sqrt((σ₁² + σ₂²) / 2)."
)
SAME_CURVE = N_(
    "Global LN is not drawn, since its curve is that of per-layer LN: "
    "it scales and shifts every channel, and a distance in standard "
    "deviations does not see that."
)


def drift(
    comparison: Comparison,
    *,
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    sentence: str = "",
    negligible: float = NEGLIGIBLE,
    mode: Mode = "light",
) -> View:
    """Return how far each layer moved, beside what chance alone gives.

    Args:
        comparison: Of two payloads with the same channels.
        representations: Which to draw; of the two LayerNorms only the first.
        roles: Which to draw.
        sentence: What was found; where the drift is largest if none is given.
        negligible: Standard deviations below which a drift has no colour.
        mode: Light or dark.

    Raises:
        ValueError: If the two have no drift.
    """
    found, noise = comparison.drift_judged, comparison.noise
    if found is None or noise is None:
        raise ValueError("the two payloads cannot be compared number by number")
    drawn, same = _leave_out_same(found, representations)
    cells = [(each, role) for each in drawn for role in roles]
    tested = not np.isnan(noise.noise_floor).all()
    return View(
        _("Drift of each layer"),
        "drift",
        figures.build_drift_curves(
            comparison.layers,
            found,
            representations=drawn,
            roles=roles,
            noise=noise.noise_band,
            beyond=noise.beyond if tested else None,
            coloured=np.where(noise.tested, noise.size, found) >= negligible,
            mode=mode,
        ),
        lambda: tabulate_cells(comparison.layers, found, "drift").assign(
            noise_floor=noise.noise_floor.ravel(),
            noise_band=noise.noise_band.ravel(),
            p=noise.drift_p.ravel(),
            beyond_noise=noise.beyond.ravel(),
        ),
        sentence=sentence
        or sentences.name_largest_cell(_("drift"), comparison.layers, found, cells),
        least_height=DRIFT_HEIGHT,
        caption=" ".join(
            filter(
                None,
                [_(DRIFT_CAPTION), same, _explain_noise(noise), _explain_grey(negligible)],
            )
        ),
        **describe_pair(*comparison.names),
    )


def _leave_out_same(
    values: Floats, representations: Sequence[Representation]
) -> tuple[list[Representation], str]:
    """Return what to draw where one of the two LayerNorms lies on the other, and why."""
    both = Representation.PER_LAYER_LN, Representation.GLOBAL_LN
    first, second = (values[:, each.position] for each in both)
    if set(both) <= set(representations) and np.allclose(first, second, 1e-3, equal_nan=True):
        return [each for each in representations if each is not both[1]], _(SAME_CURVE)
    return list(representations), ""


def _explain_noise(noise: NoiseTable) -> str:
    notes = " ".join(noise.notes)
    if np.isnan(noise.noise_floor).all():
        return _("How much of it is noise is not told here. {notes}").format(notes=notes)
    how = (
        _("the same images in both, compared group by group")
        if noise.paired
        else _(
            "different images, so that each version's own image groups say how much chance gives"
        )
    )
    return _(
        "Thin lines: what chance alone stays below in 95 % of cases, by "
        "image groups ({how}). Hollow marks: not beyond chance, all cells "
        "taken together. {notes}"
    ).format(how=how, notes=notes)


def _explain_grey(negligible: float) -> str:
    return _("Grey marks: negligible, below {bound:g} when freed of what chance adds.").format(
        bound=negligible
    )


def flagged(
    comparison: Comparison,
    *,
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    mode: Mode = "light",
) -> View | None:
    """Return how many channels of each layer differ by more than noise; None if none was tested."""
    noise = comparison.noise
    if noise is None or np.isnan(noise.noise_floor).all():
        return None
    channels = comparison.baseline.table.channels
    share = np.where(np.isnan(noise.noise_floor), np.nan, noise.flagged_channels / channels)
    drawn, same = _leave_out_same(share, representations)
    return View(
        _("Channels that differ by more than noise"),
        "channels beyond the noise",
        build_flagged_curves(
            comparison.layers, share, representations=drawn, roles=roles, mode=mode
        ),
        lambda: tabulate_cells(comparison.layers, share, "share"),
        sentence=sentences.name_largest_cell(
            f"number of such channels, of {channels:,},",
            comparison.layers,
            share * channels,
            [(each, role) for each in drawn for role in roles],
        ),
        caption=same,
        **describe_pair(*comparison.names),
    )


def effects(
    comparison: Comparison,
    cell: Cell,
    noise: CellNoise,
    mode: Mode = "light",
    *,
    negligible: float = NEGLIGIBLE,
) -> View:
    """Return every channel's shift and change of spread: coloured by size, filled beyond noise.

    Args:
        comparison: The two versions.
        cell: Which channels.
        noise: As `comparison.examine(cell)` returns it.
        mode: Light or dark.
        negligible: Sizes below which a channel has no colour.
    """
    labels = (
        axes.label_with_unit(_("shift of the mean"), _("version − baseline, in std")),
        axes.label_with_unit(_("log ratio of the std"), _("log(version / baseline)")),
    )
    shift, ratio = (
        ChannelEffect(effect.value, effect.error, marked, label)
        for effect, marked, label in (
            (noise.shift, noise.shift_flagged, labels[0]),
            (noise.log_ratio, noise.log_ratio_flagged, labels[1]),
        )
    )
    caption = (_(noise.note) if noise.note else "") or (
        _(
            "{flagged_sum} of {count} channels differ in mean or spread by "
            "more than noise (filled marks); of those on average at most 1 % are there by "
            "chance. {grey} max |x| is ranked below, never tested."
        ).format(
            flagged_sum=int(noise.flagged.sum()),
            count=len(noise.flagged),
            grey=_explain_grey(negligible),
        )
    )
    return View(
        _("Channels of {channels}").format(channels=theme.describe_channels(cell)),
        "channel effects",
        build_channel_effects(
            shift, ratio, representation=cell.representation, negligible=negligible, mode=mode
        ),
        lambda: _tabulate_effects(noise),
        caption=caption,
        rows=EFFECT_ROWS,
        clickable=True,
        **describe_pair(*comparison.names),
    )


def _tabulate_effects(noise: CellNoise) -> pd.DataFrame:
    frame = pd.DataFrame({"channel": np.arange(len(noise.flagged), dtype=np.int32)})
    both: tuple[tuple[str, Effect, NDArray[np.bool_]], ...] = (
        ("shift", noise.shift, noise.shift_flagged),
        (_("log ratio of std"), noise.log_ratio, noise.log_ratio_flagged),
    )
    for name, effect, marked in both:
        frame[name] = effect.value
        frame[f"{name}, standard error"] = effect.error
        frame[f"{name}, p"] = effect.p
        frame[f"{name}, beyond noise"] = marked
    return frame


def top_changes(
    comparison: Comparison, cell: Cell, top: TopComparison, slots: Sequence[int], mode: Mode
) -> View:
    """Return the top channels of either version, each from the baseline to the version.

    Args:
        comparison: The two versions.
        cell: Which channels.
        top: As `comparison.top(cell, ...)` returns it.
        slots: Colours of baseline and version.
        mode: Light or dark.
    """
    return View(
        _("Top channels of {channels}").format(channels=theme.describe_channels(cell)),
        "top channels",
        figures.build_top_changes(
            top.frame,
            names=comparison.names,
            slots=slots,
            value_label=_("max |x|, {channels}").format(channels=theme.describe_channels(cell)),
            mode=mode,
        ),
        lambda: name_columns(top.frame, comparison.names),
        sentence=sentences.count_changes(top),
        caption=_explain_turnover(comparison, cell, top),
        rows=len(top.frame),
        **describe_pair(*comparison.names),
    )


def _explain_turnover(comparison: Comparison, cell: Cell, top: TopComparison) -> str:
    """Return what chance alone makes new among the top by |mean| / std, which groups can tell."""
    if top.score is not Score.MEAN_OVER_STD:
        return ""
    turnover = comparison.turnover(cell, top.k, RankBy.MEAN_OVER_STD)
    if turnover is None or turnover.by_chance[0] is None:
        return _(
            "How many of them chance alone makes new is not known: both versions need statistics "
            "of eight image groups or more."
        )
    low, high = turnover.by_chance
    return _(
        "Chance alone makes {low} to {high} of the top {k} new, so as many new and gone say "
        "nothing."
    ).format(low=low, high=high, k=turnover.k)


def every_channel(
    comparison: Comparison, cell: Cell, top: TopComparison, slots: Sequence[int], mode: Mode
) -> View:
    """Return every channel, the version against its baseline; the arguments of `top_changes`."""
    sizes = [table[cell][Statistic.MAX_ABS.position] for table in comparison.tables]
    status = top.frame.groupby("status")["channel"]
    names = comparison.names
    return View(
        _("Every channel of {channels}").format(channels=theme.describe_channels(cell)),
        "every channel",
        figures.build_channel_comparison(
            *sizes,
            names=names,
            slots=slots,
            value_label=_("max |x|"),
            status={str(name): channels.to_numpy() for name, channels in status},
            mode=mode,
        ),
        lambda: pd.DataFrame(
            {"channel": np.arange(len(sizes[0])), **dict(zip(names, sizes, strict=True))}
        ),
        sentence=sentences.count_changes(top),
        caption=" ".join(
            filter(
                None,
                [
                    _explain_turnover(comparison, cell, top),
                    _("Click a channel to follow it through the layers on the Channels page."),
                ],
            )
        ),
        clickable=True,
        **describe_pair(*comparison.names),
    )


def name_columns(frame: pd.DataFrame, names: tuple[str, str]) -> pd.DataFrame:
    """Return a table whose columns ``..._a`` and ``..._b`` carry the names of the versions."""
    ends = {"_a": names[0], "_b": names[1]}
    return frame.rename(columns=lambda c: f"{c[:-2]}, {ends[c[-2:]]}" if c[-2:] in ends else c)


def overlap(
    comparison: Comparison,
    found: Floats,
    *,
    k: int,
    ranked_by: str,
    by_chance: Floats | None = None,
    measure: str = "Jaccard",
    representations: Sequence[Representation] = REPRESENTATIONS,
    roles: Sequence[TokenRole] = ROLES,
    mode: Mode = "light",
) -> View:
    """Return how far the top channels of both agree over depth.

    Args:
        comparison: The two versions.
        found: ``[layers, 3, 2]``, 0 to 1.
        k: How many channels are the top.
        ranked_by: What they are ranked by, in words.
        by_chance: ``[layers, 3, 2]``: what two measurements without a change share.
        measure: How the overlap is measured.
        representations: Which to draw.
        roles: Which to draw.
        mode: Light or dark.
    """

    def tabulate() -> pd.DataFrame:
        frame = tabulate_cells(comparison.layers, found, "overlap")
        return frame if by_chance is None else frame.assign(without_a_change=by_chance.ravel())

    thin = _(" Thin lines: what is shared without a change.") if by_chance is not None else ""
    return View(
        _("Overlap of the top {k}").format(k=k),
        "overlap",
        figures.build_jaccard_curves(
            comparison.layers,
            found,
            k=k,
            by_chance=by_chance,
            measure=measure,
            representations=representations,
            roles=roles,
            mode=mode,
        ),
        tabulate,
        sentence=sentences.name_largest_cell(
            _("overlap"),
            comparison.layers,
            found,
            [(each, role) for each in representations for role in roles],
            smallest=True,
        ),
        caption=_("Ranked by {ranked_by}.{thin}").format(ranked_by=ranked_by, thin=thin),
        **describe_pair(*comparison.names),
    )
