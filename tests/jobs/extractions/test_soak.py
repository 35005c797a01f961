"""Real extractions killed at random moments, over and over: nothing is lost, nothing is broken.

Five rounds by default, 120 in `make soak`; the seed decides who is killed and when. Where
`SOAK_RESULT` names a file, the long test writes there what it has seen.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from analysis.files.atomic import read_json
from analysis.jobs.extractions import Job, JobState, can_resume, cancel_job, list_jobs
from analysis.payload.file import load_payload
from tests import ROOT
from tests.agreement import largest_difference
from tests.factories.projects import make_project

IMAGES = 8
VICTIMS = ("command", "worker", "job", "server", "server and job", "nobody, but cancelled")
MOMENTS = ("while starting", "while running", "while saving")
PATIENCE_S = 180


def test_five_random_kills_lose_and_break_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    play(tmp_path, monkeypatch, rounds=5, seed=3)


@pytest.mark.soak
@pytest.mark.timeout(7200)
def test_a_hundred_and_twenty_random_kills_lose_and_break_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = play(tmp_path, monkeypatch, rounds=120, seed=1)
    if name := os.environ.get("SOAK_RESULT"):
        Path(name).write_text(json.dumps(result, indent=2) + "\n")


def play(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, rounds: int, seed: int
) -> dict[str, Any]:
    """Play the rounds, then let one more run come to its end; return what was seen."""
    project = make_project(folder / "project", images=IMAGES, lora=False)
    monkeypatch.chdir(project)
    monkeypatch.setenv("DASHBOARD_QUEUE", str(folder / "queue"))
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    started = time.monotonic()
    game = _Game(project, random.Random(seed))
    game.play_round(None)
    for _ in range(rounds):
        game.play_round(game.random.choice(VICTIMS))
    game.play_round(None)
    last = list_jobs([project])[0]
    assert last.state is JobState.DONE, (last.error, last.read_log())
    left = {path.name for path in last.output.parent.iterdir()}
    assert left == {
        f"{last.output.stem}{suffix}{kept}"
        for suffix in (".pt", ".json", ".features.safetensors")
        for kept in ("", ".bak")
    } | {f"{last.output.stem}.log", f"{last.output.stem}.index"}
    return {
        "rounds": rounds,
        "seed": seed,
        "seconds": round(time.monotonic() - started),
        "images": IMAGES,
        "killed": dict(sorted(game.killed.items())),
        "ended": dict(sorted(game.ended.items())),
        "resumed": game.resumed,
        "payloads written and equal to the first": game.written,
        # any of these would have ended the test
        "payloads lost": 0,
        "payloads corrupt": 0,
        "processes left": 0,
    }


@dataclass
class _Game:
    project: Path
    random: random.Random
    reference: dict[str, Any] | None = None
    killed: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)
    resumed: int = 0
    written: int = 0

    def play_round(self, victim: str | None) -> None:
        """Start a job or go on with the last, kill somebody, and look at what is left."""
        jobs = list_jobs([self.project])
        latest = jobs[0] if jobs else None
        before = _fingerprint(latest.output) if latest else None
        verb = self._choose_verb(latest)
        self.resumed += verb == "resume"
        server = subprocess.Popen(
            [sys.executable, "-m", "tests.jobs.server", str(self.project), verb],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            moment = self.random.choice(MOMENTS)
            if victim == "server" and moment == "while starting":
                time.sleep(self.random.uniform(0, 1.5))  # perhaps before there is a job
            else:
                assert server.stdout is not None
                assert server.stdout.readline().strip(), "the job was not started"
                self._wait_for(moment if victim else "at the end")
            if victim:
                self.killed[f"{victim}, {moment}"] += 1
                self._kill(victim, server)
            self._judge(latest, before, server)
        finally:
            server.kill()
            server.communicate()

    def _choose_verb(self, latest: Job | None) -> str:
        if latest is None or latest.state is JobState.DONE:
            return "start"
        often = self.random.random() < 0.9
        return "resume" if can_resume(latest) and often else "restart"

    def _wait_for(self, moment: str) -> None:
        goal = self.random.randrange(1, IMAGES)
        delay = self.random.uniform(0, 4 if moment == "while starting" else 0.1)
        reached: dict[str, Callable[[Job], bool]] = {
            "while starting": lambda job: True,
            "while running": lambda job: job.state is JobState.RUNNING and job.done >= goal,
            "while saving": lambda job: job.state is JobState.SAVING,
            "at the end": lambda job: False,
        }
        _wait(lambda: not (job := self._latest()).is_live or reached[moment](job))
        time.sleep(delay)

    def _kill(self, victim: str, server: subprocess.Popen[str]) -> None:
        jobs = list_jobs([self.project])
        if victim.startswith("server"):
            server.kill()
            server.wait()
        if not jobs or victim == "server":
            return
        if victim == "nobody, but cancelled":
            cancel_job(jobs[0])
            return
        worker, command = (
            (read_json(jobs[0].folder / name) or {}).get("pid")
            for name in ("worker.json", "command.json")
        )
        if victim == "worker" and worker:
            _signal(os.kill, worker)
        elif victim == "command" and command:
            _signal(os.kill, command)
        elif worker:
            _signal(os.killpg, worker)

    def _judge(
        self, earlier: Job | None, before: str | None, server: subprocess.Popen[str]
    ) -> None:
        _wait(lambda: all(not job.is_live for job in list_jobs([self.project])))
        job = self._latest()
        output = job.output
        if earlier is not None and job.id == earlier.id:
            self.ended["never started"] += 1
            assert _fingerprint(output) == before
            return
        self.ended[job.state.value] += 1
        assert job.state is JobState.DONE or job.error or job.state is JobState.CANCELLED
        worker = (read_json(job.folder / "worker.json") or {}).get("pid")
        _wait(lambda: worker is None or not _members(worker, of_parent=server.pid))
        after = _fingerprint(output)
        if job.state is not JobState.DONE:
            assert after == before, f"{job.state} {job.error}, and yet another payload"
            return
        self.written += 1
        assert after not in (None, before), f"{job.state}, and no new payload: {job.read_log()}"
        if before is not None:
            assert _fingerprint(output.with_name(f"{output.name}.bak")) == before
        payload = load_payload(output)
        self.reference = self.reference or payload
        assert payload["meta"]["counts"] == self.reference["meta"]["counts"]
        assert largest_difference(payload, self.reference) < 1e-6

    def _latest(self) -> Job:
        return list_jobs([self.project])[0]


def _fingerprint(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else None


def _signal(send: Callable[[int, int], None], pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):  # it was quicker
        send(pid, signal.SIGKILL)


def _members(group: int, of_parent: int) -> list[str]:
    """Return the processes of a job that live on, and its zombies that this parent should reap."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        state, parent, its_group = fields[0], int(fields[1]), int(fields[2])
        if its_group == group and (state != "Z" or parent == of_parent):
            found.append(f"{folder.name} {state}")
    return found


def _wait(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline, "it does not come to an end"
        time.sleep(0.01)
