"""The perceptual loss: how far a painting's features lie from those of its photograph.

Source: Johnson et al., "Perceptual Losses for Real-Time Style Transfer", ECCV 2016; layers and weights as in
pix2pixHD (Wang et al., CVPR 2018, section 3.5), from which Park et al., CVPR 2019, section 4 took them.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segspade_core.errors import InputError, WeightsError
from segspade_core.spade.frozen import FrozenNetwork
from segspade_core.training.weights_file import fit, read_bytes, read_entries, without_prefix

# places in torchvision's `vgg19().features` of relu1_1, relu2_1, relu3_1, relu4_1 and relu5_1
_LAYERS = {1: 1 / 32, 6: 1 / 16, 11: 1 / 8, 20: 1 / 4, 29: 1.0}
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # ImageNet's, of colours in [0, 1]
_REMEDY = (
    "set generator.perceptual_weights to the path of a file of VGG-19 weights with torchvision's names; or "
    "set it to 'none' to train without the perceptual loss"
)


def perceptual_network(weights: str) -> PerceptualLoss | None:
    """The loss with weights from `weights`, frozen, on the CPU.

    Args:
        weights: 'imagenet' takes torchvision's VGG-19, 'none' is no loss at all, else the path of a .pth or
            safetensors file with torchvision's names.

    Raises:
        WeightsError: nothing can be downloaded, or the file is unreadable or does not fit.
        InputError: 'auto', which is settled when a training is planned, for the result depends on it.
    """
    if weights == "none":
        return None
    if weights == "auto":
        raise InputError(
            "generator.perceptual_weights 'auto' is settled when a training is planned; here it must be "
            "'imagenet', 'none' or the path of a file"
        )
    if weights == "imagenet":
        content, source = _imagenet()
    else:
        content, source = read_bytes(weights, _REMEDY), weights
    entries, _ = read_entries(content, source, "VGG-19")
    return PerceptualLoss(without_prefix(entries), source)


def vgg19_problem() -> str | None:
    """Why torchvision's VGG-19 weights cannot be had, in one line; None if they lie in the cache now.

    They are downloaded if need be (548 MB).
    """
    try:
        _imagenet()
    except WeightsError as error:
        return " ".join(str(error).split())
    return None


def _imagenet() -> tuple[bytes, str]:
    from segspade_core.segmentation.imagenet import (
        imagenet_weights,
    )  # here: torchvision takes seconds to import

    return imagenet_weights("vgg19", _REMEDY)


class PerceptualLoss(nn.Module):
    """The weighted sum of the mean absolute differences of five layers' features.

    The published code gives VGG pictures in [-1, 1] as they are. Here they are normalised as those that the
    weights were trained on: features then mean what they were trained to, also for files of other weights.
    That stretches contrasts by 1 / (2 * 0.226) = 2.2, and the loss by about as much.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, entries: Mapping[str, Tensor], source: str) -> None:
        """Build the layers up to relu5_1.

        Args:
            entries: torchvision's of a VGG-19; those of the classifier and of later layers may be missing.
            source: where they are from, for messages.

        Raises:
            WeightsError: an entry is missing or does not fit.
        """
        import torchvision  # here: it takes seconds

        super().__init__()
        with torch.device("meta"):  # the classifier alone would take 500 MB
            layers = torchvision.models.vgg19().features[: max(_LAYERS) + 1]
        expected = {f"features.{name}": entry for name, entry in layers.state_dict().items()}
        used = {name: entry for name, entry in entries.items() if name in expected}
        fitting = fit(used, expected, source, "a torchvision vgg19", _REMEDY)
        layers.load_state_dict(
            {name.removeprefix("features."): e for name, e in fitting.items()}, assign=True
        )
        self.layers = FrozenNetwork(layers)
        self.register_buffer("mean", torch.tensor(_MEAN)[:, None, None], persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION)[:, None, None], persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """Two times (B, 3, H, W) in [-1, 1], H and W 16 or more → a float32 scalar.

        The photograph's features are constants: no gradient goes to `real`.
        """
        with torch.no_grad():
            of_real = self.features(real)
        return torch.stack([
            weight * (a.float() - b.float()).abs().mean()
            for weight, a, b in zip(_LAYERS.values(), self.features(fake), of_real, strict=True)
        ]).sum()  # fmt: skip

    def features(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [-1, 1] → five times (B, C, h, w), h being H, H / 2, ..., H / 16 rounded down."""
        x = ((images + 1) / 2 - self.mean) / self.deviation
        found = []
        assert isinstance(self.layers.network, nn.Sequential)
        for index, layer in enumerate(self.layers.network):
            x = layer(x)
            if index in _LAYERS:
                found.append(x)
        return found
