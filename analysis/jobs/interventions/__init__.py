"""Interventions in the background: start one, say how far it is, stop it. No torch.

`runs` starts and watches; `worker` is the process of one run.
"""

from analysis.collect.interventions.request import (
    ALL_TOKENS,
    Action,
    InterventionRequest,
    TokenKind,
)
from analysis.jobs.interventions.runs import (
    InterventionRun,
    RunState,
    find_run,
    start_run,
    stop_run,
)

__all__ = [
    "ALL_TOKENS",
    "Action",
    "InterventionRequest",
    "InterventionRun",
    "RunState",
    "TokenKind",
    "find_run",
    "start_run",
    "stop_run",
]
