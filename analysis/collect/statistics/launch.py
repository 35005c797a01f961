"""Launch Triton kernels, or only have them compiled."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from contextvars import ContextVar
from typing import Any

_compiling: ContextVar[bool] = ContextVar("compiling", default=False)


def launch(kernel: Any, grid: tuple[int, ...], *arguments: Any, **options: Any) -> None:
    """Launch a kernel, or have it compiled for these arguments within `only_compile`."""
    if _compiling.get():
        kernel.warmup(*arguments, grid=grid, **options)
    else:
        kernel[grid](*arguments, **options)


@contextmanager
def only_compile(threads: int) -> Iterator[None]:
    """Have kernels compiled side by side instead of launched; the end waits for all of them.

    What is compiled lies on disk afterwards, where Triton finds it in every later process.
    """
    token = _compiling.set(True)
    try:
        with ThreadPoolExecutor(threads) as executor, _side_by_side(executor):
            yield
    finally:
        _compiling.reset(token)


def _side_by_side(executor: ThreadPoolExecutor) -> AbstractContextManager[object]:
    try:
        from triton.runtime._async_compile import AsyncCompileMode
    except ImportError:  # an older Triton compiles one kernel after the other
        return nullcontext()
    return AsyncCompileMode(executor)
