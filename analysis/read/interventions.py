"""What an intervention changed, beside what the same number of random channels changes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from analysis.language import N_, Texts, _, ngettext
from analysis.payload.intervention_file import InterventionResult
from analysis.vocabulary import ROLES, TokenRole

ROLE_NOUNS = Texts(
    {TokenRole.CLS: N_("the CLS token"), TokenRole.PATCH: N_("the mean patch token")}
)
NEGLIGIBLE = 0.01
"""Relative change of a head's input below which an effect is called negligible."""


@dataclass(frozen=True)
class Curve:
    """One measure against depth, mean over images."""

    layers: NDArray[np.int64]
    """``[L]``: the start layer and all later ones."""
    chosen: NDArray[np.float32]
    """``[L]``: of the intervention."""
    controls: NDArray[np.float32]
    """``[draws, L]``: of each set of random channels."""


def over_depth(
    result: InterventionResult, role: TokenRole, measure: str = "relative", arm: int = 0
) -> Curve:
    """Return a measure of one arm and of the controls of its start layer.

    Args:
        result: As it was read.
        role: Which tokens.
        measure: relative, cosine or token_norm.
        arm: Position of the arm.
    """
    start = result.arms[arm].layer
    values = getattr(result, measure)[:, :, start:, role.position].mean(axis=1)
    controls = result.select(control=True, layer=start)
    layers = np.arange(start, result.num_layers)
    return Curve(layers, values[arm], values[controls])


@dataclass(frozen=True)
class FinalEffect:
    """How far what a head reads moves, mean over images."""

    relative: float
    cosine: float
    controls: NDArray[np.float32]
    """``[draws]``: relative change by each set of random channels; empty without controls."""

    @property
    def exceeds_controls(self) -> bool | None:
        """Whether it is larger than every control; None without controls."""
        return self.relative > float(self.controls.max()) if len(self.controls) else None


def final_effect(result: InterventionResult, role: TokenRole, arm: int = 0) -> FinalEffect:
    """Return the effect of one arm on the final normed CLS or mean patch token."""
    relative = result.final_relative[:, :, role.position].mean(axis=1)
    cosine = result.final_cosine[arm, :, role.position].mean()
    controls = result.select(control=True, layer=result.arms[arm].layer)
    return FinalEffect(float(relative[arm]), float(cosine), relative[controls])


def strongest_arm(result: InterventionResult, role: TokenRole) -> int:
    """Return the position of the arm, no control, that moves the final vector furthest."""
    relative = result.final_relative[:, :, role.position].mean(axis=1)
    return max(result.select(control=False), key=lambda arm: float(relative[arm]))


def largest_image(result: InterventionResult, role: TokenRole, arm: int = 0) -> tuple[str, float]:
    """Return the image whose final vector moves furthest, and its relative change."""
    changes = result.final_relative[arm, :, role.position]
    index = int(changes.argmax())
    return result.images[index], float(changes[index])


def sweep_map(
    result: InterventionResult, role: TokenRole
) -> tuple[list[int], list[int], NDArray[np.float32], NDArray[np.float32]]:
    """Return the final effect of each channel from each start layer on.

    Returns:
        Channels; start layers; relative change ``[channels, layers]``, NaN where not run; and the
        largest relative change of a control ``[layers]``, NaN without controls.
    """
    relative = result.final_relative[:, :, role.position].mean(axis=1)
    chosen = result.select(control=False)
    channels = list(dict.fromkeys(result.arms[arm].channels[0] for arm in chosen))
    layers = sorted({result.arms[arm].layer for arm in chosen})
    effects = np.full((len(channels), len(layers)), np.nan, dtype=np.float32)
    for arm in chosen:
        row = channels.index(result.arms[arm].channels[0])
        effects[row, layers.index(result.arms[arm].layer)] = relative[arm]
    limit = np.full(len(layers), np.nan, dtype=np.float32)
    for column, layer in enumerate(layers):
        controls = result.select(control=True, layer=layer)
        if controls:
            limit[column] = relative[controls].max()
    return channels, layers, effects, limit


def tabulate_final(result: InterventionResult) -> pd.DataFrame:
    """Return one row per chosen arm and role: effect, controls, whether it exceeds them."""
    rows = []
    for arm in result.select(control=False):
        for role in ROLES:
            effect = final_effect(result, role, arm)
            rows.append(
                {
                    "layer": result.arms[arm].layer,
                    "channels": ", ".join(map(str, result.arms[arm].channels)),
                    "role": role.value,
                    "relative": effect.relative,
                    "cosine": effect.cosine,
                    "control_mean": _mean(effect.controls),
                    "control_max": float(effect.controls.max()) if len(effect.controls) else None,
                    "exceeds_controls": effect.exceeds_controls,
                }
            )
    return pd.DataFrame(rows)


def describe(result: InterventionResult) -> list[str]:
    """Return what was found in sentences, none more certain than the controls allow."""
    chosen = result.select(control=False)
    if len(chosen) == 1:
        return [_describe_one(result, role) for role in ROLES]
    return [_describe_sweep(result, role) for role in ROLES]


def _describe_one(result: InterventionResult, role: TokenRole) -> str:
    arm, effect = result.arms[0], final_effect(result, role)
    named = _(", ").join(map(str, arm.channels[:8])) + (" ..." if len(arm.channels) > 8 else "")
    sentence = ngettext(
        "Setting channel {named} to {action} from layer {layer} on moves {role} that a head "
        "reads by {relative:.2%} (cosine {cosine:.4f}, {count} images)",
        "Setting channels {named} to {action} from layer {layer} on moves {role} that a head "
        "reads by {relative:.2%} (cosine {cosine:.4f}, {count} images)",
        len(arm.channels),
    ).format(
        named=named,
        action=_name_action(result.action),
        layer=arm.layer,
        role=ROLE_NOUNS[role],
        relative=effect.relative,
        cosine=effect.cosine,
        count=len(result.images),
    )
    if not len(effect.controls):
        return _("{sentence}; there is no control to compare with.").format(sentence=sentence)
    low, high = float(effect.controls.min()), float(effect.controls.max())
    sentence += _("; {count} sets of random channels move it by {low:.2%} to {high:.2%}").format(
        count=len(effect.controls), low=low, high=high
    )
    if effect.relative <= high:
        return _("{sentence}: no more than random channels do.").format(sentence=sentence)
    if effect.relative < NEGLIGIBLE:
        return _("{sentence}: more than random channels, and negligible.").format(sentence=sentence)
    return _("{sentence}: these channels matter more than random ones.").format(sentence=sentence)


def _describe_sweep(result: InterventionResult, role: TokenRole) -> str:
    channels, layers, effects, limit = sweep_map(result, role)
    row, column = np.unravel_index(int(np.nanargmax(effects)), effects.shape)
    beyond = [
        str(channel)
        for channel, values in zip(channels, effects, strict=True)
        if (values > np.fmax(limit, NEGLIGIBLE)).any()
    ]
    noun = ROLE_NOUNS[role]
    sentence = _(
        "{noun} moves most, by {effects:.2%}, with channel {channels} from layer {layers} on"
    ).format(
        noun=noun[:1].upper() + noun[1:],
        effects=effects[row, column],
        channels=channels[row],
        layers=layers[column],
    )
    if np.isnan(limit).all():
        return _("{sentence}; there is no control to compare with.").format(sentence=sentence)
    if not beyond:
        return _(
            "{sentence}; no channel exceeds both random channels and {negligible:.0%}."
        ).format(sentence=sentence, negligible=NEGLIGIBLE)
    return _("{sentence}; beyond random channels and {negligible:.0%}: {beyond}.").format(
        sentence=sentence, negligible=NEGLIGIBLE, beyond=_(", ").join(beyond)
    )


def _name_action(action: str) -> str:
    names = {"mean": _("their mean over the data set"), "zero": _("zero")}
    return names.get(action, _("their mean over each image"))


def _mean(values: NDArray[np.float32]) -> float | None:
    return float(values.mean()) if len(values) else None
