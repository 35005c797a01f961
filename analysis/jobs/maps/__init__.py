"""Maps of single images: what is asked for, where results lie, how they are made in the background.

`plan` says what to ask for (`request`), `store` holds the result of one image, `runs` has it
computed by the process `worker`, and says how far it is; `token_maps` is the arithmetic. Torch is
only in these last two.
"""

from analysis.jobs.maps.request import Arm, MapRequest, Picture, uploads_folder
from analysis.jobs.maps.runs import Run, RunState, find_run, prepare_run, start_run, stop_run
from analysis.jobs.maps.store import TokenMaps, load_maps

__all__ = [
    "Arm",
    "MapRequest",
    "Picture",
    "Run",
    "RunState",
    "TokenMaps",
    "find_run",
    "load_maps",
    "prepare_run",
    "start_run",
    "stop_run",
    "uploads_folder",
]
