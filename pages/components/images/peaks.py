"""Where a channel is largest: the picture with that patch outlined, and which channels share it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import streamlit as st
from numpy.typing import NDArray
from streamlit.delta_generator import DeltaGenerator

from analysis.errors import ConfigError, ImageError
from analysis.jobs.reader import load_photograph
from analysis.language import _
from analysis.payload.extras import ExtraTable, Part
from analysis.payload.reading import Reading
from analysis.payload.recorded_files import are_measured, find_photograph
from analysis.payload.table import StatsTable
from analysis.read.digits import show_digits
from analysis.read.places.peaks import describe_peaks, group_peaks
from analysis.read.places.photographs import crop_patch, outline_patch
from analysis.show.figures.theme import role_label
from analysis.vocabulary import Representation, Statistic, TokenRole
from pages.components.shared import controls, downloads, selection
from pages.components.shared.cache import by_file
from pages.components.shared.text import plain
from pages.components.shared.version import Version

OFFERED = 500
"""Channels in the menu, the largest first; one that a link names is offered too."""


@dataclass(frozen=True)
class Cell:
    """The block output of one layer and role, channel by channel: ``[channels]`` each."""

    mean: NDArray[np.float32]
    std: NDArray[np.float32]
    max_abs: NDArray[np.float32]

    @property
    def order(self) -> NDArray[np.int64]:
        """Return the channels, largest max |x| first."""
        return np.argsort(-self.max_abs, kind="stable")


@dataclass(frozen=True)
class Place:
    """What the page looks at: one channel of one kind of token of one layer."""

    role: str
    layer: int
    cell: Cell
    channel: int


def choose_place(first: DeltaGenerator, version: Version, *, role: str | None = None) -> Place:
    """Show the choices of role, layer and channel.

    Args:
        first: The line above, which has room for the channel.
        version: Whose channels.
        role: The only one that there is; None where it is to be chosen, and then the layer too: a
            figure of one role brings its own slider through the layers.
    """
    table, layers = version.table, version.table.layers.tolist()
    if role is None:
        with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
            role = choose_role(version.extras)
            layer = controls.choose_layer(table)
    else:
        known = {str(layer): layer for layer in layers}
        layer = known.get(selection.recall("layer") or "", layers[-1])
    cell = read_cell(table, version.extras, layer, role)
    with first:
        channel = choose_channel(cell, layer)
    return Place(role, layer, cell, channel)


def show(version: Version, first: DeltaGenerator) -> None:
    """Show where the chosen channel peaks, and whether the top channels of the layer share it."""
    extras = version.reading.require(Part.ARGMAX, Part.IMAGES, Part.RANGE)
    table = version.table
    chosen = choose_place(first, version)
    cell, channel, layer = chosen.cell, chosen.channel, chosen.layer
    folder = selection.recall("images")

    place = table.position(layer)
    argmax = extras.require(Part.ARGMAX, extras.argmax(chosen.role))
    ends = extras.require(Part.RANGE, extras.value_range(Representation.PRE, chosen.role))
    places, (lowest, highest) = argmax[place], ends[place][:, channel]
    image, patch = (int(index) for index in places[channel])

    st.header(
        _("Layer {layer}: channel {channel}, {role_label} tokens").format(
            layer=layer, channel=channel, role_label=role_label(chosen.role)
        )
    )
    _show_picture(version, extras.image_paths, image, patch, folder)
    value = float(highest if highest >= -lowest else lowest)
    _show_numbers(extras, cell, channel, value, image, patch)

    heading = st.empty()
    k = controls.choose_k(table.channels)
    heading.header(_("Where the top {k} channels peak").format(k=k))
    columns = extras.grid[1] if extras.grid and patch >= 0 else None
    shared = group_peaks(cell.order[:k], places, list(extras.image_paths), columns)
    st.markdown(plain(describe_peaks(shared)))
    _show_places(shared, patch >= 0, version.name)


def _show_numbers(
    extras: ExtraTable, cell: Cell, channel: int, value: float, image: int, patch: int
) -> None:
    """Show the peak in numbers: how large, how far out, in which image, at which patch."""
    std = float(cell.std[channel])
    z = (value - float(cell.mean[channel])) / std if std else float("nan")
    path = extras.image_paths[image] if 0 <= image < len(extras.image_paths) else ""
    with st.container(horizontal=True):
        st.metric(
            _("Value at the peak"), f"{value:+.4g}", border=True, help=_("Of the block output.")
        )
        st.metric(
            _("z-score"),
            f"{z:+.1f}" if std else "–",
            border=True,
            help=_("Stds away from the channel's mean over the same tokens of all images."),
        )
        st.metric(
            _("Image"),
            f"#{image}",
            border=True,
            help=_("{path}, in the list of {count} images from 0.").format(
                path=plain(path), count=len(extras.image_paths)
            ),
        )
        if patch >= 0 and extras.grid:
            row, column = divmod(patch, extras.grid[1])
            st.metric(
                _("Patch (row, column)"),
                f"{row}, {column}",
                border=True,
                help=_("Index {patch}, from 0.").format(patch=patch),
            )


def choose_role(extras: ExtraTable) -> str:
    """Show the choice among all roles that were measured, storage tokens included."""
    storage = extras.storage_roles if extras.has(Part.STORAGE) else ()
    return selection.choose(
        "role",
        _("Tokens"),
        [*map(str, TokenRole), *storage],
        default=TokenRole.PATCH.value,
        format_func=role_label,
        help=_("Registers take part in attention but stand for no patch."),
    )


def read_cell(table: StatsTable, extras: ExtraTable, layer: int, role: str) -> Cell:
    """Return mean, std and max |x| of the block output, also of storage tokens."""
    if role in list(TokenRole):
        known = (
            table.get(layer, Representation.PRE, TokenRole(role), statistic)
            for statistic in Statistic
        )
        return Cell(*known)
    stored = extras.require(Part.STORAGE, extras.storage(Representation.PRE, role))
    return Cell(*stored[table.position(layer)])


def choose_channel(cell: Cell, layer: int) -> int:
    """Show the choice of a channel, the largest of a layer first."""
    order = cell.order[:OFFERED].tolist()
    wanted = selection.to_whole(selection.recall("channel"))
    if wanted is not None and wanted < len(cell.max_abs) and wanted not in order:
        order.append(wanted)
    return selection.choose(
        "channel",
        _("Channel"),
        order,
        default=order[0],
        format_func=lambda channel: _("{channel} · max |x| {max_abs}").format(
            channel=channel, max_abs=show_digits(float(cell.max_abs[channel]), 4)
        ),
        help=_(
            "Sorted by max |x| of the block output at layer {layer}; type a number to find it."
        ).format(layer=layer),
        menu_width=240,
    )


def choose_folder() -> None:
    """Show a line for the folder that the images lie in on this machine; look there at once."""
    used = selection.recall("images") or None
    typed = selection.type_text(
        "images",
        _("Folder of the images"),
        placeholder=_("where data.root is on this machine"),
        help=_("Below the project dir, or a folder that DASHBOARD_ROOTS names."),
    )
    if typed != used:
        st.rerun()


@by_file(seconds=60)
def _are_measured(reading: Reading, folder: str | None) -> bool | None:
    return are_measured(reading.extras.image_paths, reading.meta, folder)


def _show_picture(
    version: Version, paths: Sequence[str], image: int, patch: int, folder: str | None
) -> None:
    path = paths[image] if 0 <= image < len(paths) else ""
    run = version.table.run
    try:
        file = find_photograph(path, version.table.meta, folder)
        size = run.get("image_size") or run.get("network_size")
        if size is None:
            raise ImageError(_("This payload does not say how its images were resized."))
        pixels = load_photograph(file, size, run.get("network_size"))
        if patch < 0:
            st.image(pixels, caption=plain(path), alt=path)
            st.caption(_("CLS and registers have no place in the picture."))
            return
        whole, zoomed = outline_patch(pixels, patch), crop_patch(pixels, patch)
    except (ConfigError, ImageError) as error:
        st.warning(plain(str(error)), icon=":material/broken_image:")
        choose_folder()
        return
    if _are_measured(version.reading, folder) is False:
        st.warning(
            _(
                "The images here are not those that were measured: their sizes "
                "differ. The patch may show something else."
            ),
            icon=":material/warning:",
        )
    left, right = st.columns([3, 1])
    seen = _("{path}, as the network saw it").format(path=path)
    left.image(whole, caption=plain(seen), width="stretch", alt=seen)
    with left:
        downloads.offer_picture(whole, f"peak in {Path(path).stem}")
    near = _("The patch and its neighbours, pixel by pixel")
    right.image(zoomed, caption=near, width="stretch", alt=near)
    if folder:
        choose_folder()


def _show_places(shared: pd.DataFrame, placed: bool, name: str) -> None:
    number, text = st.column_config.NumberColumn, st.column_config.TextColumn
    place = (["row", "column"] if "row" in shared else ["patch"]) if placed else []
    st.dataframe(
        shared,
        hide_index=True,
        key="peaks",
        column_order=["path", *place, "count", "channels"],
        column_config={
            "path": text(_("Image")),
            "patch": number(_("Patch"), format="%d", help=_("Index, row by row.")),
            "row": number(_("Row"), format="%d", width="small", help=_("Of the patch, from 0.")),
            "column": number(_("Column"), format="%d", width="small", help=_("Of the patch.")),
            "count": number(_("Channels that peak here"), format="%d"),
            "channels": text(_("Which"), width="large"),
        },
    )
    downloads.show_csv(shared, "peaks", name)
