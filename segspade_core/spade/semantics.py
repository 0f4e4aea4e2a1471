"""Label maps and instance ids → the channels that SPADE is conditioned on."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID, INSTANCE_IDS, VOID_IDS


def one_hot_semantics(label_ids: Tensor, num_labels: int) -> Tensor:
    """One channel per label id.

    Args:
        label_ids: (B, H, W) integers 0..255. Void ids, 255, and ids that the network has no channel for
            go to channel 0, so that every pixel has exactly one channel.
        num_labels: S, the number of channels.

    Returns:
        (B, S, H, W) float32 of zeros and ones, laid out channels_last.
    """
    channels = _channel_table(num_labels).to(label_ids.device)[label_ids.long()]  # (B, H, W)
    return F.one_hot(channels, num_labels).float().permute(0, 3, 1, 2)


def _channel_table(num_labels: int) -> Tensor:
    """(256,) int64: label id → channel."""
    table = torch.arange(256)
    table[num_labels:] = 0
    table[list(VOID_IDS)] = 0
    table[IGNORE_ID] = 0
    return table


def instance_edges(instance_ids: Tensor) -> Tensor:
    """Where instances meet: 1 on both sides of every change between 4-neighbours, else 0.

    Args:
        instance_ids: (B, H, W) integers.

    Returns:
        (B, 1, H, W) float32.

    Source: Wang et al., "High-Resolution Image Synthesis ... with Conditional GANs", CVPR 2018, section 3.3.
    """
    edges = torch.zeros(instance_ids.shape, dtype=torch.bool, device=instance_ids.device)
    beside = instance_ids[:, :, 1:] != instance_ids[:, :, :-1]
    below = instance_ids[:, 1:] != instance_ids[:, :-1]
    edges[:, :, 1:] |= beside
    edges[:, :, :-1] |= beside
    edges[:, 1:] |= below
    edges[:, :-1] |= below
    return edges[:, None].float()


def instances_from_labels(label_ids: np.ndarray) -> np.ndarray:
    """Instance ids where nobody annotated any, such as for predicted maps.

    Args:
        label_ids: (H, W) uint8.

    Returns:
        (H, W) int32 in Cityscapes' manner: the label id itself, or label id * 1000 + k for the k-th
        4-connected component (from 0, in reading order) of a class that has instances.
    """
    instance_ids = label_ids.astype(np.int32)
    for label_id in np.intersect1d(label_ids, INSTANCE_IDS):
        components, _ = ndimage.label(label_ids == label_id)
        inside = components > 0
        instance_ids[inside] = int(label_id) * 1000 + components[inside] - 1
    return instance_ids


def build_semantics(label_ids: Tensor, edges: Tensor | None, num_labels: int) -> Tensor:
    """What a generator takes: (B, S, H, W) float32, the one-hot labels and then, if given, the edges.

    Args:
        label_ids: (B, H, W) integers.
        edges: (B, 1, H, W) float32 of `instance_edges`, for networks with that channel.
    """
    semantics = one_hot_semantics(label_ids, num_labels)
    return semantics if edges is None else torch.cat([semantics, edges], dim=1)


def shrink_semantics(semantics: Tensor, factor: int) -> Tensor:
    """(B, S, H, W) → (B, S, H / factor, W / factor): the top-left pixel of every factor x factor square.

    Nearest, because a blend of two one-hot vectors would be a class that does not exist; top-left, because
    the published network was trained so.
    """
    if factor == 1:
        return semantics
    return semantics[..., ::factor, ::factor].contiguous(memory_format=torch.channels_last)
