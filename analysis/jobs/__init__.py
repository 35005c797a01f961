"""Extractions as background processes: preview, start, watch and cancel them. No torch, no server.

`preview` says what a request comes to, `queue` starts, lists and cancels jobs, `job` reads a job's
folder, `worker` is the process of one job; `choices` and `devices` name what the form can offer.
"""

from analysis.jobs.choices import list_configs, list_heads, list_weights
from analysis.jobs.devices import Device, list_devices
from analysis.jobs.estimates import Estimate
from analysis.jobs.job import Job, JobState
from analysis.jobs.preview import IfExists, Preview, preview_extraction
from analysis.jobs.queue import cancel_job, is_read_only, list_jobs, start_job
from analysis.request import PRECISIONS, ExtractionRequest

__all__ = [
    "PRECISIONS",
    "Device",
    "Estimate",
    "ExtractionRequest",
    "IfExists",
    "Job",
    "JobState",
    "Preview",
    "cancel_job",
    "is_read_only",
    "list_configs",
    "list_devices",
    "list_heads",
    "list_jobs",
    "list_weights",
    "preview_extraction",
    "start_job",
]
