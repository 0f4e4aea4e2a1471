"""The Inception network that FID and KID are defined by, as torch-fidelity has it, from a file of weights."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import nn
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from segspade_core.errors import WeightsError
from segspade_core.training.weights_file import read_entries

_LAYER = "2048"
# of images in one pass: enough for the matrix kernels, and little memory
_BATCH = 8


def load_inception(content: bytes, source: str) -> nn.Module:
    """The network in evaluation mode on the CPU: (B, 3, H, W) uint8 → one tensor (B, 2048) float32.

    It resizes to 299x299 itself, bilinear without antialiasing, as TensorFlow 1 did.

    Args:
        content: of the published file, or of another with the same entries.
        source: where it comes from, for messages.

    Raises:
        WeightsError: it is no plain file of tensors, or they do not fit.
    """
    entries, _ = read_entries(content, source, "inception")
    # torch-fidelity unpickles whatever it is given: so it is given tensors that were read safely
    safe = io.BytesIO()
    torch.save(entries, safe)
    safe.seek(0)
    try:
        network: nn.Module = FeatureExtractorInceptionV3("inception", [_LAYER], safe)
    except RuntimeError as error:
        raise WeightsError(
            f"{source}: not the Inception network of FID ({str(error).splitlines()[-1].strip()}); "
            "torchvision's Inception is another network. Give the file that torch-fidelity publishes"
        ) from error
    return network


@torch.inference_mode()
def inception_features(
    network: nn.Module, images: npt.NDArray[np.uint8], device: torch.device
) -> npt.NDArray[Any]:
    """(N, H, W, 3) uint8 → (N, 2048) float32."""
    found = []
    for start in range(0, len(images), _BATCH):
        batch = torch.from_numpy(np.ascontiguousarray(images[start : start + _BATCH])).to(device)
        found.append(network(batch.permute(0, 3, 1, 2))[0].cpu().numpy())
    return np.concatenate(found)
