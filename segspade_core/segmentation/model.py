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
        self.set_normalisation()

    def set_normalisation(self) -> None:
        """Fill the two buffers that no file of weights holds; for networks built on the meta device."""
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Score every class at every pixel.

        Args:
            images: (B, 3, H, W) float32 in [0, 1]; ImageNet's normalisation happens here.

        Returns:
            (B, C, H, W) float32 logits, channels last in memory.
        """
        height, width = images.shape[-2:]
        x = self.upsample(self.scores(images))  # (B, C, H, W), both rounded up to multiples of 32
        return x[..., :height, :width]

    def scores(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [0, 1] → (B, C, H / 32, W / 32), rounded up: logits before upsampling."""
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images have shape {tuple(images.shape)}; the segmenter takes (B, 3, H, W)")
        x = pad_to_stride((images - self.mean) / self.std)
        x = self.encoder(x)  # (B, 512 or 2048, H / 32, W / 32)
        scores: Tensor = self.classifier(x)  # (B, C, H / 32, W / 32)
        return scores


class BilinearUpsampling(nn.Module):
    """`ConvTranspose2d(C, C, 2 * stride, stride, stride // 2, bias=False)` that starts bilinear.

    The weight has that layer's shape and meaning. It is computed as one matrix product, because every output
    pixel is a sum over the 2x2 cells around it: faster on a CPU than the library's transposed convolution
    (benchmarks/segmenter_head.py), and the result lies channels last, as loss and argmax like it. Always in
    float32, since the library rounds logits to bfloat16 otherwise.
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
        y = (self.cells(x) @ self.taps()).view(batch, height + 1, width + 1, s, s, channels)
        y = y.transpose(2, 3).reshape(batch, (height + 1) * s, (width + 1) * s, channels)
        half = s // 2
        return y[:, half:-half, half:-half].permute(0, 3, 1, 2)

    def cells(self, x: Tensor) -> Tensor:
        """(B, C, h, w) → (B * (h + 1) * (w + 1), C * 4): the four inputs around each cell.

        Cells are as wide as the stride and half a cell off the input's: the four around reach all of it.
        """
        return F.unfold(x, kernel_size=2, padding=1).transpose(1, 2).flatten(0, 1)

    def taps(self) -> Tensor:
        """The weight as a matrix (C * 4, stride * stride * C), which makes the pixels of a cell."""
        channels, s = len(self.weight), self.stride
        taps = self.weight.view(channels, channels, 2, s, 2, s)
        # the upper left of the four reaches the cell with the lower right half of its kernel: hence the flip
        return taps.flip(2, 4).permute(0, 2, 4, 3, 5, 1).reshape(channels * 4, s * s * channels)

    def to_cells(self, maps: Tensor) -> Tensor:
        """(B, h * stride, w * stride) uint8 → (B * (h + 1) * (w + 1), stride * stride), with 255 around."""
        s, half = self.stride, self.stride // 2
        x = F.pad(maps, (half, half, half, half), value=255)
        x = x.view(len(x), x.shape[1] // s, s, x.shape[2] // s, s)
        return x.transpose(2, 3).reshape(-1, s * s)


def bilinear_kernel(stride: int) -> Tensor:
    """(2 * stride, 2 * stride) float32: the weights of bilinear interpolation by an even factor `stride`."""
    distance = (torch.arange(2 * stride) - (stride - 0.5)).abs() / stride
    return torch.outer(1 - distance, 1 - distance)


def pad_to_stride(x: Tensor, fill: int | None = None) -> Tensor:
    """(…, H, W) → both sides up to a multiple of 32, by repeating the lower and the right edge, or `fill`.

    Images are repeated and not mirrored: one may be smaller than what is missing. Not filled with zeros: a
    black frame would be seen as an object. Targets are filled with void.
    """
    below, right = -x.shape[-2] % STRIDE, -x.shape[-1] % STRIDE
    if not (below or right):
        return x
    if fill is not None:
        return F.pad(x, (0, right, 0, below), value=fill)
    return F.pad(x, (0, right, 0, below), mode="replicate")
