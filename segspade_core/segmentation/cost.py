"""What a network costs: parameters, and multiply-accumulates of one photograph."""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from segspade_core.segmentation.model import Segmenter


def count_parameters(model: Segmenter) -> int:
    """Learned values, each once; running statistics of normalisation are none."""
    return sum(parameter.numel() for parameter in model.parameters())


@torch.inference_mode()
def count_macs(model: Segmenter, size: tuple[int, int]) -> int:
    """Multiply-accumulates of one pass over a photograph, by running it.

    Convolutions, matrix products and attention are counted, as is usual; normalisation, activations and
    interpolation are not. They are those that are run here: a transposed convolution that is computed as a
    matrix product has the few more at its rim.

    Args:
        model: in evaluation mode, on any device.
        size: (H, W) of the photograph.
    """
    device = next(model.parameters()).device
    counter = FlopCounterMode(display=False)
    with counter:
        model(torch.zeros(1, 3, *size, device=device))
    return int(counter.get_total_flops()) // 2  # it counts product and sum as two
