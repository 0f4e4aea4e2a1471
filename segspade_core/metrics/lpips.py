"""LPIPS as torchmetrics has it, on an AlexNet from a file of weights: nothing is fetched."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torchmetrics.functional.image.lpips import _NoTrainLpips

from segspade_core.training.weights_file import fit, read_entries

# AlexNet halves so often that nothing is left of smaller images
SMALLEST_PX = 32


def load_lpips(content: bytes, source: str) -> nn.Module:
    """The network in evaluation mode on the CPU; the layers fitted to what people say come with torchmetrics.

    Args:
        content: torchvision's AlexNet, of which only the convolutions are read.
        source: where it comes from, for messages.

    Raises:
        WeightsError: it is no plain file of tensors, or they do not fit.

    Source: Zhang et al., "The Unreasonable Effectiveness of Deep Features as a Perceptual Metric", CVPR 2018.
    """
    # the public class fetches AlexNet itself, and from the network alone
    network = _NoTrainLpips(net="alex", pnet_rand=True)
    alexnet: nn.Module = network.net
    entries, _ = read_entries(content, source, "alexnet")
    # torchmetrics: slice2.3.weight; torchvision: features.3.weight
    own = {f"features.{name.partition('.')[2]}": name for name in alexnet.state_dict()}
    convolutions = {name: entry for name, entry in entries.items() if name.startswith("features.")}
    expected = {outer: alexnet.state_dict()[inner] for outer, inner in own.items()}
    remedy = "give torchvision's alexnet"
    fitting = fit(convolutions, expected, source, "torchvision's alexnet", remedy)
    alexnet.load_state_dict({own[name]: entry for name, entry in fitting.items()})
    return network


@torch.inference_mode()
def lpips(network: nn.Module, first: Tensor, second: Tensor) -> float | None:
    """LPIPS of two images, (1, 3, H, W) float32 in [0, 1]; None when they are smaller than 32 pixels."""
    if min(first.shape[-2:]) < SMALLEST_PX:
        return None
    return float(network(first, second, normalize=True))
