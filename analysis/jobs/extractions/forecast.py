"""What an extraction would do, before it is started: output path, images, time, what is there."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from analysis.collect.plan.header_check import check_files
from analysis.collect.plan.request import ExtractionPlan, ExtractionRequest, plan_extraction
from analysis.errors import ConfigError
from analysis.files.atomic import is_regular
from analysis.jobs.extractions.devices import list_devices, resolve_device
from analysis.jobs.extractions.estimates import Estimate, estimate_seconds
from analysis.jobs.extractions.image_cache import remember_images
from analysis.jobs.extractions.job import Job
from analysis.language import _
from analysis.payload.discovery import resolve_below_roots
from analysis.payload.sidecar import read_sidecars, read_speeds


class IfExists(StrEnum):
    """What to do where a payload already stands at the output path."""

    REFUSE = "refuse"
    REPLACE = "replace"
    """Put the new one there; the old one is kept as `.bak`."""
    BESIDE = "beside"
    """Write to the first free `<stem>.2.pt`, `<stem>.3.pt`, ..."""


@dataclass(frozen=True)
class Forecast:
    """What a request comes to."""

    request: ExtractionRequest
    """As asked for, with absolute paths below the allowed roots."""
    plan: ExtractionPlan
    default_output: Path
    """Where the payload goes unless something is in the way."""
    beside_output: Path
    """The first free path beside it."""
    exists: bool
    """Whether a payload stands at `default_output`."""
    writer: Job | None
    """A living job that is about to write `default_output`."""
    identical: Path | None
    """A payload that the very same request made earlier."""
    identical_images: int | None
    """How many images that one counted: fewer than asked where it was finished early."""
    estimate: Estimate

    @property
    def pinned(self) -> ExtractionRequest:
        """The request with the weights, head and split that were found, instead of a search."""
        heads = self.plan.heads
        heads_path = str(heads.base) if heads.paths else None
        return replace(
            self.request,
            dino_weights_pt=self.plan.weights.path,
            head_weights=self.request.head_weights or heads_path,
            split=self.plan.images.split,
        )


def forecast_extraction(
    request: ExtractionRequest, *, jobs: Sequence[Job] = (), payloads: Sequence[Path] = ()
) -> Forecast:
    """Resolve a request as the form fills it.

    Relative paths resolve against the project dir. `request.output` is ignored: the form always
    writes to the default path, or for a limited number of images to `<stem>.first<N>.pt` beside it.

    Args:
        request: What the form says; an empty field is None.
        jobs: Jobs of the same project dir, whose outputs count as taken while they live.
        payloads: Payloads made earlier; the speeds noted beside them are the base of the estimate.

    Raises:
        InputError: If a path leads outside the allowed roots, the plan cannot be made, or weights
            or head are those of another backbone.
    """
    confined = confine(request)
    plan = plan_extraction(confined, remember_images)
    check_files(plan.weights.path, plan.head_path, plan.settings.backbone_name)
    output = resolve_below_roots(plan.output)
    limit, images = plan.request.max_images or 0, plan.images
    if 0 < limit < images.total:
        output = output.with_name(f"{output.stem}.first{limit}{output.suffix}")
    live = [job for job in jobs if job.is_live]
    identical, identical_images = _find_identical(output.parent, plan.fingerprint)
    return Forecast(
        request=confined,
        plan=replace(plan, output=output),
        default_output=output,
        beside_output=_find_free(output, live),
        exists=output.exists(),
        writer=next((job for job in live if job.output == output), None),
        identical=identical,
        identical_images=identical_images,
        estimate=estimate_seconds(
            plan,
            resolve_device(plan.request.device, list_devices(wait=False)),
            read_speeds(payloads),
        ),
    )


def confine(request: ExtractionRequest) -> ExtractionRequest:
    """Return the request with absolute paths, all of them below the allowed roots.

    Raises:
        ConfigError: If a path leads elsewhere, also through a symbolic link.
    """
    project_dir = resolve_below_roots(request.project_dir)

    def resolve(path: Path | str | None) -> Path | None:
        if path is None:
            return None
        # A visitor typed it, who is to see no variable of the server's environment.
        return resolve_below_roots(project_dir / os.path.expanduser(path))  # noqa: PTH111

    head = request.head_weights
    return replace(
        request,
        project_dir=project_dir,
        config=resolve(request.config),
        output=None,
        dino_weights_pt=resolve(request.dino_weights_pt),
        head_weights=head if head in (None, "none") else str(resolve(head)),
    )


def choose_output(default: Path, if_exists: IfExists, live: Sequence[Job]) -> Path:
    """Return where a job may write, given what stands there and which jobs are about to write.

    Raises:
        ConfigError: If the path is taken and the choice does not say what to do about it, or
            another job is about to write the payload that would be replaced.
    """
    writer = next((job for job in live if job.output == default), None)
    if if_exists is IfExists.BESIDE:
        return _find_free(default, live) if writer or default.exists() else default
    if writer is not None:
        raise ConfigError(
            _(
                "{default}: job {id} is about to write it. Wait for it, cancel it, "
                "or save beside it."
            ).format(default=default, id=writer.id)
        )
    if default.exists() and if_exists is IfExists.REFUSE:
        raise ConfigError(
            _(
                "{default}: a payload stands there. Choose to replace it or to save beside it."
            ).format(default=default)
        )
    return default


def _find_free(output: Path, live: Sequence[Job]) -> Path:
    taken = {job.output for job in live}
    number = 2
    while True:
        path = output.with_name(f"{output.stem}.{number}{output.suffix}")
        if not path.exists() and path not in taken:
            return path
        number += 1


def _find_identical(folder: Path, fingerprint: str) -> tuple[Path | None, int | None]:
    """Return the payload that counted most among those of the same request, and its images."""
    candidates: list[tuple[int, Path, int | None]] = []
    there = [(path, path.stat()) for path in sorted(folder.glob("*.pt")) if is_regular(path)]
    for (payload, _state), facts in zip(there, read_sidecars(there), strict=True):
        if facts is not None and facts.request_fingerprint == fingerprint:
            candidates.append((facts.num_images or 0, payload, facts.num_images))
    if not candidates:
        return None, None
    _unused, payload, images = max(candidates, key=lambda item: item[0])
    return payload, images
