"""Label maps → photographs, with a trained generator."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from segspade_core.errors import InputError
from segspade_core.spade.generator import Generator, check_size
from segspade_core.spade.semantics import build_semantics, instance_edges, instances_from_labels


def synthesize(
    generator: Generator,
    label_ids: Any,
    instance_ids: Any | None = None,
    device: torch.device | str = "cpu",
    batch: int = 1,
) -> np.ndarray:
    """Paint one photograph per label map.

    Args:
        generator: as loaded; it is not changed.
        label_ids: (N, H, W) uint8, anything that slices like an array.
        instance_ids: (N, H, W) integers; None takes connected components of the label ids.
        batch: maps read at a time. The network always sees one, so that no result depends on its neighbours:
            other batch sizes take other convolution kernels, which round differently.

    Returns:
        (N, H, W, 3) uint8.

    Raises:
        InputError: the maps' size does not suit the network, or the arrays do not fit each other.
    """
    count, height, width = label_ids.shape
    check_size(generator.architecture, height, width)
    if instance_ids is not None and tuple(instance_ids.shape) != (count, height, width):
        raise InputError(
            f"instance_ids have shape {tuple(instance_ids.shape)}, label_ids {tuple(label_ids.shape)}"
        )
    device = torch.device(device)
    network = generator.inference_copy().to(device)
    images = np.empty((count, height, width, 3), np.uint8)
    for start in range(0, count, batch):
        maps = np.asarray(label_ids[start : start + batch])
        instances = None if instance_ids is None else np.asarray(instance_ids[start : start + batch])
        for offset in range(len(maps)):
            of_map = None if instances is None else instances[offset]
            images[start + offset] = _paint(network, maps[offset], of_map, device)
    return images


@torch.inference_mode()
def _paint(
    network: Generator, label_ids: np.ndarray, instance_ids: np.ndarray | None, device: torch.device
) -> np.ndarray:
    """(H, W) label ids and instance ids → (H, W, 3) uint8."""
    edges: Tensor | None = None
    if network.architecture.instance_edges:
        instances = instances_from_labels(label_ids) if instance_ids is None else instance_ids
        edges = instance_edges(torch.from_numpy(instances.astype(np.int32))[None].to(device))
    maps = torch.from_numpy(np.ascontiguousarray(label_ids))[None].to(device)
    painted = network(build_semantics(maps, edges, network.architecture.num_labels))  # (1, 3, H, W)
    return to_uint8(painted)[0].permute(1, 2, 0).cpu().numpy()


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] → uint8 by (x + 1) / 2 * 255, rounded to the nearest."""
    return ((images.float() + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)
