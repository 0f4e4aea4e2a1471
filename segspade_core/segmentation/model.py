"""The segmenter: an encoder down to 1/32, class scores, and an upsampling back to full size.

Source of the head 'fcn32': Long et al., "Fully Convolutional Networks for Semantic Segmentation", CVPR 2015
(FCN-32s); of its ResNets: He et al., "Deep Residual Learning for Image Recognition", CVPR 2016. The other
heads: see heads.py.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from segspade_core.segmentation.encoders import OWN_RESNETS, colours, deepest, library_encoder, own_resnet
from segspade_core.segmentation.heads import FixedUpsampling, library_parts
from segspade_core.segmentation.label_space import LabelSpace

STRIDE = 32


class Segmenter(nn.Module):
    """Photographs → class scores of every pixel, for images of any size.

    Every head works in two steps: `scores`, which may run under autocast, and `to_full_size` in float32.
    Where `upsample` is a BilinearUpsampling, as of 'fcn32', `upsampled_cross_entropy` does the second step
    and the loss at once.

    Parameter names of 'fcn32': `encoder.<name in torchvision>`, `classifier.{weight,bias}`,
    `upsample.weight`. Those of the other heads are the ones of segmentation-models-pytorch: `encoder.…`,
    `decoder.…`, `segmentation_head.0.{weight,bias}`.

    Attributes:
        untaught: classes that no label map it learned from had a pixel of. They are never predicted: nothing
            is known of them, and where logits were not taught at all, as beside a frame, one may be highest.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, encoder: str, num_classes: int, head: str = "fcn32", label_space: LabelSpace = "ids"
    ) -> None:
        """Draw a network.

        Args:
            label_space: what its classes are; no number in it depends on that.

        Raises:
            InputError: there is no such encoder or head, or they do not go together.
        """
        super().__init__()
        self.encoder_name, self.num_classes, self.head_name = encoder, num_classes, head
        self.label_space = label_space
        self.untaught: tuple[int, ...] = ()
        self.encoder: nn.Module
        self.upsample: BilinearUpsampling | FixedUpsampling
        if head == "fcn32":
            if encoder in OWN_RESNETS:
                self.encoder, channels = own_resnet(encoder)
            else:
                self.encoder = library = library_encoder(encoder)
                channels = library.out_channels[-1]
            self.classifier = nn.Conv2d(channels, num_classes, kernel_size=1)
            self.upsample = BilinearUpsampling(num_classes, STRIDE)
        else:
            parts = library_parts(head, encoder, num_classes)
            self.encoder, self.decoder = parts.encoder, parts.decoder
            self.segmentation_head, self.upsample = parts.segmentation_head, parts.upsample
        self.set_normalisation()

    def set_normalisation(self) -> None:
        """Fill the two buffers that no file of weights holds; for networks built on the meta device."""
        mean, std = colours(self.encoder_name)
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, images: Tensor) -> Tensor:
        """Score every class at every pixel.

        Args:
            images: (B, 3, H, W) float32 in [0, 1]; the encoder's own normalisation happens here.

        Returns:
            (B, C, H, W) float32 logits; of 'fcn32' channels last in memory.
        """
        height, width = images.shape[-2:]
        return self.to_full_size(self.scores(images), height, width)

    def scores(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) float32 in [0, 1] → (B, C, h, w), the logits before upsampling.

        h and w are the sides, rounded up to multiples of 32, divided by 32 ('fcn32'), 1 ('unet') or 4.
        """
        if images.dim() != 4 or images.shape[1] != 3:
            raise ValueError(f"images have shape {tuple(images.shape)}; the segmenter takes (B, 3, H, W)")
        features = self.encoder(pad_to_stride((images - self.mean) / self.std))
        if self.head_name == "fcn32":
            scores: Tensor = self.classifier(deepest(features))  # (B, C, H / 32, W / 32)
        else:
            scores = self.segmentation_head(self.decoder(features))
        return scores

    def to_full_size(self, scores: Tensor, height: int, width: int) -> Tensor:
        """What `scores` gave → (B, C, height, width) float32 logits of images of that size."""
        logits: Tensor = self.upsample(scores)  # both sides rounded up to multiples of 32
        return logits[..., :height, :width]


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
