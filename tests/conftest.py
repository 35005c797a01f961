"""Settings that every test needs: one thread per worker, no network, no process kept ready."""

from __future__ import annotations

import os

import pytest

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DASHBOARD_STANDBY", "0")


@pytest.fixture(autouse=True, scope="session")
def _one_thread_per_worker() -> None:
    import torch

    torch.set_num_threads(1)
