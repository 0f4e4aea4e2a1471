"""torchvision's ImageNet weights: from torch hub's cache, else from the network, else a clear error."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import urllib.request
from pathlib import Path

import torch
import torchvision

from segspade_core.errors import WeightsError

# of every single answer of the server, not of the whole download; without it a dead network hangs for ever
_TIMEOUT_S = 20.0


def imagenet_weights(encoder: str) -> tuple[bytes, str]:
    """The file of torchvision's IMAGENET1K_V1 weights, and where it lies.

    V1 also for ResNet-50, whose V2 is the better classifier: torchvision's own segmentation networks start
    from V1.

    Raises:
        WeightsError: it is not in the cache and cannot be downloaded, or is damaged.
    """
    url = torchvision.models.get_model_weights(encoder)["IMAGENET1K_V1"].url
    name = url.rpartition("/")[2]
    path = Path(torch.hub.get_dir()) / "checkpoints" / name
    if not path.is_file():
        _download(url, path, encoder)
    content = path.read_bytes()
    # torchvision's names end in the first eight digits of the digest
    digest = name.rpartition("-")[2].removesuffix(".pth")
    if not hashlib.sha256(content).hexdigest().startswith(digest):
        raise WeightsError(
            f"{path}: damaged, or another file of this name: its sha256 does not start with {digest}; remove "
            "it, and it is downloaded again"
        )
    return content, str(path)


def _download(url: str, path: Path, encoder: str) -> None:
    """Fetch to a file beside `path` and rename, so that no half a file is ever taken for the whole."""
    part = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with (
            urllib.request.urlopen(url, timeout=_TIMEOUT_S) as answer,
            tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file,
        ):
            part = file.name
            shutil.copyfileobj(answer, file)
        os.replace(part, path)
        part = None
    except OSError as error:  # URLError and timeouts are OSErrors
        raise WeightsError(
            f"imagenet weights of {encoder}: {url} cannot be downloaded ({error}). Three ways out: fetch "
            f"that file where there is a network and put it at {path}; or set segmenter.weights to the path "
            "of a file of weights; or set it to 'none' to train from scratch"
        ) from error
    finally:
        if part is not None:
            os.unlink(part)
