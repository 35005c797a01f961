"""A channel over single pictures: at every layer, with the adapter and without it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from analysis.errors import ImageError, InputError
from analysis.files.read_only import is_read_only
from analysis.jobs.maps import (
    Arm,
    MapRequest,
    Picture,
    RunState,
    TokenMaps,
    find_run,
    load_maps,
    prepare_run,
    start_run,
    stop_run,
)
from analysis.jobs.reader import load_photograph
from analysis.language import N_, Texts, _
from analysis.read.places.photographs import to_jpeg, to_png
from analysis.show.figures.maps import MapPanel
from analysis.show.figures.theme import describe_unit
from analysis.show.views import images as views
from analysis.vocabulary import TokenRole
from pages.components.images import map_request
from pages.components.images import peaks as peak_view
from pages.components.shared import controls, downloads, selection
from pages.components.shared.text import plain
from pages.components.shared.version import Version

POLL_SECONDS = 0.5

SHOWN_NOUNS = Texts(
    {
        "channel": N_("one channel"),
        "norm": N_("the token norm"),
        "components": N_("components"),
    }
)
SHOWN = Texts(
    {
        "channel": N_("Channel"),
        "norm": N_("Token norm"),
        "components": N_("Principal components"),
    }
)
SHOWN_HELP = N_(
    "**Channel**: the chosen channel at every patch. **Token norm**: "
    "the L2 norm over all channels. **Principal components**: the "
    "first three of the layer's patch tokens as red, green and blue; "
    "their signs follow the layer before."
)
ARM_LABELS = Texts({Arm.ADAPTER: N_("with the adapter"), Arm.FROZEN: N_("frozen backbone")})


def show(version: Version, first: DeltaGenerator) -> None:
    """Show the choice of pictures, the run that computes their maps, and the maps."""
    place = peak_view.choose_place(first, version, role=TokenRole.PATCH)
    layer, channel = place.layer, place.channel
    shown = st.container()  # above what they were asked for with, which is long
    try:
        chosen = map_request.choose(version, version.extras, layer, channel)
    except InputError as error:
        st.warning(plain(str(error)), icon=":material/broken_image:")
        if isinstance(error, ImageError) or selection.recall("images"):
            peak_view.choose_folder()
        return
    if chosen is None:
        st.info(_("Choose images of the training set, or upload some."), icon=":material/info:")
        return
    request, pictures = chosen
    if request.missing():
        _show_run(request)
    there = [picture for picture in request.pictures if _find_results(request, picture)]
    if there:
        with shown:
            _show_maps(
                version, request, {picture: pictures[picture] for picture in there}, layer, channel
            )


def _find_results(request: MapRequest, picture: Picture) -> list[Arm]:
    """Return the networks whose maps of a picture are there."""
    return [arm for arm in request.arms if request.result_path(picture, arm).exists()]


def _show_run(request: MapRequest) -> None:
    """Say what has become of the request, and offer to start it."""
    run = find_run(request)
    if run is not None and run.is_live:
        st.fragment(_poll, run_every=POLL_SECONDS)(request, len(request.missing()))
        return
    if is_read_only():
        st.info(
            _(
                "Read-only server: maps that were computed before are shown, new "
                "ones cannot be asked for."
            ),
            icon=":material/lock:",
        )
        return
    prepare_run(request)
    missing, total = len(request.missing()), len(request.arms) * len(request.pictures)
    if run is not None and run.state is RunState.FAILED:
        st.error(_("Failed: {error}").format(error=plain(str(run.error))), icon=":material/error:")
    elif run is not None and run.state is RunState.STOPPED:
        st.info(
            _("Stopped; {missing} of {total} maps are missing.").format(
                missing=missing, total=total
            ),
            icon=":material/stop_circle:",
        )
    else:
        images = (
            _("One image")
            if len(request.pictures) == 1
            else _("{count} images").format(count=len(request.pictures))
        )
        arms = _("with the adapter and without it") if Arm.ADAPTER in request.arms else "frozen"
        st.markdown(
            _(
                "{images} through the backbone, {arms}, on this machine's CPU. The result is kept."
            ).format(images=images, arms=arms)
        )
    label = (
        _("Compute the maps")
        if missing == total
        else _("Compute the missing maps ({missing})").format(missing=missing)
    )
    if st.button(label, type="primary", icon=":material/play_arrow:"):
        _do(start_run, request)


def _poll(request: MapRequest, missing: int) -> None:
    """Show how far a run is; show the whole page again when there is more to see."""
    run = find_run(request)
    if run is None or not run.is_live or len(request.missing()) < missing:
        st.rerun()
    share = run.done / run.total if run.total else 0.0
    with st.container(horizontal=True, vertical_alignment="bottom"):
        st.progress(
            share,
            text=_("{done} of {total} maps: {message}").format(
                done=run.done, total=run.total or "…", message=plain(_(run.message))
            ),
        )
        if is_read_only():
            return
        stopping = run.state is RunState.STOPPING
        label = _("Stopping …") if stopping else _("Stop")
        if st.button(label, icon=":material/stop:", disabled=stopping, key="stop maps"):
            _do(stop_run, request)


def _do(action: Callable[[MapRequest], None], request: MapRequest) -> None:
    try:
        action(request)
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
    else:
        st.rerun()


def _describe_network(
    request: MapRequest, maps: Mapping[Arm, TokenMaps], run: Mapping[str, Any], *, adapted: bool
) -> str:
    """Say whether files that were chosen are those that were measured.

    Returns:
        What is to be said below the figure: that they are, or that nobody can tell.
    """
    if request.is_as_measured:
        return ""
    digests: dict[str, Any] = {"weights": run.get("weights_sha256")}
    if Arm.ADAPTER in maps or Arm.ADAPTER not in request.arms:  # else its turn comes
        digests["adapter"] = run.get("adapter_sha256") if adapted else ""
    weights, adapter = next(iter(maps.values())).sources.tolist()
    lines: dict[str, str] = {"weights": weights, "adapter": adapter}
    others = [what for what, digest in digests.items() if digest not in (None, lines[what])]
    if others:
        names = {"weights": _("weights"), "adapter": _("adapter")}
        what = _(" and ").join(names[other] for other in others)
        st.warning(
            _("Not the network that was measured: other {what}.").format(what=what),
            icon=":material/warning:",
        )
        return ""
    if None in digests.values():
        return _("This payload does not say which files were measured: they may be others.")
    return _("The chosen files are those that were measured.")


def _show_maps(
    version: Version, request: MapRequest, pictures: dict[Picture, str], layer: int, channel: int
) -> None:
    table = version.table
    with st.container(horizontal=True, gap="medium", vertical_alignment="top"):
        shown = selection.choose(
            "map",
            _("Map"),
            list(SHOWN),
            default="channel",
            format_func=SHOWN.__getitem__,
            help=_(SHOWN_HELP),
        )
        representation = controls.choose_representation()
    picture = next(iter(pictures))
    if len(pictures) > 1:
        names = {each.sha256[:12]: each for each in pictures}
        key = selection.choose(
            "picture",
            _("Image"),
            list(names),
            default=picture.sha256[:12],
            format_func=lambda key: pictures[names[key]],
        )
        picture = names[key]
    try:
        arms = _find_results(request, picture)
        maps = {arm: load_maps(request.result_path(picture, arm)) for arm in arms}
        pixels = load_photograph(picture.path, request.image_size, table.run.get("network_size"))
    except InputError as error:
        st.error(plain(str(error)), icon=":material/error:")
        return
    adapted = bool(table.backbone.get("used_lora"))
    network = _describe_network(request, maps, table.run, adapted=adapted)
    first = next(iter(maps.values()))
    unit = describe_unit(representation)

    def panel(arm: Arm, tokens: TokenMaps) -> MapPanel:
        title = ARM_LABELS[arm]
        if shown == "components":
            return MapPanel(title, pictures=[*map(to_png, tokens.components(representation))])
        if shown == "norm":
            return MapPanel(title, tokens.patches(tokens.norm(representation)))
        return MapPanel(title, tokens.patches(tokens.channel(representation, channel)))

    labels = {
        "channel": _("channel {channel}, {unit}").format(channel=channel, unit=unit),
        "norm": _("token norm, {unit}").format(unit=unit),
    }
    words = [
        _("{pictures}, as the network saw it. Colours span each layer's own values").format(
            pictures=pictures[picture]
        )
        + (_(", on either side of their median.") if shown == "channel" else _("."))
    ]
    if shown == "components":
        shares = " · ".join(
            f"{ARM_LABELS[arm]}: "
            + _(", ").join(f"{share:.0%}" for share in each.shares(representation)[layer])
            for arm, each in maps.items()
        )
        words.append(
            _(
                "Share of the patches' variance in red, green, blue at layer {layer}: {shares}."
            ).format(layer=layer, shares=shares)
        )
        if len(maps) > 1:
            words.append(
                _(
                    "Each side has components of its own: "
                    "the same colour on both sides is no likeness."
                )
            )
    words.append(network)
    downloads.show(
        views.token_maps(
            [panel(arm, each) for arm, each in maps.items()],
            (int(first.grid[0]), int(first.grid[1])),
            to_jpeg(pixels),
            _("Maps of {shown}").format(shown=SHOWN_NOUNS[shown]),
            version.name,
            layers=first.num_layers,
            first=layer,
            value_label=labels.get(shown, ""),
            signed=shown == "channel",
            words=[sentence for sentence in words if sentence],
            mode=downloads.mode(),
        )
    )
    if shown != "components":
        values = [
            (
                each.norm(representation)
                if shown == "norm"
                else each.channel(representation, channel)
            )[:, : each.n_prefix]
            for each in maps.values()
        ]
        downloads.show(
            views.prefix_tokens(
                values,
                [ARM_LABELS[arm] for arm in maps],
                version.name,
                value_label=labels[shown],
                mode=downloads.mode(),
            )
        )
