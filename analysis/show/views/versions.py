"""What differs between a version and its baseline: drift, and channels beyond the noise."""

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
from analysis.read.frames import tabulate_cells
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
from analysis.vocabulary import REPRESENTATIONS, ROLES, Cell, Representation, TokenRole

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
        "Thin lines: what chance alone stays below in 95% of cases, by "
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
            _("number of such channels, of {channels:,},").format(channels=channels),
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
            "{flagged_sum:,} of {count:,} channels differ in mean or spread by "
            "more than noise (filled marks); of those on average at most 1% are there by "
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
