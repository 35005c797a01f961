"""How well a linear probe predicts a target at every depth, and what may be said of it."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from analysis.language import N_, Texts, _
from analysis.payload.features import Features
from analysis.payload.table import StatsTable
from analysis.read.worth.probe import Probe, subtract
from analysis.read.worth.problem import Measure
from analysis.read.worth.tables import tabulate_vectors
from analysis.show.figures import theme
from analysis.show.figures.depth import DepthLine, draw_over_depth
from analysis.show.figures.head_layers import build_head_layers
from analysis.show.figures.theme import Mode, describe_cell
from analysis.show.view import View, describe_one
from analysis.vocabulary import Cell, Representation

WITH_VECTOR = N_(", with the vector of Share")
"""Follows the name of a version."""

LABELS = Texts({Measure.R2: "R²", Measure.BALANCED_ACCURACY: N_("balanced accuracy")})


def versions_over_depth(
    table: StatsTable,
    probes: Mapping[str, Probe],
    normalized: Mapping[str, Probe] | None = None,
    slots: Mapping[str, int] | None = None,
    mode: Mode = "light",
) -> View:
    """Return the quality of the probe of each version in one representation and role.

    Args:
        table: Whose tapped layers are marked.
        probes: By version; each of one representation and role.
        normalized: The same with the normalisation vector; not drawn where None.
        slots: The colour of each version; in their order where None.
        mode: Light or dark.
    """
    first = next(iter(probes.values()))
    lines = []
    for place, (name, probe) in enumerate(probes.items()):
        color = theme.version_color(place if slots is None else slots[name], mode)
        bars = {"type": "data", "array": theme.as_float32(probe.errors), "thickness": 1, "width": 2}
        lines.append(DepthLine(_layers(probe), probe.scores, name, color, keys={"error_y": bars}))
        if normalized is not None and name in normalized:
            other = normalized[name]
            label = f"{name}{_(WITH_VECTOR)}"
            lines.append(DepthLine(_layers(other), other.scores, label, color, dash="dot"))
    chance = max(probe.chance for probe in probes.values())
    return View(
        _("{subject}: {words}").format(
            subject=first.problem.name, words=describe_cell(*first.cells[0][1:])
        ),
        "probe of versions",
        draw_over_depth(
            lines,
            height={
                "title": {
                    "text": _("{measure} on images held out").format(
                        measure=LABELS[first.problem.measure]
                    )
                }
            },
            levels=[chance] if np.isfinite(chance) else [],
            tapped=table.tapped_layers,
            revision="probe",
            names_at_ends=True,
            mode=mode,
        ),
        _tabulate(
            {**probes, **{f"{name}{_(WITH_VECTOR)}": p for name, p in (normalized or {}).items()}}
        ),
        caption=_(
            "Bars: standard error over the folds. Dashed: the most that a "
            "permuted target reached in any of these layers. A backbone that "
            "was trained on these targets has seen the images that the probe "
            "holds out."
        ),
        about=_(", ").join(probes),
    )


def cells_over_depth(table: StatsTable, name: str, probe: Probe, mode: Mode = "light") -> View:
    """Return the quality of the probe of one version in all its cells.

    Args:
        table: Of the version.
        name: The version.
        probe: Of whatever cells there are.
        mode: Light or dark.
    """
    kinds = sorted(
        {(cell.representation, cell.role) for cell in probe.cells},
        key=lambda kind: (kind[0].position, kind[1].position),
    )
    lines = []
    for kind in kinds:
        places = [n for n, cell in enumerate(probe.cells) if (cell[1], cell[2]) == kind]
        layers = np.array([probe.cells[n].layer for n in places])
        lines.append(DepthLine.of_cell(layers, probe.scores[places], *kind, mode))
    return View(
        _("Every representation and role"),
        "probe of cells",
        draw_over_depth(
            lines,
            height={
                "title": {
                    "text": _("{measure} on images held out").format(
                        measure=LABELS[probe.problem.measure]
                    )
                }
            },
            levels=[probe.chance] if np.isfinite(probe.chance) else [],
            tapped=table.tapped_layers,
            revision="probe cells",
            mode=mode,
        ),
        _tabulate({name: probe}),
        caption=_("Dashed: the most that a permuted target reached in any of these cells."),
        **describe_one(name),
    )


def head_layers(table: StatsTable, name: str, mode: Mode = "light") -> View | None:
    """Return how the head that was measured weighs and scales the layers that it reads.

    Returns:
        None where the head holds neither weights nor norms of layers.
    """
    weights = table.run.get("head_layer_weights") or []
    norms = {norm["index"]: norm for norm in table.run.get("head_token_norms") or []}
    count = max(len(weights), max(norms, default=-1) + 1)
    if not count:
        return None
    layers = table.tapped_layers
    known = len(layers) == count
    frame = pd.DataFrame({"position": range(count)})
    if known:
        frame["layer"] = layers
    frame["weight"] = [*weights, *[np.nan] * (count - len(weights))]
    for key in ("gamma_mean", "gamma_std", "beta_rms"):
        frame[key] = [norms.get(n, {}).get(key, np.nan) for n in range(count)]
    places = np.array(layers if known else range(count), np.int32)
    shown = [(_("layer weight (softmax)"), frame["weight"])] if weights else []
    shown += [(_("mean γ of its norm"), frame["gamma_mean"])] if norms else []
    return View(
        _("What the head reads"),
        "layers of the head",
        build_head_layers(
            places,
            {label: values.to_numpy(np.float64) for label, values in shown},
            label=_("layer (block index)") if known else _("position among the head's layers"),
            even=1 / len(weights) if weights else None,
            mode=mode,
        ),
        frame,
        caption=_(
            "Learned by the head whose adapter was measured. Dashed: even "
            "weights. A weight depends on the scale of its layer and on what "
            "the other layers hold too, so it is no measure of how well a "
            "layer alone predicts."
        )
        + ("" if known else _(" The config does not tap as many layers as the head holds.")),
        **describe_one(name),
    )


def vectors_of_cell(features: Features, name: str, cell: Cell) -> View:
    """Return the vectors of all kept images in a cell, to be taken away as a table."""
    return View(
        _("Vectors of {count} images, {channels}").format(
            count=len(features.images), channels=theme.describe_channels(cell)
        ),
        f"vectors of layer {cell.layer} {cell.representation} {cell.role}",
        frame=lambda: tabulate_vectors(features, cell),
        caption=_(
            "One row per image: its targets and categories, and the CLS token "
            "or mean patch, for other learners. All layers are in the file "
            "{name} beside the payload."
        ).format(name=features.path.name),
        **describe_one(name),
    )


def find_sentences(probe: Probe) -> list[str]:
    """Return what the probe of all cells of a version says, no more certain than its numbers."""
    problem, best = probe.problem, probe.best
    label = LABELS[problem.measure]
    if best is None:
        return [_("{name}: no cell has finite vectors on all images.").format(name=problem.name)]
    cell = probe.cells[best]
    limit = _("permuted targets reach {chance:.2f} in their best cell").format(chance=probe.chance)
    together = _(", whole {group} held out").format(group=problem.group) if problem.group else ""
    basis = _("{count} images{together}").format(count=len(problem.kept), together=together)
    if not probe.is_predictable:
        return [
            _(
                "{name} cannot be told from chance: {label} {number} in the best "
                "of {count} cells; {limit} ({basis})."
            ).format(
                name=problem.name,
                label=label,
                number=_number(probe, best),
                count=len(probe.cells),
                limit=limit,
                basis=basis,
            )
        ]
    sentences = [
        _(
            "{name} can be predicted: {label} {number} in {describe}, the best "
            "of {count} cells, which flatters it; {limit} ({basis})."
        ).format(
            name=problem.name,
            label=label,
            number=_number(probe, best),
            describe=_describe(cell),
            count=len(probe.cells),
            limit=limit,
            basis=basis,
        )
    ]
    last = Cell(max(c.layer for c in probe.cells), Representation.GLOBAL_LN, cell.role)
    if last in probe.cells and last != cell:
        difference = subtract(probe, probe, cell, last)
        verdict = (
            _("within the folds' noise") if difference.is_noise else _("beyond the folds' noise")
        )
        sentences.append(
            _(
                "The last layer with the global LN has {number}: {value:.2f} ± "
                "{error:.2f} less, {verdict}."
            ).format(
                number=_number(probe, probe.position(last)),
                value=difference.value,
                error=difference.error,
                verdict=verdict,
            )
        )
    return sentences


def compare_sentence(a: Probe, b: Probe, names: tuple[str, str]) -> str:
    """Return how two versions differ in the best cell of the first."""
    best = a.best
    if best is None or a.cells[best] not in b.cells:
        return _("{names_1} and {names_2} have no cell in common that can be compared.").format(
            names_1=names[0], names_2=names[1]
        )
    cell = a.cells[best]
    difference = subtract(a, b, cell)
    verdict = _("within the folds' noise") if difference.is_noise else _("beyond the folds' noise")
    return _(
        "{describe}: {names_1} less {names_2} is {value:+.2f} ± {error:.2f}, {verdict}."
    ).format(
        describe=_describe(cell),
        names_1=names[0],
        names_2=names[1],
        value=difference.value,
        error=difference.error,
        verdict=verdict,
    )


def normalize_sentence(probe: Probe, normalized: Probe, name: str) -> str:
    """Return what the normalisation vector changes in the best cell without it."""
    best = probe.best
    if best is None:
        return _("{name}: no cell has finite vectors on all images.").format(name=name)
    cell = probe.cells[best]
    difference = subtract(normalized, probe, cell)
    verdict = _("within the folds' noise") if difference.is_noise else _("beyond the folds' noise")
    return _(
        "{describe}: the vector of Share changes {name} by {value:+.2f} ± {error:.2f}, {verdict}."
    ).format(
        describe=_describe(cell),
        name=name,
        value=difference.value,
        error=difference.error,
        verdict=verdict,
    )


def _describe(cell: Cell) -> str:
    return _("layer {layer}, {cell}").format(
        layer=cell.layer, cell=describe_cell(cell.representation, cell.role)
    )


def _number(probe: Probe, place: int) -> str:
    return f"{probe.scores[place]:.2f} ± {probe.errors[place]:.2f}"


def _layers(probe: Probe) -> np.ndarray:
    return np.array([cell.layer for cell in probe.cells])


def _tabulate(probes: Mapping[str, Probe]) -> pd.DataFrame:
    rows = [
        {
            "version": name,
            "target": probe.problem.name,
            "measure": str(probe.problem.measure),
            "layer": cell.layer,
            "representation": str(cell.representation),
            "role": str(cell.role),
            "score": score,
            "standard_error": error,
            "chance_max": chance,
        }
        for name, probe in probes.items()
        for cell, score, error, chance in zip(
            probe.cells, probe.scores, probe.errors, probe.permuted.max(axis=1), strict=True
        )
    ]
    return pd.DataFrame(rows)
