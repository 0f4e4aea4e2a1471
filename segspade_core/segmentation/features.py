"""What a segmenter's encoder sees: its feature maps, for judging painted images."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segspade_core.segmentation.model import Segmenter, pad_to_stride

# what each of them gives is smaller than what the one before gave, or deeper
_STOPS = ("relu", "layer1", "layer2", "layer3", "layer4")


@torch.inference_mode()
def encoder_features(model: Segmenter, images: Tensor) -> list[Tensor]:
    """The feature maps of the encoder, from fine to coarse.

    Args:
        model: in evaluation mode.
        images: (B, 3, H, W) float32 in [0, 1].

    Returns:
        Maps (B, C_i, H_i, W_i) float32. Of ResNets five: after the first convolution at 1/2 of the size, and
        after each of the four stages at 1/4, 1/8, 1/16 and 1/32. Encoders that begin at 1/4 have four, those
        that begin at full size six.
    """
    x = pad_to_stride((images - model.mean) / model.std)
    if not isinstance(model.encoder, nn.Sequential):
        # the library puts the image itself first, and an empty map where an encoder has none of that size
        return [features for features in model.encoder(x) if features is not x and features.shape[1]]
    maps = []
    for name, part in model.encoder.named_children():
        x = part(x)
        if name in _STOPS:
            maps.append(x)
    return maps
