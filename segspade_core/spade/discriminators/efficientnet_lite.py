"""Features of pictures from a network that learned on ImageNet: EfficientNet-Lite0."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from segspade_core.spade.frozen import FrozenNetwork
from segspade_core.training.efficientnet_lite import (
    FILE,
    INSTALL,
    MEAN_PIXEL,
    STD_PIXEL,
    TIMM_NAME,
    efficientnet_lite0_file,
    timm_names,
)
from segspade_core.training.weights_file import fit, read_entries

CHANNELS = (16, 24, 40, 112, 320)  # of the features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture's size

_OTHERWISE = "take the discriminator 'patch' or 'unet', which needs none"
_ENDS = (0, 1, 2, 4, 6)  # the stages whose output is looked at: the last of each size


def efficientnet_lite0() -> FrozenNetwork:
    """Frozen: pictures (B, 3, H, W) in [-1, 1] of any size → what `EfficientNetFeatures` makes of them.

    Raises:
        WeightsError: the weights are not installed, or are not those that are known.
    """
    return FrozenNetwork(EfficientNetFeatures(efficientnet_lite0_file(_OTHERWISE)))


class EfficientNetFeatures(nn.Module):
    """The outputs of five stages, each channel with mean 0 and standard deviation 1 on ImageNet.

    Means and deviations are not measured but read off the weights: a block ends in a batch norm, whose output
    has the mean `bias` and the deviation `weight` on what it was trained on, and a stage's output is the sum
    of its blocks. The variance of the sum takes them for independent; on CamVid, deviations of 0.5 to 1.4
    come out. Constants, unlike statistics of the batch, leave a sample's features to the sample.
    """

    def __init__(self, content: bytes) -> None:
        """Takes the bytes of `efficientnet_lite0_file`."""
        import timm  # here: it takes longer to import than torch, and few need it

        super().__init__()
        with torch.device("meta"):  # no time and no random numbers for weights that are replaced
            self.network = timm.create_model(TIMM_NAME, features_only=True)
        entries, _ = read_entries(content, FILE, "encoder")
        expected = self.network.state_dict()
        fitting = fit(timm_names(entries), expected, FILE, "an EfficientNet-Lite0", INSTALL)
        self.network.load_state_dict(fitting, assign=True)
        for level, stage in enumerate(_ENDS):
            norms = [_last_norm(block) for block in self.network.get_submodule(f"blocks.{stage}").children()]
            mean = torch.stack([norm.bias.detach() for norm in norms]).sum(0)
            variance = torch.stack([norm.weight.detach().square() for norm in norms]).sum(0)
            self.register_buffer(f"mean_{level}", mean[:, None, None])
            self.register_buffer(f"deviation_{level}", variance.sqrt()[:, None, None])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [-1, 1] → (B, C, h, w) for each of CHANNELS, h from H / 2 to H / 32, rounded up."""
        features = self.network((images * 127.5 + (127.5 - MEAN_PIXEL)) / STD_PIXEL)
        return [
            (x - self.get_buffer(f"mean_{level}")) / self.get_buffer(f"deviation_{level}")
            for level, x in enumerate(features)
        ]


def _last_norm(block: nn.Module) -> nn.BatchNorm2d:
    norm = block.get_submodule("bn3" if hasattr(block, "bn3") else "bn2")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm
