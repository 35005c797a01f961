"""Which backbones a weights file holds, from its header alone: the values of `--weights-key`."""

from __future__ import annotations

from pathlib import Path

from analysis.collect.backbone.weights_choice import TOP_LEVEL, rank_prefix
from analysis.collect.backbone.weights_formats import detect_format, strip_wrappers
from analysis.collect.plan.file_headers import read_all_shapes


def list_weights_keys(path: Path) -> list[str]:
    """Return the keys of all backbones in a file or folder, the usual choice first.

    Empty where the header does not tell.
    """
    names, _adapter = strip_wrappers(read_all_shapes(path))
    prefixes = {prefix for _format, prefix in detect_format(names)}
    ordered = sorted(prefixes, key=lambda prefix: (rank_prefix(prefix), prefix))
    return [prefix.rstrip(".") or TOP_LEVEL for prefix in ordered]
