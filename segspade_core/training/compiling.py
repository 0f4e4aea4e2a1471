"""torch.compile, where a config asks for it, and what is said where there is no compiler."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor

from segspade_core.errors import InputError

_COMPILERS = ("torch._dynamo", "torch._inductor", "torch._functorch")


def compiled(function: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """`function` as kernels of its own, made at its first call for each shape; minutes for a large network.

    Never for shapes in general: these round otherwise, and whether they are made depends on the shapes that
    this process saw before, so that a run that goes on would end with other bytes.
    """
    kernels: Callable[[Tensor], Tensor] = torch.compile(function, dynamic=False)
    return kernels


@contextmanager
def telling_compiler(setting: str) -> Iterator[None]:
    """Tell that something cannot be compiled here, as InputError that names `setting`.

    Raises:
        InputError: a compiler is missing, or does not know what to do with the network.
    """
    try:
        yield
    except RuntimeError as error:
        if not type(error).__module__.startswith(_COMPILERS):
            raise
        raise InputError(
            f"{setting}: torch.compile does not work here ({str(error).splitlines()[0]}); install a C++ "
            f"compiler such as g++ (on a GPU, Triton too), or set {setting} to false"
        ) from error
