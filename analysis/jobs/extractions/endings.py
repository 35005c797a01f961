"""Why an extraction was ended from outside: kept as a name and a value, told in any language.

The worker that notes an ending does not know who will read it. What the extraction itself says
before it ends, such as a config that cannot be read, is kept as it was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from analysis.jobs.limits import MEMORY_ENV
from analysis.language import N_, Texts

MAX_VALUE = 100
"""Letters."""

_SENTENCES = Texts(
    {
        "quiet": N_("It counted no image for {value} h and was ended. Look at its log."),
        "large": N_(
            "It held more than {value} GB of memory and was ended. Use a smaller batch or fewer "
            "workers, or start the server with a larger {variable}."
        ),
        "unknown": N_("The extraction ended without saying why: out of memory, or killed by hand."),
        "killed": N_("The extraction was ended by {value} (out of memory, or killed by hand)."),
        "signal": N_("The extraction was ended by {value}."),
        "code": N_("The extraction ended with exit code {value} and no message."),
    }
)


def tell(ending: Mapping[str, Any]) -> str | None:
    """Return the sentence of a noted ending; None where it has none of these names.

    Args:
        ending: With ``reason`` and ``value``, as the worker notes them.
    """
    reason, value = ending.get("reason"), ending.get("value")
    if not isinstance(reason, str) or reason not in _SENTENCES:
        return None
    # The value may be a stranger's, so it is no pattern of `format`.
    return (
        _SENTENCES[reason]
        .replace("{variable}", MEMORY_ENV)
        .replace("{value}", str(value)[:MAX_VALUE])
    )
