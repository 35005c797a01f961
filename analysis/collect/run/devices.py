"""Choose where and how precisely the network runs.

Precisions: ``fp32`` (exact matrix products), ``tf32`` (fp32 with TensorFloat-32 products, GPU
only), ``bf16`` (autocast; the residual stream and the statistics stay fp32).
"""

from __future__ import annotations

import platform
from contextlib import AbstractContextManager, nullcontext

import torch

from analysis.errors import DeviceError


def choose_device(name: str, local_rank: int = 0) -> torch.device:
    """Return the device that `name` asks for: auto, cpu, cuda or cuda:N.

    ``auto`` takes a GPU if there is one; ``auto`` and ``cuda`` take the one of `local_rank`.

    Raises:
        DeviceError: If a GPU is asked for that is not there, or the name is unknown.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cpu":
        return torch.device("cpu")
    kind, _, index = name.partition(":")
    if kind != "cuda" or (":" in name and not index.isdecimal()):
        raise DeviceError(f"--device {name}: unknown. Choose auto, cpu, cuda or cuda:N.")
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    number = int(index or local_rank)
    if number >= count and count and not index:
        raise DeviceError(
            f"Process {local_rank + 1} of this machine needs a GPU of its own, but torch sees "
            f"{count} CUDA GPU(s) here. Start at most {count} process(es) "
            f"(torchrun --nproc-per-node {count}), or measure on the CPU with --device cpu."
        )
    if number >= count:
        raise DeviceError(
            f"--device {name}: torch {torch.__version__} sees {count} CUDA GPU(s) here. "
            "Use --device auto or cpu, or install a CUDA build of torch and a driver."
        )
    return torch.device("cuda", number)


def device_name(device: torch.device) -> str:
    """Return the product name of the device, for people."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return platform.processor() or platform.machine()


def choose_precision(name: str, device: torch.device) -> str:
    """Return fp32, tf32 or bf16; ``auto`` is bf16 on a GPU that has it, else fp32.

    Raises:
        DeviceError: If the device cannot do what is asked.
    """
    if name == "auto":
        return "bf16" if device.type == "cuda" and torch.cuda.is_bf16_supported() else "fp32"
    if name == "tf32" and device.type != "cuda":
        raise DeviceError("--precision tf32: needs a CUDA GPU. Use fp32 or bf16 on the CPU.")
    return name


def enter_precision(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Return the context that the forward pass runs in; sets the TensorFloat-32 switches."""
    allow_tf32 = precision != "fp32"
    torch.backends.cuda.matmul.allow_tf32 = allow_tf32
    torch.backends.cudnn.allow_tf32 = allow_tf32
    if precision == "bf16":
        return torch.autocast(device.type, dtype=torch.bfloat16)
    return nullcontext()


def choose_batch_size(
    tokens_per_image: int, device: torch.device, trained_with: int | None = None
) -> int:
    """Return a batch size that fills the device without crowding its memory.

    Args:
        tokens_per_image: Of the network.
        device: Where it runs.
        trained_with: The config's `data.batch_size`; taken where it is no smaller and no more than
            four times as large, so that `num_batches` is that of the training loader.
    """
    tokens = 16384 if device.type == "cuda" else 4096
    size = max(1, min(64, tokens // tokens_per_image))
    return trained_with if trained_with and size <= trained_with <= 4 * size else size
