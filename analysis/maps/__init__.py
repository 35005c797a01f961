"""Maps of single images: what is asked for, where results lie, how they are made in the background.

`request` says what to compute, `store` holds the result of one image, `runs` starts the process
(`analysis.maps.token_maps`) and says how far it is. No torch.
"""

from analysis.maps.request import (
    MAX_IMAGES,
    Arm,
    MapRequest,
    Picture,
    choose_channels,
    plan_maps,
    uploads_folder,
)
from analysis.maps.runs import Run, find_run, start_run
from analysis.maps.store import TokenMaps, load_maps

__all__ = [
    "MAX_IMAGES",
    "Arm",
    "MapRequest",
    "Picture",
    "Run",
    "TokenMaps",
    "choose_channels",
    "find_run",
    "load_maps",
    "plan_maps",
    "start_run",
    "uploads_folder",
]
