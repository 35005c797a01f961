"""The record of a run in a payload, `meta["run"]`, cleared of what is not as specified.

Every fact of it is optional and only shown or compared, so a wrong one must not keep a payload
with right statistics from being read: it is left out, and a warning of the run says so.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.payload.contract.form import Form, FormError, check
from analysis.payload.contract.run import RUN

WRONG = "meta.run.{} is not as this version writes it, and is left out."


def clear_run(run: Any, num_layers: int) -> dict[str, Any]:
    """Return the facts without those of a wrong type; keys that are not known stay.

    Args:
        run: `meta["run"]` in JSON types.
        num_layers: Numbers that a list with one for each layer must hold.
    """
    if not isinstance(run, Mapping):
        return {"warnings": ["meta.run is no mapping, and is left out."]}
    given = {key: value for key, value in run.items() if value is not None}
    wrong = [
        key
        for key, value in given.items()
        if key in RUN.fields and not _is_right(value, RUN.fields[key], num_layers)
    ]
    right = {key: value for key, value in given.items() if key not in wrong}
    warnings = [WRONG.format(key) for key in wrong]
    if warnings:
        right["warnings"] = [*right.get("warnings", []), *warnings]
    return right


def _is_right(value: Any, form: Form, num_layers: int) -> bool:
    if isinstance(value, dict):  # None is no value, here as in the record itself
        value = {key: part for key, part in value.items() if part is not None}
    try:
        check(value, form, "", {"L": num_layers})
    except FormError:
        return False
    return True
