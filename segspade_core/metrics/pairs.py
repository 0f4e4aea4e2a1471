"""How alike two images of one scene are: SSIM and PSNR by torchmetrics, and a difference of features."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.functional.image import (
    peak_signal_noise_ratio,
    structural_similarity_index_measure,
)

LEVELS = 255.0
SSIM_SIGMA, SSIM_K1, SSIM_K2 = 1.5, 0.01, 0.03
SSIM_WINDOW_PX = 11  # what torchmetrics makes of that sigma


@torch.inference_mode()
def ssim(first: Tensor, second: Tensor) -> float:
    """Structural similarity of two images, (1, 3, H, W) float32 in [0, 255]: in [-1, 1], 1 for the same.

    The mean over all pixels and the three channels, with borders reflected.

    Source: Wang et al., "Image Quality Assessment: From Error Visibility to Structural Similarity", IEEE TIP
    2004, equation 13. There the borders are left out, and grey images compared.
    """
    found = structural_similarity_index_measure(
        first, second, gaussian_kernel=True, sigma=SSIM_SIGMA, data_range=LEVELS, k1=SSIM_K1, k2=SSIM_K2
    )
    assert isinstance(found, Tensor)
    return float(found)


@torch.inference_mode()
def psnr_db(first: Tensor, second: Tensor) -> float:
    """Peak signal-to-noise ratio of two images, (…, 3, H, W) in [0, 255], in decibels; inf for the same."""
    return float(peak_signal_noise_ratio(first, second, data_range=LEVELS))


@torch.inference_mode()
def feature_difference(first: Sequence[Tensor], second: Sequence[Tensor]) -> float:
    """LPIPS without the weights fitted to what people say: in [0, 4], 0 for the same features.

    At every place of every layer the features are scaled to unit length; the squared distance is averaged
    over places, and then over layers.

    Args:
        first: the layers' features of one image, each (1, C_i, H_i, W_i).
        second: those of the other.

    Source: Zhang et al., CVPR 2018, equation 1 with w = 1, and the mean over layers instead of the sum.
    """
    distances = [
        (F.normalize(a, dim=1) - F.normalize(b, dim=1)).square().sum(1).mean()
        for a, b in zip(first, second, strict=True)
    ]
    return float(torch.stack(distances).mean())
