"""Jobs whose processes, files, memory or clock are taken from under them: the list stays true.

`list_jobs` is what the Runs page shows. Real processes throughout; the extraction is the real one
wherever it is what is hit.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from analysis.errors import InputError
from analysis.files.atomic import read_json, write_json
from analysis.files.locks import acquire_lock
from analysis.jobs.extractions import (
    ExtractionRequest,
    IfExists,
    Job,
    JobState,
    cancel_job,
    delete_job,
    list_jobs,
    restart_job,
    start_job,
)
from analysis.jobs.extractions.job import read_job
from analysis.payload.file import load_payload
from tests import ROOT
from tests.factories.payloads import make_payload, write_payload
from tests.factories.projects import make_project
from tests.jobs.conftest import Start, process_id, stand_in, wait_for

ENDED = (JobState.DONE, JobState.FAILED, JobState.CANCELLED)
EXTRACT = (sys.executable, "-m", "analysis")
SERVER = (sys.executable, "-m", "tests.jobs.server")
IMAGES = 16
Serve = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def serve(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers that start jobs; the first line that each prints is the job's id."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    servers: list[subprocess.Popen[str]] = []

    def serve(verb: str, behaviour: str) -> subprocess.Popen[str]:
        server = subprocess.Popen(
            [*SERVER, str(project), verb, *stand_in(project, behaviour)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        servers.append(server)
        return server

    yield serve
    for server in servers:
        server.kill()
        server.communicate()


@pytest.fixture
def real(project: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Give the project weights and enough images to be hit in between; nothing lives on."""
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    (project / "weights" / "dinov3_vitt16_demo.pt").unlink()
    yield make_project(project, images=IMAGES, lora=False)
    for job in list_jobs([project]):
        if job.is_live:
            with suppress(ProcessLookupError):
                os.killpg(process_id(job), signal.SIGKILL)


def extract(project: Path, *, command: tuple[str, ...] = EXTRACT) -> Job:
    request = ExtractionRequest(
        project_dir=project, batch_size=1, num_workers=0, checkpoint_every=0.0
    )
    return start_job(request, IfExists.REPLACE, command=command)


def read_id(server: subprocess.Popen[str]) -> str:
    assert server.stdout is not None
    return server.stdout.readline().strip()


def find(project: Path, identity: str) -> Job:
    return next(job for job in list_jobs([project]) if job.id == identity)


def put_old_payload(project: Path) -> tuple[Path, bytes]:
    output = project / "outputs/v1/train_all/feature_stats/dinov3_feature_stats.pt"
    write_payload(output, make_payload(version="v1"))
    return output, output.read_bytes()


def temporary_files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.name.endswith((".tmp", ".part"))]


@contextmanager
def busy_device(tmp_path: Path) -> Iterator[None]:
    """Hold the device, so that what is started meanwhile waits."""
    queue = tmp_path / "queue" / "cpu"
    queue.mkdir(parents=True, exist_ok=True)
    descriptor = acquire_lock(queue / "device.lock", wait=True)
    assert descriptor is not None
    try:
        yield
    finally:
        os.close(descriptor)


# --- processes


def test_a_job_outlives_the_server_that_started_it(
    start: Start, serve: Serve, project: Path
) -> None:
    server = serve("start", "wait")
    job = wait_for(find(project, read_id(server)), JobState.RUNNING)
    server.kill()
    server.wait()
    assert wait_for(job, JobState.RUNNING).is_live
    (job.output.parent / "go").parent.mkdir(parents=True, exist_ok=True)
    (job.output.parent / "go").touch()
    assert wait_for(job, *ENDED).state is JobState.DONE
    assert job.output.read_text() == "wait"


def test_a_job_killed_with_its_server_failed_and_another_server_goes_on_with_it(
    start: Start, serve: Serve, project: Path
) -> None:
    output, old = put_old_payload(project)
    server = serve("start", "long")
    job = wait_for(find(project, read_id(server)), JobState.RUNNING)
    while not list(output.parent.glob("*.checkpoint")):
        time.sleep(0.01)
    server.kill()
    os.killpg(process_id(job), signal.SIGKILL)
    job = wait_for(job, *ENDED)
    assert (job.state, output.read_bytes()) == (JobState.FAILED, old)
    assert "killed" in str(job.error)
    again = find(project, read_id(serve("resume", "finish")))
    assert "--resume" in again.arguments
    assert wait_for(again, *ENDED).state is JobState.DONE
    assert output.with_name(f"{output.name}.bak").read_bytes() == old


def test_a_server_in_which_nobody_looks_keeps_no_zombie(
    start: Start, serve: Serve, project: Path
) -> None:
    server = serve("start", "finish")
    worker = process_id(find(project, read_id(server)))
    deadline = time.monotonic() + 60
    while Path(f"/proc/{worker}").exists():
        assert time.monotonic() < deadline, Path(f"/proc/{worker}/stat").read_text()
        time.sleep(0.05)
    assert server.poll() is None


def test_two_servers_asked_at_once_never_write_to_one_path(
    start: Start, serve: Serve, project: Path
) -> None:
    servers = [serve("start", "long") for _ in range(2)]
    ids = [read_id(server) for server in servers]
    refusals = [
        server.communicate()[1] for server, job in zip(servers, ids, strict=True) if not job
    ]
    jobs = list_jobs([project])
    assert len({job.output for job in jobs}) == len(jobs) == len([job for job in ids if job])
    assert all("about to write it" in refusal for refusal in refusals)
    running = wait_for(jobs[-1], JobState.RUNNING)
    cancel_job(running)  # neither of the two, but a third
    assert wait_for(running, *ENDED).state is JobState.CANCELLED


def test_a_stranger_with_the_process_id_of_a_dead_worker_is_not_signalled(start: Start) -> None:
    job = wait_for(start("long"), JobState.RUNNING)
    os.kill(process_id(job), signal.SIGKILL)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"])
    try:
        known = read_json(job.folder / "worker.json")
        write_json(job.folder / "worker.json", {**(known or {}), "pid": stranger.pid})
        cancel_job(job)
        assert wait_for(job, *ENDED).state is JobState.CANCELLED
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait()


def test_locks_and_tickets_of_the_dead_hold_nobody_up(
    start: Start, project: Path, tmp_path: Path
) -> None:
    dead = project / "outputs/.jobs/20200101-000000-000000001"
    queue = tmp_path / "queue" / "cpu"
    for folder in (dead, queue):
        folder.mkdir(parents=True)
    output = project / "outputs" / "v1" / "feature_stats" / "x.pt"
    write_json(dead / "job.json", {"output": str(output), "queue": str(queue)})
    write_json(dead / "progress.json", {"state": "running", "pid": 1})
    for lock in (dead / "alive.lock", queue / "device.lock", dead.parent / "start.lock"):
        lock.write_text("12345")
    (queue / dead.name).symlink_to(dead)
    assert wait_for(start("finish"), *ENDED).state is JobState.DONE
    job = read_job(dead)
    assert job is not None
    assert job.state is JobState.FAILED
    assert "ended while running" in str(job.error)
    assert not (queue / dead.name).is_symlink()
    delete_job(job)
    assert not dead.exists()


@pytest.mark.parametrize("jump", [-86400.0, 86400.0], ids=["a day back", "a day forth"])
def test_a_clock_that_jumps_changes_neither_order_nor_duration(
    start: Start, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    first = wait_for(start("long"), JobState.RUNNING)
    now, now_ns = time.time, time.time_ns
    monkeypatch.setattr(time, "time", lambda: now() + jump)
    monkeypatch.setattr(time, "time_ns", lambda: now_ns() + int(jump * 1e9))
    second = start("finish")
    assert wait_for(second, JobState.WAITING).state is JobState.WAITING
    assert [job.id for job in list_jobs([first.folder.parents[2]])] == [second.id, first.id]
    cancel_job(first)
    seconds = wait_for(second, *ENDED).seconds
    assert seconds is not None
    assert 0 <= seconds < 3600


# --- files


def test_weights_deleted_while_a_job_waits_fail_it_by_name(real: Path, tmp_path: Path) -> None:
    weights = next((real / "weights").glob("*.pth"))
    output, old = put_old_payload(real)
    with busy_device(tmp_path):
        job = wait_for(extract(real), JobState.WAITING)
        aside = weights.rename(tmp_path / weights.name)
    job = wait_for(job, *ENDED, seconds=120)
    assert job.state is JobState.FAILED
    assert "weights" in str(job.error)
    assert "Traceback" not in job.read_log(100)
    assert output.read_bytes() == old
    with pytest.raises(InputError, match="weights"):
        restart_job(job)
    aside.rename(weights)


@pytest.mark.soak
def test_weights_deleted_while_a_job_runs_do_not_hurt_it_and_are_asked_for_when_it_resumes(
    real: Path, tmp_path: Path
) -> None:
    weights = next((real / "weights").glob("*.pth"))
    job = wait_for(extract(real), JobState.RUNNING, done=2, seconds=120)
    aside = weights.rename(tmp_path / weights.name)
    aside.with_suffix(".copy").write_bytes(aside.read_bytes())
    aside.unlink()
    counted = wait_for(job, JobState.RUNNING, done=6, seconds=120)
    os.killpg(process_id(counted), signal.SIGKILL)
    job = wait_for(counted, *ENDED)
    with pytest.raises(InputError, match="weights"):
        restart_job(job, resume=True)
    aside.with_suffix(".copy").rename(weights)
    again = wait_for(restart_job(job, resume=True), *ENDED, seconds=300)
    assert again.state is JobState.DONE, again.error
    assert load_payload(again.output)["meta"]["counts"]["num_images"] == IMAGES


def test_images_unmounted_in_between_stop_the_job_and_it_resumes_once_they_are_back(
    real: Path, tmp_path: Path
) -> None:
    output, old = put_old_payload(real)
    job = wait_for(extract(real), JobState.RUNNING, done=2, seconds=120)
    folder = real / "data" / "train"
    aside = folder.rename(tmp_path / "unmounted")
    folder.mkdir()  # as an empty mount point
    job = wait_for(job, *ENDED, seconds=120)
    assert job.state is JobState.FAILED
    assert f"{folder}: empty or gone" in str(job.error)
    assert output.read_bytes() == old
    with pytest.raises(InputError, match="None of the"):
        restart_job(job, resume=True)
    folder.rmdir()
    aside.rename(folder)
    again = wait_for(restart_job(job, resume=True), *ENDED, seconds=300)
    assert again.state is JobState.DONE, again.error
    run = load_payload(output)["meta"]
    assert (run["counts"]["num_images"], run["run"]["skipped_count"]) == (IMAGES, 0)
    assert output.with_name(f"{output.name}.bak").read_bytes() == old


def test_a_payload_that_the_disk_refuses_leaves_the_old_one_and_says_so(real: Path) -> None:
    output, old = put_old_payload(real)
    sidecar = output.with_suffix(".json").read_bytes()
    job = extract(real, command=("prlimit", "--fsize=65536", *EXTRACT, "--max-images=3"))
    job = wait_for(job, *ENDED, seconds=120)
    assert job.state is JobState.FAILED
    assert os.strerror(errno.EFBIG) in str(job.error)
    assert (output.read_bytes(), output.with_suffix(".json").read_bytes()) == (old, sidecar)
    assert temporary_files(real) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """Mount a disk of 8 MB, which takes an administrator."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(folder)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("only an administrator can mount a small disk")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_full_disk_costs_neither_the_old_payload_nor_the_truth(
    real: Path, small_disk: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DASHBOARD_ROOTS", f"{real}{os.pathsep}{small_disk}")
    (real / "outputs").symlink_to(small_disk)
    output, old = put_old_payload(real)
    with busy_device(tmp_path):
        job = wait_for(
            extract(real, command=(*EXTRACT, "--max-images=3")), JobState.WAITING, seconds=60
        )
        with suppress(OSError), (small_disk / "ballast").open("wb", buffering=0) as ballast:
            while ballast.write(b"0" * 4096):
                pass
        assert os.statvfs(small_disk).f_bavail == 0
    job = wait_for(job, *ENDED, seconds=120)
    assert job.state is JobState.FAILED
    assert os.strerror(errno.ENOSPC) in str(job.error)
    assert output.read_bytes() == old
    assert temporary_files(small_disk) == []
    (small_disk / "ballast").unlink()
    again = wait_for(restart_job(job), *ENDED, seconds=300)
    assert again.state is JobState.DONE, again.error
    assert load_payload(output)["meta"]["counts"]["num_images"] == IMAGES
    assert output.with_name(f"{output.name}.bak").read_bytes() == old


# --- memory


@pytest.mark.soak
def test_a_job_for_which_the_gpu_has_no_memory_left_says_so_and_resumes(
    real: Path, tmp_path: Path
) -> None:
    script = tmp_path / "small_gpu.py"
    script.write_text(
        textwrap.dedent(
            """
            import os, sys
            sys.path.insert(0, os.getcwd())
            import torch
            from analysis.cli.extract import main
            from analysis.collect.run.network import Network
            whole, calls = Network.measured_outputs, []

            def measured_outputs(self, pixels):
                calls.append(1)
                for number, tokens in enumerate(whole(self, pixels)):
                    if len(calls) > 10 and number > 3:
                        raise torch.OutOfMemoryError("CUDA out of memory.")
                    yield tokens

            Network.measured_outputs = measured_outputs
            sys.exit(main())
            """
        )
    )
    job = wait_for(
        extract(real, command=(sys.executable, str(script))), JobState.FAILED, seconds=120
    )
    assert "out of memory with a single image" in str(job.error)
    again = wait_for(restart_job(job, resume=True), *ENDED, seconds=300)
    assert again.state is JobState.DONE, again.error
    assert load_payload(again.output)["meta"]["counts"]["num_images"] == IMAGES


def test_what_a_job_folder_says_is_never_believed_without_its_lock(project: Path) -> None:
    folder = project / "outputs/.jobs/20200101-000000-000000001"
    folder.mkdir(parents=True)
    output = project / "outputs" / "v1" / "feature_stats" / "x.pt"
    (folder / "job.json").write_text(json.dumps({"output": str(output), "total": 6}))
    for state in ("waiting", "preparing", "running", "saving"):
        write_json(folder / "progress.json", {"state": state, "done": 2, "total": 6, "pid": 1})
        job = read_job(folder)
        assert job is not None
        assert job.state is JobState.FAILED
        assert state in str(job.error)
