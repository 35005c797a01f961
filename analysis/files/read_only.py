"""Whether this server may change anything: a switch for demos and shared servers."""

from __future__ import annotations

import os

from analysis.errors import ConfigError
from analysis.language import _

READ_ONLY_ENV = "DASHBOARD_READ_ONLY"


def is_read_only() -> bool:
    """Return whether this server refuses to change anything on disk."""
    return os.environ.get(READ_ONLY_ENV, "") not in ("", "0")


def refuse_if_read_only() -> None:
    """Stop what would change something on disk.

    Raises:
        ConfigError: If the server is read-only.
    """
    if is_read_only():
        raise ConfigError(
            _(
                "This server is read-only ({read_only_env} is set): nothing can be "
                "started, stopped, renamed or deleted here."
            ).format(read_only_env=READ_ONLY_ENV)
        )
