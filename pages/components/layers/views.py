"""The ready views of the Layers page: what papers draw against depth, one click each."""

from __future__ import annotations

from enum import StrEnum

import pandas as pd
import streamlit as st

from analysis.errors import InputError, PartAbsentError
from analysis.language import N_, Texts, _
from analysis.payload.extras import ExtraTable, Part
from analysis.read.depth.extremes import find_beyond
from analysis.read.worth.advice_probe import Verdict, summarise
from analysis.show.figures.axes import Scale
from analysis.show.figures.theme import REPRESENTATION_LABELS, role_label
from analysis.show.views import layers as views
from analysis.vocabulary import MEASURED, Representation, TokenRole
from pages.components.layers import tables
from pages.components.shared import absent, channel_links, controls, derived, downloads, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version


class View(StrEnum):
    """What the page shows."""

    STATISTIC = "statistic"
    TOP = "top"
    NORMS = "norms"
    RANGE = "range"
    SHARED_NORM = "shared_norm"
    ADVICE = "advice"


LABELS = Texts(
    {
        View.STATISTIC: N_("Any statistic"),
        View.TOP: N_("Largest activations"),
        View.NORMS: N_("Token norms"),
        View.RANGE: N_("Min and max"),
        View.SHARED_NORM: N_("What the shared norm does"),
        View.ADVICE: N_("Which norm to use"),
    }
)


def choose_view() -> View:
    """Show the choice of a view; any statistic at first."""
    return selection.choose(
        "view",
        _("View"),
        list(View),
        default=View.STATISTIC,
        format_func=LABELS.__getitem__,
        help=_("Any statistic against depth, or one of the views that papers use."),
    )


def show_top(version: Version) -> None:
    """Show the three largest activations and the median of every layer."""
    extras, mode = version.extras, downloads.mode()
    table, name, scale = version.table, version.name, controls.choose_scale()
    try:
        view = views.top(table, name, extras.require(Part.TOP, extras.top()), scale, mode)
    except PartAbsentError as error:  # the largest channels stand in for it
        view = views.top_channels(table, name, str(error), scale, mode)
    downloads.show(view)


def show_norms(version: Version) -> None:
    """Show how token norms are spread in every layer, and in one."""
    extras = version.reading.require(Part.NORM_HIST)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        representation = _choose_stored()
        role = _choose_role(extras)
    counts = extras.require(Part.NORM_HIST, extras.norm_hist(representation, role))
    table, name, mode = version.table, version.name, downloads.mode()
    downloads.show(views.norms(table, name, (representation, role), counts, mode))
    layer = controls.choose_layer(table)
    histograms = {role: extras.norm_hist(representation, role) for role in extras.roles}
    by_role = {role: values for role, values in histograms.items() if values is not None}
    downloads.show(views.norms_of_layer(table, name, layer, representation, by_role, mode))


def show_range(version: Version) -> None:
    """Show the smallest and largest value of every layer, and the layers beyond two bounds."""
    extras = version.reading.require(Part.RANGE)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        representation = controls.choose_representation()
        role = _choose_role(extras)
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        bound = views.BOUND.get(representation, views.OTHER_BOUND)
        lower = selection.choose_number("lower", _("Lower bound"), default=-bound)
        upper = selection.choose_number("upper", _("Upper bound"), default=bound)
        symlog = controls.choose_scale(signed=True) is Scale.SYMLOG
    needed = Part.NORM if representation is Representation.GLOBAL_LN else Part.RANGE
    ends = extras.require(needed, extras.value_range(representation, role))
    downloads.show(
        views.value_range(
            version.table,
            version.name,
            (representation, role),
            ends,
            bounds=(lower, upper),
            symlog=symlog,
            mode=downloads.mode(),
        )
    )
    beyond = find_beyond(extras.layers, ends, lower, upper)
    st.header(
        _("{count} of {count_2} layers beyond a bound").format(
            count=len(beyond), count_2=len(extras.layers)
        )
    )
    if len(beyond):
        tables.show_extremes(beyond)


def show_shared_norm(version: Version) -> None:
    """Show what the model's shared LayerNorm does to the outliers."""
    table, found = version.table, derived.suppression(version.reading)
    downloads.show(views.suppression(table, version.name, found, downloads.mode()))
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        role = controls.choose_role()
    layer = controls.choose_layer(table)
    at, place = table.position(layer), role.position
    if found.outliers[at, place]:
        st.markdown(
            _(
                "**Layer {layer}:** {remaining} of {outliers} outliers of the "
                "block output are outliers after the shared norm too."
            ).format(
                layer=layer,
                remaining=found.remaining[at, place],
                outliers=found.outliers[at, place],
            )
        )
    gamma = None
    with absent.say(_("Without γ as colour"), quietly=True):
        gamma = version.extras.require(Part.NORM, version.extras.norm(role))[0]
    view = views.standings(table, version.name, layer, role, gamma, downloads.mode())
    channel_links.follow(downloads.show(view))


def show_advice(version: Version) -> None:
    """Show which norm the tapped layers need, and why."""
    table = version.table
    tapped = table.tapped_layers
    if not tapped:
        st.caption(_("The training config taps no layers, so all of them are judged."))
    frame = derived.advice(version.reading, tapped or tuple(table.layers.tolist()))
    measured = _hold_to_probe(version, frame)
    tables.show_advice(frame, measured)
    if measured is not None:
        frame = frame.join(measured[["score", "best", "best_score", "verdict"]])
    downloads.show_csv(frame, "advice", version.name)
    st.caption(
        _(
            "A place to start, not a measurement of a head's quality. "
            "Outliers: share of the channels of the block output (robust score "
            "of max |x| of 10 or more). Suppression: by what factor the shared "
            "norm lowers them. |mean| / std: their median. The rules, in "
            "order: no outliers: raw; last layer with none left after the "
            "shared norm: global LN; an offset (|mean| / std of 3 or more): "
            "BatchNorm-like; at most half of the energy: per-layer LN; at most "
            "1% of the channels: drop them; else BatchNorm-like."
        )
    )


def _hold_to_probe(version: Version, frame: pd.DataFrame) -> pd.DataFrame | None:
    """Say whether linear probes bear the advice out, where there are vectors of single images."""
    try:
        target = derived.find_target(version.ref, version.reading)
        if target is None:
            st.info(_("The CSV of this payload has no target that could test the advice."))
            return None
        layers = tuple(dict.fromkeys(frame["layer"].tolist()))
        measured = derived.advice_probed(version.ref, version.reading, layers, target)
    except InputError as error:
        st.info(
            plain(_("Not held to any measurement. {error}").format(error=error)),
            icon=":material/info:",
        )
        return None
    worse = (measured["verdict"] == Verdict.WORSE.value).any()
    say = st.warning if worse else st.info
    say(plain(summarise(measured, target)), icon=":material/balance:")
    return measured


def _choose_stored() -> Representation:
    return selection.choose(
        "representation",
        _("Representation"),
        list(MEASURED),
        default=Representation.PRE,
        format_func=REPRESENTATION_LABELS.__getitem__,
        help=_("The norm of a token after the global LN is not stored."),
    )


def _choose_role(extras: ExtraTable) -> str:
    return selection.choose(
        "role",
        _("Tokens"),
        [str(role) for role in extras.roles],
        default=TokenRole.PATCH.value,
        format_func=role_label,
        help=_("CLS, all patch tokens pooled, or one of the registers."),
    )
