"""Label maps and instance ids → the channels that SPADE is conditioned on."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID, INSTANCE_IDS

_INTEGERS = {
    torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32, torch.int64,
}  # fmt: skip


def one_hot_semantics(label_ids: Tensor, instance_edges: Tensor | None, num_labels: int) -> Tensor:
    """What a generator takes: one channel per label id, and one for instance edges.

    Args:
        label_ids: (B, H, W) integers 0..num_labels - 1, each its own channel, or 255, which counts as 0
            (unlabeled): the published network has no channel for it.
        instance_edges: (B, H, W) bool; None leaves the last channel out, for networks that have none.
        num_labels: label channels, 1 or more.

    Returns:
        (B, S, H, W) float32 of zeros and ones, laid out channels_last; S is num_labels, plus 1 for edges.

    Raises:
        InputError: an id has no channel, or the maps or edges are of another shape or dtype.

    Source: the published pre-processing, as Park et al., CVPR 2019, section 3 describes it.
    """
    check_label_ids(label_ids, num_labels)
    if instance_edges is not None:
        check_instance_edges(instance_edges, label_ids)
    batch, height, width = label_ids.shape
    channels = num_labels + (instance_edges is not None)
    semantics = torch.zeros(batch, height, width, channels, device=label_ids.device)
    semantics.scatter_(3, label_channels(label_ids)[..., None], 1.0)
    if instance_edges is not None:
        semantics[..., -1] = instance_edges
    return semantics.permute(0, 3, 1, 2)


def label_channels(label_ids: Tensor) -> Tensor:
    """Label ids, any shape → int64 channels of the same shape; 255 goes to channel 0."""
    channels = label_ids.long()
    return channels.masked_fill(channels == IGNORE_ID, 0)


def check_label_ids(label_ids: Tensor, num_labels: int) -> None:
    """Raise InputError unless these are (B, H, W) integers, each of which has a channel, or is 255."""
    if num_labels < 1:
        raise InputError(f"num_labels is {num_labels}; a generator knows 1 label or more")
    check_maps("label_ids", label_ids)
    # wide before anything is compared: in int8, 255 is -1
    found = label_channels(label_ids)
    if found.numel() and (int(found.max()) >= num_labels or int(found.min()) < 0):
        strange = torch.unique(found[(found >= num_labels) | (found < 0)])[:5].tolist()
        raise InputError(
            f"the label maps hold the ids {', '.join(map(str, strange))}; this generator knows 0 to "
            f"{num_labels - 1}, and 255 for void. Map them to ids that it knows, or take a generator of "
            "more labels"
        )


def check_maps(name: str, maps: object) -> None:
    """Raise InputError unless `maps` are a tensor (B, H, W) of integers; `name` is 'label_ids' or alike."""
    if not isinstance(maps, Tensor) or maps.ndim != 3 or maps.dtype not in _INTEGERS:
        raise InputError(
            f"{name} are {described(maps)}; {name.replace('_', ' ')} are integers, in a tensor of shape "
            "(B, H, W), B being 1 for a single map"
        )


def check_instance_edges(edges: object, label_ids: Tensor) -> None:
    """Raise InputError unless `edges` are bool, of the same shape as `label_ids`, (B, H, W)."""
    if not isinstance(edges, Tensor) or edges.dtype != torch.bool:
        raise InputError(
            f"instance_edges are {described(edges)}; they are bool, in a tensor of shape (B, H, W), as the "
            "function instance_edges makes them of instance ids"
        )
    if edges.shape != label_ids.shape:
        raise InputError(
            f"instance_edges have shape {tuple(edges.shape)}, label_ids {tuple(label_ids.shape)}"
        )


def described(value: object) -> str:
    """What was given, in a few words for messages: type, shape and dtype."""
    if not isinstance(value, (Tensor, np.ndarray)):
        return f"of type {type(value).__name__}"
    kind = "tensor" if isinstance(value, Tensor) else "numpy array"
    return f"a {kind} of shape {tuple(value.shape)} and {value.dtype}"


def instance_edges(instance_ids: Tensor) -> Tensor:
    """Where instances meet: both sides of every change between 4-neighbours.

    Args:
        instance_ids: (B, H, W) integers.

    Returns:
        (B, H, W) bool.

    Raises:
        InputError: the ids are of another shape, or no integers.

    Source: Wang et al., "High-Resolution Image Synthesis ... with Conditional GANs", CVPR 2018, section 3.3.
    """
    check_maps("instance_ids", instance_ids)
    edges = torch.zeros(instance_ids.shape, dtype=torch.bool, device=instance_ids.device)
    beside = instance_ids[:, :, 1:] != instance_ids[:, :, :-1]
    below = instance_ids[:, 1:] != instance_ids[:, :-1]
    edges[:, :, 1:] |= beside
    edges[:, :, :-1] |= beside
    edges[:, 1:] |= below
    edges[:, :-1] |= below
    return edges


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


def shrink_semantics(semantics: Tensor, factor: int) -> Tensor:
    """(B, S, H, W) → (B, S, H / factor, W / factor): the top-left pixel of every factor x factor square.

    Nearest, because a blend of two one-hot vectors would be a class that does not exist; top-left, because
    the published network was trained so.
    """
    if factor == 1:
        return semantics
    return semantics[..., ::factor, ::factor].contiguous(memory_format=torch.channels_last)
