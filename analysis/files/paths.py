"""Paths as people write them: `~` and environment variables become what they stand for."""

from __future__ import annotations

import argparse
import os
import re
from pathlib import Path

_UNRESOLVED = re.compile(r"\$\{[^}]*\}?|(?:^|(?<=/))\$[A-Za-z_]\w*")

_RESOLVER = re.compile(r"\$\{oc\.env:\s*(\w+)\s*(?:,([^{}]*))?\}")
"""A variable as OmegaConf writes it, with or without a default."""


def expand_text(text: str) -> str:
    """Return a path with `~`, `$NAME`, `${NAME}` and `${oc.env:NAME,default}` filled in.

    Raises:
        ValueError: If a variable is not set; the message names it.
    """
    text = _RESOLVER.sub(_fill_in, text)
    expanded = os.path.expanduser(os.path.expandvars(text))  # noqa: PTH111 (never raises)
    if found := _UNRESOLVED.search(expanded):
        raise ValueError(f"{found[0]} is not filled in: no environment variable of that name")
    return expanded


def _fill_in(match: re.Match[str]) -> str:
    default = (match[2] or "").strip().strip("'\"")
    return os.environ.get(match[1]) or default or match[0]


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
