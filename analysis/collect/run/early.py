"""What a run can begin before torch is imported, which takes seconds; imports no torch.

Worker processes decode the first images, a thread computes the digest of the weights file, and so
brings it into memory, another one opens the GPU, and a third computes the digest of Triton. All but
the decoding can be begun before anybody starts the run.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import os
import threading
from collections.abc import Hashable, Iterator
from contextlib import contextmanager

from analysis.collect.images.pool import CAN_FORK, DecodePool, choose_num_workers
from analysis.collect.plan.request import ExtractionPlan
from analysis.files.digest import begin_sha256


class EarlyStart:
    """What has been begun for a run.

    Attributes:
        pool: Will decode the images of the plan in order; None where it is not known yet which
            images this process will read.
    """

    def __init__(self, plan: ExtractionPlan) -> None:
        self._asked = _describe(plan)
        self.pool = _start_pool(plan)  # forks, so it comes before the threads and the GPU
        path = plan.weights.path
        for file in sorted(path.glob("*.safetensors")) if path.is_dir() else [path]:
            begin_sha256(file)
        kind, _, number = (plan.request.device or "auto").partition(":")
        if kind != "cpu" and (number or "0").isdecimal() and "RANK" not in os.environ:
            threading.Thread(target=_open_gpu, args=(int(number or 0),), daemon=True).start()
            threading.Thread(target=_digest_triton, daemon=True).start()

    def serves(self, plan: ExtractionPlan) -> bool:
        """Return whether this is what `plan` needs."""
        return self._asked == _describe(plan)

    def begin(self) -> None:
        """Have the first images decoded."""
        if self.pool is not None:
            self.pool.begin()

    def close(self) -> None:
        """End the worker processes, once."""
        pool, self.pool = self.pool, None
        if pool is not None:
            pool.close()


def _describe(plan: ExtractionPlan) -> tuple[Hashable, ...]:
    request = plan.request
    paths = tuple(entry.path for entry in plan.images.entries)
    asked = request.num_workers, bool(request.resume), request.device
    return plan.weights.path, plan.settings.image_size, paths, *asked


def _start_pool(plan: ExtractionPlan) -> DecodePool | None:
    wanted = plan.request.num_workers
    num_workers = choose_num_workers() if wanted is None else wanted
    several_ranks = "RANK" in os.environ
    paths = [str(entry.path) for entry in plan.images.entries]
    if not CAN_FORK or num_workers < 1 or several_ranks or plan.request.resume or len(paths) < 2:
        return None
    return DecodePool(paths, plan.settings.image_size, num_workers)


def _open_gpu(number: int) -> None:
    """Create the context that torch will use, which takes half a second; errors are torch's."""
    driver = start_driver()
    device, context = ctypes.c_int(), ctypes.c_void_p()
    if driver is not None and driver.cuDeviceGet(ctypes.byref(device), number) == 0:
        driver.cuDevicePrimaryCtxRetain(ctypes.byref(context), device)


def start_driver() -> ctypes.CDLL | None:
    """Return NVIDIA's driver, ready for use, which takes no memory of a GPU; None without one."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return None
    return driver if driver.cuInit(0) == 0 else None


def _digest_triton() -> None:
    """Compute what Triton names its kernels on disk by, from 400 MB of its own files; it keeps it.

    It is looked up by its place in Triton 3; elsewhere the first kernel waits for it as before.
    """
    with contextlib.suppress(ImportError, OSError):
        from triton.runtime.cache import triton_key

        triton_key()


@contextmanager
def importing() -> Iterator[None]:
    """Import without looking for garbage: what is imported stays."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        if was_enabled:
            gc.enable()


def import_all() -> None:
    """Import what any run may import, adapters and Triton included."""
    with importing():
        import peft  # noqa: F401

        import analysis.collect.run.loop

        with contextlib.suppress(ImportError):  # no Triton, no kernels
            import analysis.collect.run.fused_kernels
            import analysis.collect.statistics.triton_engine  # noqa: F401
    _digest_triton()
