"""The segmenter: a ResNet down to 1/32, class scores there, and a learned upsampling back to full size.

Source: Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015 (FCN-32s), on the
encoder of He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
"""

from __future__ import annotations

from collections import OrderedDict

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

STRIDE = 32
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# conv1 .. layer4 under the names that torchvision's weights have; avgpool and fc are left out
_ENCODER_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")


class Segmenter(nn.Module):
    """Photographs → class scores of every pixel, for images of any size.

    Parameter names: `encoder.<name in torchvision>`, `classifier.{weight,bias}`, `upsample.weight`.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, encoder: str, num_classes: int) -> None:
        super().__init__()
        self.encoder_name, self.num_classes = encoder, num_classes
        resnet = torchvision.models.get_model(encoder, weights=None)
        self.encoder = nn.Sequential(OrderedDict((name, getattr(resnet, name)) for name in _ENCODER_PARTS))
        self.classifier = nn.Conv2d(resnet.fc.in_features, num_classes, kernel_size=1)
        self.upsample = BilinearUpsampling(num_classes, STRIDE)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Score every class at every pixel.

        Args:
            images: (B, 3, H, W) float32 in [0, 1]; ImageNet's normalisation happens here.

        Returns:
            (B, C, H, W) float32 logits, channels last in memory.
        """
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images have shape {tuple(images.shape)}; the segmenter takes (B, 3, H, W)")
        height, width = images.shape[-2:]
        x = pad_to_stride((images - self.mean) / self.std)
        x = self.encoder(x)  # (B, 512 or 2048, H / 32, W / 32)
        x = self.classifier(x)  # (B, C, H / 32, W / 32)
        x = self.upsample(x)  # (B, C, H, W), both rounded up to multiples of 32
        return x[..., :height, :width]


class BilinearUpsampling(nn.Module):
    """`ConvTranspose2d(C, C, 2 * stride, stride, stride // 2, bias=False)` that starts bilinear.

    The weight has that layer's shape and meaning. It is computed as one matrix product, because every output
    pixel is a sum over the 2x2 cells around it: twice as fast on a CPU as the library's transposed
    convolution, and the result lies channels last, as loss and argmax like it. Always in float32, since the
    library rounds logits to bfloat16 otherwise.
    """

    def __init__(self, channels: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        weight = torch.zeros(channels, channels, 2 * stride, 2 * stride)
        # every class from its own scores alone; training may mix them
        weight[range(channels), range(channels)] = bilinear_kernel(stride)
        self.weight = nn.Parameter(weight)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B, C, h * stride, w * stride) float32."""
        with torch.autocast(x.device.type, enabled=False):
            return self._upsample(x.float())

    def _upsample(self, x: Tensor) -> Tensor:
        (batch, channels, height, width), s = x.shape, self.stride
        # a grid of cells s wide, half a cell off the input's: the four inputs around a cell reach all of it
        cells = F.unfold(x, kernel_size=2, padding=1).transpose(1, 2)  # (B, (h + 1) * (w + 1), C * 2 * 2)
        taps = self.weight.view(channels, channels, 2, s, 2, s)
        # the upper left of the four reaches the cell with the lower right half of its kernel: hence the flip
        taps = taps.flip(2, 4).permute(0, 2, 4, 3, 5, 1).reshape(channels * 4, s * s * channels)
        y = (cells @ taps).view(batch, height + 1, width + 1, s, s, channels)
        y = y.transpose(2, 3).reshape(batch, (height + 1) * s, (width + 1) * s, channels)
        half = s // 2
        return y[:, half:-half, half:-half].permute(0, 3, 1, 2)


def bilinear_kernel(stride: int) -> Tensor:
    """(2 * stride, 2 * stride) float32: the weights of bilinear interpolation by an even factor `stride`."""
    distance = (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
    return torch.outer(1 - distance, 1 - distance)


def pad_to_stride(x: Tensor) -> Tensor:
    """(B, C, H, W) → both sides up to a multiple of 32, by repeating the lower and the right edge.

    Repeated and not mirrored: an image may be smaller than what is missing. Not zeros: a black frame would be
    seen as an object.
    """
    below, right = -x.shape[-2] % STRIDE, -x.shape[-1] % STRIDE
    return F.pad(x, (0, right, 0, below), mode="replicate") if below or right else x
