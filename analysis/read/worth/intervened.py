"""What an intervention does to a linear probe of the vectors that a head reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from analysis.errors import InputError
from analysis.language import _
from analysis.payload.features import Features
from analysis.payload.intervention_file import InterventionResult
from analysis.read.interventions import strongest_arm
from analysis.read.worth.probe import Difference, probe_vectors, subtract
from analysis.read.worth.problem import MIN_IMAGES, make_problem
from analysis.vocabulary import ROLES, Cell, Representation, TokenRole

NEGLIGIBLE_R2 = 0.02
"""Change of R2 below which an intervention is said not to matter, however certain it is."""


@dataclass(frozen=True)
class ProbedIntervention:
    """Quality of the probe of one target on images that it was not fitted on."""

    target: str
    role: TokenRole
    images: int
    plain: float
    """R2 without an intervention."""
    chosen: float
    """R2 with it, probe fitted and tested on the changed vectors."""
    change: Difference
    """With less without, on the same folds."""
    controls: NDArray[np.float64]
    """``[draws]``: change of R2 by each set of random channels."""

    @property
    def exceeds_controls(self) -> bool | None:
        """Whether R2 changes further than with every control; None without controls."""
        if not len(self.controls):
            return None
        return bool(abs(self.change.value) > np.abs(self.controls).max())

    @property
    def matters(self) -> bool:
        """Whether the change is no trifle, beyond the folds' noise and beyond every control."""
        is_trifle = abs(self.change.value) < NEGLIGIBLE_R2
        return bool(self.exceeds_controls) and not (is_trifle or self.change.is_noise)


def probe_intervention(
    result: InterventionResult, features: Features, target: str, role: TokenRole, arm: int = 0
) -> ProbedIntervention:
    """Fit a linear probe on the final vectors with an intervention in place, and without.

    Args:
        result: With the final vectors (`InterventionResult.final`).
        features: Of the same payload; hold the target of each image.
        target: A numeric column.
        role: The normed CLS token or the mean normed patch token.
        arm: Position of the arm.

    Raises:
        InputError: If the result holds no vectors, the target is unknown, or too few images have
            a value.
    """
    if result.final is None:
        raise InputError(
            _(
                "This result does not hold the final vectors (too many arms). Run "
                "fewer interventions at a time to probe them."
            )
        )
    if target not in features.targets:
        known = _(", ").join(features.targets) or _("none")
        raise InputError(
            _("{path}: has no numeric column {target!r}. It has: {known}.").format(
                path=features.path, target=target, known=known
            )
        )
    value_of = dict(zip(features.paths, features.targets[target].tolist(), strict=True))
    values = np.array([value_of.get(image, np.nan) for image in result.images])
    known = int(np.isfinite(values).sum())
    if known < MIN_IMAGES:
        raise InputError(
            _(
                "{target}: a probe needs {min_images} images with a value, this "
                "result has {known}. Run the intervention on more images."
            ).format(target=target, min_images=MIN_IMAGES, known=known)
        )
    problem = make_problem(target, values, permutations=1)
    start = result.arms[arm].layer
    cell = Cell(result.num_layers - 1, Representation.GLOBAL_LN, role)

    vectors = result.final[:, :, role.position]
    rows = [0, 1 + arm, *(1 + control for control in result.select(control=True, layer=start))]
    plain, chosen, *controls = (probe_vectors(vectors[row], problem, cell) for row in rows)
    return ProbedIntervention(
        target,
        role,
        len(problem.kept),
        float(plain.scores[0]),
        float(chosen.scores[0]),
        subtract(chosen, plain, cell),
        np.array([subtract(control, plain, cell).value for control in controls]),
    )


def probe_targets(result: InterventionResult, features: Features) -> list[ProbedIntervention]:
    """Return the probe of every numeric target and role; a target that cannot be used is left out.

    Of a sweep, that of the channel and start layer with the largest effect on the role.

    Args:
        result: With the final vectors.
        features: Of the same payload.

    Raises:
        InputError: If no target can be used: the reason of the first one.
    """
    found: list[ProbedIntervention] = []
    problems: list[InputError] = []
    # threads of the matrix library would wait for each other on small matrices
    with threadpool_limits(1):
        for target, role in product(features.targets, ROLES):
            try:
                arm = strongest_arm(result, role)
                found.append(probe_intervention(result, features, target, role, arm))
            except InputError as error:
                problems.append(error)
    if not found:
        raise (
            problems[0]
            if problems
            else InputError(_("{path}: has no numeric column.").format(path=features.path))
        )
    return found


def tabulate_probes(probes: Sequence[ProbedIntervention]) -> pd.DataFrame:
    """Return one row per target and role: R2 without and with, the change and the controls."""
    return pd.DataFrame(
        [
            {
                "target": each.target,
                "role": each.role.value,
                "r2": each.plain,
                "r2_with_intervention": each.chosen,
                "change": each.change.value,
                "standard_error": each.change.error,
                "control_lowest": float(each.controls.min()) if len(each.controls) else None,
                "control_highest": float(each.controls.max()) if len(each.controls) else None,
                "matters": each.matters,
            }
            for each in probes
        ]
    )


def describe_probes(probes: Sequence[ProbedIntervention]) -> str:
    """Return in one sentence for which targets the intervention matters."""
    matter = [
        _("{target} from {suffix} ({value:+.2f})").format(
            target=each.target,
            suffix=_("CLS") if each.role is TokenRole.CLS else _("patches"),
            value=each.change.value,
        )
        for each in probes
        if each.matters
    ]
    images = max(each.images for each in probes)
    if not matter:
        return _(
            "No target's R² changes beyond both the folds' noise and random "
            "channels ({images} images)."
        ).format(images=images)
    return _(
        "R² changes beyond the folds' noise and random channels for {matter} ({images} images)."
    ).format(matter=_(", ").join(matter), images=images)
