"""Encoders: photographs → feature maps at 1/2 to 1/32 of the size, and the colours each was trained to see.

segmentation-models-pytorch and timm take longer to import than torch, and only some encoders need them.
"""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torchvision
from torch import Tensor, nn

from segspade_core.config.encoders import EFFICIENTNET_LITE0, ENCODERS, TIMM, check_encoder
from segspade_core.errors import InputError
from segspade_core.training.efficientnet_lite import MEAN_PIXEL, STD_PIXEL, TIMM_NAME

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# those whose weights torchvision publishes, under the same entry names wherever they are built
TORCHVISION_RESNETS = ("resnet18", "resnet34", "resnet50", "resnet101", "resnet152", "resnext50_32x4d")
# built of torchvision's parts for the head 'fcn32', without waiting for another library
OWN_RESNETS = ("resnet18", "resnet34", "resnet50")
# conv1 .. layer4 under the names that torchvision's weights have; avgpool and fc are left out
_RESNET_PARTS = ("conv1", "bn1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4")

_HALVES = (0.5, 0.5, 0.5)
# by the beginning of the name: networks whose published weights see colours otherwise than ImageNet's mean
# and deviation. Source: the pretrained settings that come with each network in segmentation-models-pytorch
_COLOURS = {
    "inception": (_HALVES, _HALVES),
    "xception": (_HALVES, _HALVES),
    "timm-tf_efficientnet_lite": (_HALVES, _HALVES),
    "dpn": ((124 / 255, 117 / 255, 104 / 255), (1 / (0.0167 * 255),) * 3),
}

Colour = tuple[float, ...]  # red, green, blue


def own_resnet(name: str) -> tuple[nn.Sequential, int]:
    """A ResNet of torchvision's without its classifier, and the channels it ends in."""
    resnet = torchvision.models.get_model(name, weights=None)
    parts = OrderedDict((part, getattr(resnet, part)) for part in _RESNET_PARTS)
    return nn.Sequential(parts), resnet.fc.in_features


def library_encoder(name: str, **options: Any) -> Any:
    """An encoder of segmentation-models-pytorch: images → a list of maps; `out_channels` has their depths.

    Args:
        options: of its `get_encoder`.

    Raises:
        InputError: there is no such encoder, or its maps are not at 1/2 or 1/4 to 1/32 of the size.
    """
    with building(name, "label maps"):
        from segmentation_models_pytorch.encoders import get_encoder

        return get_encoder(library_name(name), **options)


def library_name(name: str) -> str:
    """What segmentation-models-pytorch calls an encoder of ours."""
    return TIMM + TIMM_NAME if name == EFFICIENTNET_LITE0 else name


@contextmanager
def building(encoder: str, purpose: str) -> Iterator[None]:
    """Tell as InputError what the libraries raise while they build for `purpose`, such as "label maps"."""
    try:
        if encoder not in ENCODERS:
            check_encoder(encoder)
    except ValueError as error:
        raise InputError(str(error)) from error
    if encoder.startswith(TIMM) and _sees_one_size_only(encoder):
        raise InputError(
            f"encoder '{encoder}' takes images of one size only, and photographs are padded to multiples of "
            "32; take one that does not, such as tu-convnext_tiny or mit_b2"
        )
    try:
        with warnings.catch_warnings():
            # encoders named 'timm-…' are called old; they are known as long as the library has them
            warnings.simplefilter("ignore", DeprecationWarning)
            yield
    # whatever a network of a thousand cannot: feature maps, dilated convolutions, another size of input
    except (ValueError, TypeError, KeyError, AttributeError, AssertionError, RuntimeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise InputError(
            f"encoder '{encoder}' cannot be had for {purpose} ({reason}); take another encoder or head"
        ) from error


def _sees_one_size_only(name: str) -> bool:
    from timm.models import get_pretrained_cfg

    known = get_pretrained_cfg(name.removeprefix(TIMM))
    return known is not None and known.fixed_input_size


def colours(name: str) -> tuple[Colour, Colour]:
    """Mean and deviation, of colours in [0, 1], that an encoder's ImageNet weights were trained with."""
    if name == EFFICIENTNET_LITE0:
        return (MEAN_PIXEL / 255,) * 3, (STD_PIXEL / 255,) * 3
    if name.startswith(TIMM):
        from timm.models import get_pretrained_cfg

        known = get_pretrained_cfg(name.removeprefix(TIMM))
        return (IMAGENET_MEAN, IMAGENET_STD) if known is None else (known.mean, known.std)
    for beginning, found in _COLOURS.items():
        if name.startswith(beginning):
            return found
    return IMAGENET_MEAN, IMAGENET_STD


def deepest(features: Tensor | list[Tensor]) -> Tensor:
    """The coarsest map of what either kind of encoder gives."""
    return features if isinstance(features, Tensor) else features[-1]
