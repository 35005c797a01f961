"""Locks that end with the last process that holds them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from analysis.files.locks import acquire_lock, is_locked, locked


def test_a_lock_is_held_until_its_descriptor_is_closed(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    assert not is_locked(path)  # no such file
    descriptor = acquire_lock(path, wait=False)
    assert descriptor is not None
    assert is_locked(path)
    assert acquire_lock(path, wait=False) is None
    os.close(descriptor)
    assert not is_locked(path)


def test_a_lock_passes_to_the_process_that_inherits_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    descriptor = acquire_lock(path, wait=True)
    assert descriptor is not None
    command = [sys.executable, "-c", "input()"]
    child = subprocess.Popen(command, pass_fds=[descriptor], stdin=subprocess.PIPE)
    os.close(descriptor)
    assert is_locked(path)
    child.communicate(b"\n")
    assert not is_locked(path)


def test_asking_does_not_take_the_lock_away(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.touch()
    assert not is_locked(path)
    with locked(path):
        assert is_locked(path)
        assert is_locked(path)
    assert not is_locked(path)
