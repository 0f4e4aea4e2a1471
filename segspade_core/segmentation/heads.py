"""Decoders of segmentation-models-pytorch on its encoders, and their fixed upsampling.

Sources: U-Net, Ronneberger et al., MICCAI 2015; DeepLabV3+, Chen et al., ECCV 2018; SegFormer, Xie et al.,
NeurIPS 2021; FPN, Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019; UPerNet, Xiao et al., ECCV
2018. Channels, dropout and initialisation are the library's defaults.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.errors import InputError
from segspade_core.segmentation.encoders import building, library_name

# head → class of the library; 'fcn32' is ours
LIBRARY_HEADS = {
    "unet": "Unet",
    "deeplabv3plus": "DeepLabV3Plus",
    "segformer": "Segformer",
    "fpn": "FPN",
    "upernet": "UPerNet",
}
# they take a mean over the whole image and normalise it over the batch: a batch of one has nothing to average
POOLING_HEADS = ("deeplabv3plus", "upernet")


@dataclass(frozen=True)
class LibraryParts:
    """A network of the library, taken apart so that its logits are upsampled in float32."""

    encoder: nn.Module  # images → list of maps
    decoder: nn.Module  # list of maps → (B, D, h, w)
    segmentation_head: nn.Sequential  # → (B, C, h, w)
    upsample: FixedUpsampling  # → (B, C, H, W)


def library_parts(head: str, encoder: str, num_classes: int) -> LibraryParts:
    """The parts of a head on an encoder, under the library's names, with weights as they are drawn.

    Raises:
        InputError: there is no such head or encoder, or they do not go together.
    """
    if head not in LIBRARY_HEADS:
        raise InputError(f"there is no head '{head}'; there are fcn32, {', '.join(LIBRARY_HEADS)}")
    with building(encoder, f"the head '{head}'"):
        import segmentation_models_pytorch as library

        network = getattr(library, LIBRARY_HEADS[head])(
            library_name(encoder), encoder_weights=None, classes=num_classes
        )
    # convolution, upsampling, and an activation that is none
    convolution, upsampling, _ = network.segmentation_head
    factor = int(getattr(upsampling, "scale_factor", 1))  # an identity has none
    return LibraryParts(network.encoder, network.decoder, nn.Sequential(convolution), FixedUpsampling(factor))


class FixedUpsampling(nn.Module):
    """Bilinear by a whole factor, corner onto corner, as the library does it; always in float32."""

    def __init__(self, factor: int) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h * factor, w * factor) float32."""
        x = x.float()
        if self.factor == 1:
            return x
        with torch.autocast(x.device.type, enabled=False):
            return F.interpolate(x, scale_factor=self.factor, mode="bilinear", align_corners=True)
