"""Where tensors live."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch

from segspade_core.errors import InputError


def pick_device(name: str = "auto") -> torch.device:
    """cuda, else mps, else cpu for 'auto'; else the device that is named.

    A CUDA device multiplies float32 matrices as it convolves them by default: in TensorFloat-32, whose
    products are of 10 bits and whose sums are float32. On an H200 the products of the head took a fifth of a
    step otherwise.

    Raises:
        InputError: the device is not on this machine.
    """
    torch.backends.cuda.matmul.fp32_precision = "tf32"
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        if torch.backends.mps.is_available():
            return torch.device("mps")
        return torch.device("cpu")
    device = torch.device(name)
    count = torch.cuda.device_count()
    if device.type == "cuda" and (device.index or 0) >= count:
        raise InputError(f"device '{name}': this machine has {count} CUDA devices; use 'auto' or 'cpu'")
    if device.type == "mps" and not torch.backends.mps.is_available():
        raise InputError("device 'mps': not available on this machine; use 'auto' or 'cpu'")
    return device


def autocast(device: torch.device, precision: str) -> AbstractContextManager[object]:
    """A context in which convolutions run in `precision`: 'fp32' or 'bf16'."""
    if precision == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)
