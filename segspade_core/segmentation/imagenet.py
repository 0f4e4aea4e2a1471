"""torchvision's ImageNet weights: from torch hub's cache, else from the network, else a clear error."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
import torchvision

from segspade_core.errors import WeightsError
from segspade_core.training.download import download, named_digest

REMEDY = "set segmenter.weights to the path of a file of weights; or set it to 'none' to train from scratch"
OR_ANOTHER = f"{REMEDY}; or take the encoder efficientnet-lite0, whose weights install as a package"


def imagenet_weights(encoder: str, remedy: str = OR_ANOTHER) -> tuple[bytes, str]:
    """The file of torchvision's IMAGENET1K_V1 weights, and where it lies.

    V1 also for ResNet-50, whose V2 is the better classifier: torchvision's own segmentation networks start
    from V1.

    Args:
        encoder: torchvision's name of the network, such as 'resnet34' or 'vgg19'.
        remedy: what else to set, for the message where nothing can be downloaded.

    Raises:
        WeightsError: it is not in the cache and cannot be downloaded, or is damaged.
    """
    url = torchvision.models.get_model_weights(encoder)["IMAGENET1K_V1"].url
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        try:
            download(url, path)
        except OSError as error:  # URLError and timeouts are OSErrors
            raise WeightsError(
                f"imagenet weights of {encoder}: {url} cannot be downloaded ({error}). Ways out: fetch "
                f"that file where there is a network and put it at {path}; or {remedy}"
            ) from error
    content = path.read_bytes()
    digest = named_digest(name)
    if not hashlib.sha256(content).hexdigest().startswith(digest):
        raise WeightsError(
            f"{path}: damaged, or another file of this name: its sha256 does not start with {digest}; remove "
            "it, and it is downloaded again"
        )
    return content, str(path)
