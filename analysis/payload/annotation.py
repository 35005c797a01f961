"""What can be said of one payload, and what of it is kept."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from analysis.errors import ConfigError
from analysis.language import N_, _

MAX_NAME = 60
MAX_NOTE = 2_000
MAX_TAG = 40
MAX_TAGS = 20

LABELS = {"name": N_("Name"), "note": N_("Note"), "score": N_("Score")}


@dataclass(frozen=True)
class Annotation:
    """What is said of one payload."""

    name: str | None = None
    """Shown instead of its version."""
    note: str | None = None
    hidden: bool = False
    """Whether it is left out of the choice of payloads."""
    tags: tuple[str, ...] = ()
    """Words to find it by, each once."""
    score: float | None = None
    """How well the version does at its task, by whatever measure its makers use; finite."""


def check_limits(annotation: Annotation) -> None:
    """Refuse what is longer than the database keeps, or no number.

    Raises:
        ConfigError: If a text is too long, a tag too many, or the score not finite.
    """
    texts = [(annotation.name, MAX_NAME, "name"), (annotation.note, MAX_NOTE, "note")]
    for text, limit, what in [*texts, *((tag, MAX_TAG, "tag") for tag in annotation.tags)]:
        if text is not None and len(text) > limit:
            raise ConfigError(
                _("A {what} may have {limit} letters; this one has {count}.").format(
                    what=what, limit=limit, count=len(text)
                )
            )
    if len(annotation.tags) > MAX_TAGS:
        raise ConfigError(
            _("A payload may have {max_tags} tags; these are {count}. Leave some out.").format(
                max_tags=MAX_TAGS, count=len(annotation.tags)
            )
        )
    if annotation.score is not None and not math.isfinite(annotation.score):
        raise ConfigError(
            _("A score must be a finite number, not {score}.").format(score=annotation.score)
        )


class ConflictError(ConfigError):
    """Two people changed the same field of one payload; what the second one typed is not saved."""

    def __init__(self, message: str, fields: tuple[str, ...]) -> None:
        """Take the sentence to show, and the names of the fields that both changed."""
        super().__init__(message)
        self.fields = fields


def merge(before: Annotation, after: Annotation, stored: Annotation) -> Annotation:
    """Return what is stored with the changes from `before` to `after`.

    Tags that were added are added, tags that were removed are removed.

    Raises:
        ConflictError: If the stored name, note or score is neither the one before nor the one
            after a change.
    """
    changed = [name for name in ("name", "note", "score", "hidden") if _differ(before, after, name)]
    both = [
        name
        for name in changed
        if name != "hidden" and _differ(before, stored, name) and _differ(after, stored, name)
    ]
    if both:
        values = [getattr(stored, name) for name in both]
        absent = _("removed")
        theirs = "; ".join(
            f"{_(LABELS[name])}: {absent if value is None else value}"
            for name, value in zip(both, values, strict=True)
        )
        raise ConflictError(
            _(
                "Nothing is saved: meanwhile somebody else changed the same ({theirs}). "
                "Save again to replace it with yours."
            ).format(theirs=theirs),
            tuple(both),
        )
    added = [tag for tag in after.tags if tag not in before.tags and tag not in stored.tags]
    removed = {tag for tag in before.tags if tag not in after.tags}
    tags = (*(tag for tag in stored.tags if tag not in removed), *added)
    return replace(stored, tags=tags, **{name: getattr(after, name) for name in changed})


def _differ(one: Annotation, other: Annotation, name: str) -> bool:
    return getattr(one, name) != getattr(other, name)


def parse(value: Mapping[str, Any]) -> Annotation:
    """Take from stored values what fits; what does not is left out or cut."""
    name, note, score, tags = (value.get(key) for key in ("name", "note", "score", "tags"))
    return clean(
        Annotation(
            name=name[:MAX_NAME] if isinstance(name, str) else None,
            note=note[:MAX_NOTE] if isinstance(note, str) else None,
            hidden=value.get("hidden") is True,
            tags=tuple(tag[:MAX_TAG] for tag in tags[:MAX_TAGS] if isinstance(tag, str))
            if isinstance(tags, list)
            else (),
            score=score if isinstance(score, float) and math.isfinite(score) else None,
        )
    )


def clean(said: Annotation) -> Annotation:
    """Return it with names and tags of one printable line, and None for what is empty."""
    note = (said.note or "").encode(errors="replace").decode().strip()
    tags = dict.fromkeys(line for tag in said.tags if (line := _one_line(tag)))
    score = None if said.score is None else float(said.score)
    return Annotation(
        _one_line(said.name or "") or None, note or None, said.hidden, tuple(tags), score
    )


def _one_line(text: str) -> str:
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())
