"""Paths as people write them: `~` and environment variables become what they stand for."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

_VARIABLE = re.compile(r"\$\{oc\.env:\s*(\w+)\s*(?:,([^{}]*))?\}|\$\{(\w+)\}|\$(\w+)", re.ASCII)
"""As OmegaConf writes one, with or without a default, and as a shell does."""

_UNRESOLVED = re.compile(r"\$\{[^}]*\}?|(?:^|(?<=/))\$[A-Za-z_]\w*")

_SECRET = re.compile(
    r"(?i)secret|passw|passphrase|pwd$|token|credential|private|cookie|webhook|dsn$"
    r"|(?:^|_|api|access|auth)keys?(?:_|$)|_(?:pass|pw|auth|uri|url)$"
)
"""Names of variables that may hold what no page and no payload should show."""


def expand_text(text: str) -> str:
    """Return a path with `~`, `$NAME`, `${NAME}` and `${oc.env:NAME,default}` filled in.

    A text may come from a stranger's config and end in a message, so that variables which may hold
    a secret, by their name or an address in them, are not filled in.

    Raises:
        ValueError: If a variable is not set or may hold a secret; the message names it.
    """
    expanded = os.path.expanduser(_VARIABLE.sub(_fill_in, text))  # noqa: PTH111 (never raises)
    if found := _UNRESOLVED.search(expanded):
        raise ValueError(
            f"{found[0]} is not filled in: no environment variable of that name that holds a path"
        )
    return expanded


def _fill_in(match: re.Match[str]) -> str:
    name = match[1] or match[3] or match[4]
    value = os.environ.get(name, "")
    if _SECRET.search(name) or "://" in value:
        return match[0]
    if match[1]:
        return value or (match[2] or "").strip().strip("'\"") or match[0]
    return os.environ.get(name, match[0])


def is_plain(text: str) -> bool:
    """Return whether a path means the same on a command line, where `expand_text` reads it."""
    try:
        return expand_text(text) == text
    except ValueError:
        return False


def expand_path(text: str | Path) -> Path:
    """Return what `expand_text` returns as a path.

    Raises:
        ValueError: If a variable is not set; the message names it.
    """
    return Path(expand_text(str(text)))


def path_flag(text: str) -> Path:
    """Take a path from a command line, where the shell leaves `--flag=~/x` as it is.

    Raises:
        ArgumentTypeError: If a variable is not set; argparse adds the flag's name.
    """
    try:
        return expand_path(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text}: {error}") from None


def text_flag(text: str) -> str:
    """Take a path from a command line as text; for flags that also take words.

    Raises:
        ArgumentTypeError: As `path_flag`.
    """
    return str(path_flag(text)) if "/" in text or "$" in text or text.startswith("~") else text
