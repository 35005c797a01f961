"""The fields that say what is fixed, where, and to what."""

from __future__ import annotations

import streamlit as st

from analysis.jobs.interventions import ALL_TOKENS, Action, InterventionRequest, TokenKind
from analysis.language import N_, Texts, _, pgettext
from pages.components.shared import selection
from pages.components.shared.version import Version

ACTIONS = Texts(
    {
        Action.MEAN: N_("mean over the data set"),
        Action.ZERO: N_("zero"),
        Action.IMAGE_MEAN: N_("mean of the image"),
    }
)
TOKEN_LABELS = Texts(
    {
        TokenKind.CLS: N_("CLS"),
        TokenKind.REGISTERS: N_("registers"),
        TokenKind.PATCHES: N_("patches"),
    }
)
SWEEP_TOP = 8


def choose(version: Version) -> tuple[InterventionRequest, str | None]:
    """Show the fields; return the request, and where the images are if somebody has said so."""
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        sweep = selection.switch(
            "sweep",
            _("Sweep"),
            default=False,
            help=_("Each channel on its own, from each layer on."),
        )
        layer = None if sweep else _choose_start(version)
        top = selection.choose_integer(
            "top",
            _("Largest channels"),
            default=min(SWEEP_TOP if sweep else 4, max(1, version.table.channels // 2)),
            low=1,
            high=max(1, version.table.channels // 2),
            help=_("By max |x| of the patch tokens."),
        )
        named = selection.type_text(
            "channels",
            _("or these channels"),
            help=_("Numbers with commas between; empty: the largest."),
        )
    with st.container(horizontal=True, gap="medium", vertical_alignment="bottom"):
        action = selection.choose(
            "set", _("Set to"), list(Action), default=Action.MEAN, format_func=ACTIONS.__getitem__
        )
        tokens = selection.choose_some(
            "tokens", _("Of"), list(ALL_TOKENS), format_func=TOKEN_LABELS.__getitem__
        )
    with (
        st.expander(_("More"), icon=":material/tune:", key="more of interventions"),
        st.container(horizontal=True, gap="medium", vertical_alignment="bottom"),
    ):
        hold = selection.switch(
            "hold",
            _("At every later layer too"),
            default=True,
            help=_("Otherwise only the output of the first layer is changed."),
        )
        images = selection.choose_integer(
            "images", pgettext("count", "Images"), default=16 if sweep else 64, low=1, high=1_000
        )
        folder = selection.type_text(
            "folder", _("Folder of the images"), help=_("Empty: where the payload says.")
        )
    request = InterventionRequest(
        layer=layer,
        channels=_parse(named, version.table.channels),
        top=top,
        tokens=tuple(kind for kind in ALL_TOKENS if kind in tokens) or ALL_TOKENS,
        action=action,
        hold=hold,
        max_images=images,
        sweep=sweep,
    )
    return request, folder or None


def _choose_start(version: Version) -> int:
    layers = version.table.layers.tolist()
    return selection.choose_on_slider(
        "start", _("From layer"), layers, default=layers[len(layers) // 2]
    )


def _parse(text: str | None, channels: int) -> tuple[int, ...] | None:
    if not text:
        return None
    try:
        numbers = tuple(int(part) for part in text.split(","))
    except ValueError:
        numbers = (-1,)
    if any(not 0 <= number < channels for number in numbers):
        st.error(
            _("Channels are whole numbers from 0 to {channels}, with commas between.").format(
                channels=channels - 1
            )
        )
        st.stop()
    return numbers
