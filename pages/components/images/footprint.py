"""Where in the pictures a channel is large over the whole data set, and what it answers to."""

from __future__ import annotations

import numpy as np
import pandas as pd
import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.language import _
from analysis.payload.extras import Part
from analysis.read.places.footprint import (
    SENTENCES,
    SINGLE_SENTENCES,
    Footprint,
    describe_footprint,
    label_kind,
    summarise_footprints,
)
from analysis.show.figures.theme import role_label
from analysis.show.views import images as views
from analysis.vocabulary import Representation, TokenRole
from pages.components.images import peaks as peak_view
from pages.components.shared import absent, controls, downloads, selection
from pages.components.shared.version import Version


def show(version: Version, first: DeltaGenerator) -> None:
    """Show what the chosen channel answers to, its map over the patch grid, and the others'."""
    table, extras = version.table, version.extras
    chosen = peak_view.choose_place(first, version)
    role, layer, cell, channel = chosen.role, chosen.layer, chosen.cell, chosen.channel
    about, others = st.container(), st.container()
    heading = st.empty()
    k = controls.choose_k(table.channels)
    heading.header(_("What the top {k} channels answer to").format(k=k))
    top = cell.order[:k]
    single, groups, tokens_per_image = role != TokenRole.PATCH, None, 1
    if not single:
        groups = extras.groups(layer, Representation.PRE, TokenRole.PATCH)
        tokens_per_image = round(table.count(layer, TokenRole.PATCH) / max(1, table.num_images))
    ends = extras.value_range(Representation.PRE, role)
    sums = None if single else extras.image_means(Representation.PRE, TokenRole.PATCH)
    place = table.position(layer)
    frame = describe_footprint(
        np.append(channel, top),
        cell.mean,
        cell.std,
        cell.max_abs,
        groups,
        tokens_per_image,
        ends=None if ends is None else ends[place],
        image_means=None if sums is None else sums[place] / max(1, table.num_images),
    )

    with about:
        if single:
            st.header(
                _("Layer {layer}: channel {channel}, {role_label} tokens").format(
                    layer=layer, channel=channel, role_label=role_label(role)
                )
            )
            st.caption(_("CLS and registers have no place in the picture: no map."))
        else:
            with absent.say():
                _show_maps(version, layer, channel, others)
        _show_kind(frame.iloc[0], single)

    rest = frame.iloc[1:]
    st.markdown(summarise_footprints(rest, single=single))
    _show_table(rest, single)
    if not single:
        with absent.say():
            extras.require(Part.GROUPS, groups)
    downloads.show_csv(rest, "footprints", version.name)


def _show_kind(row: pd.Series, single: bool) -> None:
    between = row["between"]
    known = not np.isnan(between)
    exact = bool(known and row["between_low"] == row["between_high"])
    share = f"{between:.0%}"
    if known and not exact:
        share = _("about {between_low:.0%} to {between_high:.0%}").format(
            between_low=row["between_low"], between_high=row["between_high"]
        )
    with st.container(horizontal=True):
        st.metric(_("|mean| / std"), f"{row['mean_over_std']:.3g}", border=True)
        st.metric(
            _("Variance between images"),
            share if known else "–",
            border=True,
            help=_("All of it: one token per image.")
            if single
            else _("Share of the variance that lies between the images' means")
            + (_(": exact.") if exact else _(": 80% bounds, from the means of the image groups.")),
        )
        st.metric(
            _("Variance within images"),
            _subtract(row, exact) if known else "–",
            border=True,
            help=_("The rest: from patch to patch of one image."),
        )
        st.metric(
            _("Peak, in stds"),
            f"{row['peak_z']:.1f}",
            border=True,
            help=_(
                "Distance of the farthest value from the mean, in stds; without "
                "signed ends at least so far."
            ),
        )
    kind = Footprint(row["footprint"])
    sentences = SINGLE_SENTENCES if single else SENTENCES
    label = label_kind(kind, single=single).capitalize()
    st.markdown(_("{subject}: {words}").format(subject=f"**{label}**", words=sentences[kind]))


def _subtract(row: pd.Series, exact: bool) -> str:
    if exact:
        return f"{1 - row['between']:.0%}"
    return _("about {between_low:.0%} to {between_high:.0%}").format(
        between_low=1 - row["between_high"], between_high=1 - row["between_low"]
    )


def _show_maps(version: Version, layer: int, channel: int, others: DeltaGenerator) -> None:
    """Show the map of the channel, and in its place below those of the others."""
    place = version.table.position(layer)
    channels, maps = (
        kept[place] for kept in version.extras.require(Part.FOOTPRINT, version.extras.footprint())
    )
    kept: list[int] = channels.tolist()
    mode, name, images = downloads.mode(), version.name, version.table.num_images
    if channel in kept:
        values = maps[kept.index(channel)]
        downloads.show(views.footprint(layer, channel, values, images, name, mode))
    else:
        st.header(
            _("Layer {layer}: channel {channel}, {role_label} tokens").format(
                layer=layer, channel=channel, role_label=role_label(TokenRole.PATCH)
            )
        )
        st.info(
            _(
                "Of channel {channel} there is no map: a payload keeps those of "
                "the {count} channels of a layer that were largest on its first "
                "images. Choose one of them below."
            ).format(channel=channel, count=len(kept)),
            icon=":material/info:",
        )
    with others:
        downloads.show(views.footprints(layer, channels, maps, name, selected=channel, mode=mode))
        with st.container(horizontal=True, gap="small"):
            for each in kept:
                st.button(
                    str(each),
                    key=f"footprint of {each}",
                    type="primary" if each == channel else "secondary",
                    help=_("Show channel {each}.").format(each=each),
                    on_click=selection.remember,
                    args=("channel", str(each)),
                )


def _show_table(frame: pd.DataFrame, single: bool) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    meaning = [
        _("{subject}: {words}").format(
            subject=f"**{label_kind(kind, single=single)}**", words=words
        )
        for kind, words in (SINGLE_SENTENCES if single else SENTENCES).items()
    ]
    percent = frame.assign(
        **{key: 100 * frame[key] for key in ("between", "between_low", "between_high")},
        footprint=[label_kind(Footprint(kind), single=single) for kind in frame["footprint"]],
    )
    percent["bounds"] = [
        "" if np.isnan(low) else _("{low:.0f} to {high:.0f}%").format(low=low, high=high)
        for low, high in zip(percent["between_low"], percent["between_high"], strict=True)
    ]
    st.dataframe(
        percent,
        hide_index=True,
        key="footprints",
        placeholder="–",
        column_order=[
            *("channel", "footprint", "mean_over_std", "peak_z"),
            *(() if single else ("between", "bounds")),
        ],
        column_config={
            "channel": number(_("Channel"), format="%d"),
            "footprint": text(_("Answers to"), help="  \n".join(meaning)),
            "mean_over_std": number(_("|mean| / std"), format="%.2f"),
            "peak_z": number(
                _("Peak, in stds"),
                format="%.1f",
                help=_(
                    "Distance of the farthest value from the mean, in stds; without "
                    "signed ends at least so far."
                ),
            ),
            "between": number(
                _("Between images"),
                format="%.0f %%",
                help=_(
                    "Share of the variance that lies between the images' means; the "
                    "rest lies within images. Exact where the images' means are held; "
                    "else from image groups."
                ),
            ),
            "bounds": text(
                _("80% bounds"),
                help=_("Few groups say little: the share may lie anywhere in here."),
            ),
        },
    )
