"""Launch Triton kernels, or only have them compiled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

import torch

_compiled: ContextVar[list[Any] | None] = ContextVar("compiled", default=None)
"""What was asked for within `only_compile`, None outside of it."""


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch a kernel, or have it compiled for these arguments within `only_compile`."""
    compiled = _compiled.get()
    if compiled is None:
        kernel[grid](*arguments, **options)
    else:
        compiled.append(kernel.warmup(*arguments, grid=grid, **options))


@contextmanager
def only_compile(threads: int, device: torch.device) -> Iterator[None]:
    """Have kernels compiled side by side instead of launched; the end waits for all of them.

    What is compiled lies on disk afterwards, where Triton finds it in every later process.
    """
    compiled: list[Any] = []
    token = _compiled.set(compiled)
    try:
        with ThreadPoolExecutor(threads, initializer=_enter, initargs=(device,)) as executor:
            with _side_by_side(executor):
                yield
            different = {id(kernel): kernel for kernel in compiled}.values()
            list(executor.map(_load, different))
    finally:
        _compiled.reset(token)


def _enter(device: torch.device) -> None:
    if device.type == "cuda":  # which is chosen for each thread
        torch.cuda.set_device(device)


def _load(kernel: Any) -> None:
    """Put a compiled kernel on the GPU; the first time, a C compiler makes its launcher.

    Triton hands out kernels that are still being compiled; only `result` gives those of every
    version, and only their `run` makes the launcher.
    """
    kernel = kernel.result() if hasattr(kernel, "result") else kernel
    getattr(kernel, "run", None)


def _side_by_side(executor: ThreadPoolExecutor) -> AbstractContextManager[object]:
    try:
        from triton.runtime._async_compile import AsyncCompileMode
    except ImportError:  # an older Triton compiles one kernel after the other
        return nullcontext()
    return AsyncCompileMode(executor)
