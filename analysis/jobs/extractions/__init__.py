"""Extractions as background processes: preview, start, watch and stop them. No torch, no server.

`preview` says what a request comes to, `queue` starts and lists jobs, `control` ends and deletes
them, `job` reads a job's folder, `worker` is the process of one job, `disk` weighs what they leave;
`choices` and `devices` name what the form can offer; `standby` and `ready_worker` keep the
processes of the next job ready.
"""

from analysis.collect.plan.request import PRECISIONS, ExtractionRequest
from analysis.files.read_only import is_read_only
from analysis.jobs.extractions.choices import (
    list_backbones,
    list_configs,
    list_heads,
    list_weights,
)
from analysis.jobs.extractions.control import cancel_job, delete_job, finish_job
from analysis.jobs.extractions.devices import Device, list_devices
from analysis.jobs.extractions.disk import DiskUse, can_resume, measure_disk
from analysis.jobs.extractions.estimates import Estimate
from analysis.jobs.extractions.forecast import Forecast, IfExists, forecast_extraction
from analysis.jobs.extractions.job import Job, JobState
from analysis.jobs.extractions.queue import (
    list_jobs,
    list_outputs_being_written,
    restart_job,
    start_job,
)
from analysis.jobs.extractions.standby import prepare_standby

__all__ = [
    "PRECISIONS",
    "Device",
    "DiskUse",
    "Estimate",
    "ExtractionRequest",
    "Forecast",
    "IfExists",
    "Job",
    "JobState",
    "can_resume",
    "cancel_job",
    "delete_job",
    "finish_job",
    "forecast_extraction",
    "is_read_only",
    "list_backbones",
    "list_configs",
    "list_devices",
    "list_heads",
    "list_jobs",
    "list_outputs_being_written",
    "list_weights",
    "measure_disk",
    "prepare_standby",
    "restart_job",
    "start_job",
]
