"""A channel over single pictures: at every layer, with the adapter and without it."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import streamlit as st
from streamlit.runtime.uploaded_file_manager import UploadedFile

from analysis.errors import InputError
from analysis.extra_tables import ExtraTable, Part
from analysis.figures.maps import MapPanel, build_map_animation, build_prefix_curves
from analysis.figures.theme import describe_unit
from analysis.maps import (
    MAX_IMAGES,
    Arm,
    MapRequest,
    Picture,
    TokenMaps,
    find_run,
    load_maps,
    plan_maps,
    start_run,
    uploads_folder,
)
from analysis.maps.photographs import MAX_BYTES, find_photograph, load_photograph, to_jpeg, to_png
from analysis.vocabulary import TokenRole
from pages.components import controls, downloads, peak_view, selection
from pages.components.picker import Version
from pages.components.text import plain

POLL_SECONDS = 1
OFFERED = 1000
"""Training images in the menu."""

SHOWN = {"channel": "Channel", "norm": "Token norm", "components": "Principal components"}
SHOWN_HELP = (
    "**Channel**: the chosen channel at every patch. **Token norm**: the L2 norm over all "
    "channels. **Principal components**: the first three of the layer's patch tokens as red, green "
    "and blue; their signs follow the layer before."
)
ARM_LABELS = {Arm.ADAPTER: "with the adapter", Arm.FROZEN: "frozen backbone"}


def show(version: Version, extras: ExtraTable) -> None:
    """Show the choice of pictures, the run that computes their maps, and the maps."""
    table = version.table
    layer = controls.choose_layer(table)
    cell = peak_view.read_cell(table, extras, layer, TokenRole.PATCH)
    channel = peak_view.choose_channel(cell)
    try:
        pictures = _choose_pictures(version, extras, layer, channel)
        if not pictures:
            st.info("Choose images of the training set, or upload some.", icon=":material/info:")
            return
        request = plan_maps(table, list(pictures), channel)
    except InputError as error:
        st.warning(plain(str(error)), icon=":material/broken_image:")
        peak_view.choose_folder()
        return
    if request.missing():
        _show_run(request)
        return
    _show_maps(version, request, pictures, layer, channel)


def _choose_pictures(
    version: Version, extras: ExtraTable, layer: int, channel: int
) -> dict[Picture, str]:
    """Return the chosen pictures and their names; where the channel peaks if none is chosen."""
    paths = extras.image_paths
    argmax = extras.argmax(TokenRole.PATCH) if extras.has(Part.ARGMAX) else None
    chosen = selection.choose_many(
        "pictures",
        "Images",
        list(range(min(len(paths), OFFERED))),
        limit=MAX_IMAGES,
        format_func=paths.__getitem__,
        help="Of the training set; where none is chosen, the one where the channel peaks.",
    )
    uploaded = st.file_uploader(
        "Or upload pictures",
        type=["jpg", "jpeg", "png", "webp", "bmp", "tif", "tiff"],
        accept_multiple_files=True,
        max_upload_size=MAX_BYTES // 2**20,
        key="map uploads",
        help=f"Up to {MAX_IMAGES} in all; kept in this server's cache.",
    )
    if not chosen and not uploaded and argmax is not None:
        peak = int(argmax[version.table.position(layer)][channel, 0])
        chosen = [peak] if 0 <= peak < len(paths) else []
    folder = selection.recall("images")
    pictures: dict[Picture, str] = {}
    for index in chosen:
        path = find_photograph(paths[index], version.table.meta, folder)
        pictures[_identify(str(path), path.stat().st_size, path.stat().st_mtime_ns)] = paths[index]
    for file in uploaded:
        pictures[_keep(file, version)] = file.name
    return pictures


@st.cache_data(max_entries=200, show_spinner=False)
def _identify(path: str, size: int, mtime_ns: int) -> Picture:
    del size, mtime_ns  # part of the key only
    return Picture.of(Path(path))


def _keep(file: UploadedFile, version: Version) -> Picture:
    """Keep an uploaded picture for the process that maps it; refuse what is none."""
    content = file.getvalue()
    load_photograph(content, version.table.run.get("image_size") or (64, 64))
    digest = hashlib.sha256(content).hexdigest()
    path = uploads_folder() / digest
    if not path.exists():
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(content)
        temporary.replace(path)
    return Picture(path, digest)


def _show_run(request: MapRequest) -> None:
    run = find_run(request)
    if run is not None and run.is_live:
        st.fragment(_poll, run_every=POLL_SECONDS)(request)
        return
    if run is not None and run.error:
        st.error(plain(run.error), icon=":material/error:")
    arms = "with the adapter and without it" if Arm.ADAPTER in request.arms else "frozen backbone"
    st.markdown(
        f"{len(request.pictures)} image(s) through the backbone, {arms}, on this machine's CPU. "
        "The result is kept."
    )
    if st.button("Compute the maps", type="primary", icon=":material/play_arrow:"):
        try:
            start_run(request)
        except InputError as error:
            st.error(plain(str(error)), icon=":material/error:")
        else:
            st.rerun()


def _poll(request: MapRequest) -> None:
    run = find_run(request)
    if run is None or not run.is_live:
        st.rerun()
    share = run.done / run.total if run.total else 0.0
    st.progress(share, text=f"{run.done} of {run.total or '…'} maps, {plain(run.message)}")


def _show_maps(
    version: Version, request: MapRequest, pictures: dict[Picture, str], layer: int, channel: int
) -> None:
    table = version.table
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        shown = selection.choose(
            "map",
            "Map",
            list(SHOWN),
            default="channel",
            format_func=SHOWN.__getitem__,
            help=SHOWN_HELP,
        )
        representation = controls.choose_representation()
    picture = request.pictures[0]
    if len(request.pictures) > 1:
        names = {each.sha256[:12]: each for each in request.pictures}
        key = selection.choose(
            "picture",
            "Image",
            list(names),
            default=picture.sha256[:12],
            format_func=lambda key: pictures[names[key]],
        )
        picture = names[key]
    try:
        maps = {arm: load_maps(request.result_path(picture, arm)) for arm in request.arms}
        pixels = load_photograph(picture.path, request.image_size, table.run.get("network_size"))
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    first = next(iter(maps.values()))
    unit = describe_unit(representation)
    layers = np.arange(first.num_layers)

    def panel(arm: Arm, found: TokenMaps) -> MapPanel:
        title = ARM_LABELS[arm]
        if shown == "components":
            return MapPanel(title, pictures=[*map(to_png, found.components(representation))])
        if shown == "norm":
            return MapPanel(title, found.patches(found.norm(representation)))
        return MapPanel(title, found.patches(found.channel(representation, channel)))

    labels = {"channel": f"channel {channel}, {unit}", "norm": f"token norm, {unit}"}
    downloads.show_figure(
        build_map_animation(
            [panel(arm, found) for arm, found in maps.items()],
            layers,
            (int(first.grid[0]), int(first.grid[1])),
            photograph=to_jpeg(pixels),
            value_label=labels.get(shown, ""),
            first=layer,
            signed=shown == "channel",
            mode=downloads.mode(),
        ),
        "maps",
    )
    st.caption(
        f"{plain(pictures[picture])}, as the network saw it. Colours span each layer's own values"
        + (", on either side of their median." if shown == "channel" else ".")
    )
    if shown == "components":
        shares = " · ".join(
            f"{ARM_LABELS[arm]}: "
            + ", ".join(f"{share:.0%}" for share in found.shares(representation)[layer])
            for arm, found in maps.items()
        )
        st.caption(f"Share of the patches' variance in red, green, blue at layer {layer}: {shares}")
        return
    st.subheader("In the tokens without a place")
    downloads.show_figure(
        build_prefix_curves(
            [
                (
                    found.norm(representation)
                    if shown == "norm"
                    else found.channel(representation, channel)
                )[:, : found.n_prefix]
                for found in maps.values()
            ],
            [ARM_LABELS[arm] for arm in maps],
            layers,
            value_label=labels[shown],
            mode=downloads.mode(),
        ),
        "registers",
    )
