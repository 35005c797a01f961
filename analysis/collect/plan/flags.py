"""From a job's command line back to its request."""

from __future__ import annotations

from collections.abc import Sequence

from analysis.cli.extract import build_parser
from analysis.collect.plan.request import ExtractionRequest
from analysis.errors import ConfigError


def parse_arguments(arguments: Sequence[str]) -> ExtractionRequest:
    """Return the request whose `to_arguments` these are.

    Raises:
        ConfigError: If the command line has no such flags, as with a job of another version of
            this tool.
    """
    try:
        flags = vars(build_parser().parse_args(list(arguments)))
    except SystemExit as error:
        raise ConfigError(
            "The job's command line cannot be read any more. Fill in the form instead."
        ) from error
    del flags["quiet"], flags["progress"], flags["backup"]
    return ExtractionRequest(**flags)
