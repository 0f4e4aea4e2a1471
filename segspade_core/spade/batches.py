"""Training samples → the tensors of one step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segspade_core.config import GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.generator import check_size
from segspade_core.spade.semantics import build_semantics, instance_edges, instances_from_labels
from segspade_core.training.sampling import batch_indices, sample_rng


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on the CPU."""

    images: Tensor  # (B, 3, H, W) float32 in [-1, 1]
    label_ids: Tensor  # (B, H, W) uint8
    edges: Tensor | None  # (B, 1, H, W) float32

    def semantics(self, num_labels: int, device: torch.device) -> Tensor:
        """(B, S, H, W) float32 on `device`; the one-hot channels are made there, for they are the bulk."""
        edges = None if self.edges is None else self.edges.to(device)
        return build_semantics(self.label_ids.to(device), edges, num_labels)


@dataclass(frozen=True)
class TrainingData:
    """Sliceable arrays: photographs (N, H, W, 3) uint8, label ids (N, H, W) uint8, instance ids or None."""

    images: Any
    label_ids: Any
    instance_ids: Any | None

    def check(self, config: GeneratorConfig) -> None:
        """Raise InputError unless the arrays belong together and suit the network."""
        shape = tuple(self.images.shape[:3])
        if not shape[0]:
            raise InputError("no samples to train a generator on: the train split is empty")
        for name, array in (("label_ids", self.label_ids), ("instance_ids", self.instance_ids)):
            if array is not None and tuple(array.shape) != shape:
                raise InputError(
                    f"{name} have shape {tuple(array.shape)}, the photographs {tuple(self.images.shape)}"
                )
        height, width = config.crop or shape[1:]
        check_size(config.generator, height, width)
        if height > shape[1] or width > shape[2]:
            raise InputError(
                f"generator.crop {height}x{width} is larger than the photographs, {shape[1]}x{shape[2]}; "
                "make it smaller, or ingest at a larger size"
            )

    def batch(self, config: GeneratorConfig, epoch: int, step: int) -> Batch:
        """Batch `step` of `epoch`, both from 0: a function of config and position alone."""
        indices = batch_indices(len(self.images), config.batch, config.seed, epoch, step)
        samples = [self._sample(config, epoch, int(index)) for index in indices]
        images, label_ids, edges = zip(*samples, strict=True)
        return Batch(
            images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1,
            label_ids=torch.from_numpy(np.stack(label_ids)),
            edges=torch.cat(edges) if config.generator.instance_edges else None,
        )

    def _sample(
        self, config: GeneratorConfig, epoch: int, index: int
    ) -> tuple[np.ndarray, np.ndarray, Tensor | None]:
        image, label_ids = np.asarray(self.images[index]), np.asarray(self.label_ids[index])
        edges = None
        if config.generator.instance_edges:
            instances = (
                self.instance_ids[index]
                if self.instance_ids is not None
                else instances_from_labels(label_ids)
            )
            edges = instance_edges(torch.from_numpy(np.asarray(instances).astype(np.int32))[None])
        rng = sample_rng(config.seed, epoch, index)
        if rng.random() < config.flip:
            image, label_ids = image[:, ::-1], label_ids[:, ::-1]
            edges = None if edges is None else edges.flip(-1)
        if config.crop is not None:
            # edges are of the whole frame: the rim of a crop is no edge
            top, left = (
                int(rng.integers(whole - part + 1))
                for whole, part in zip(label_ids.shape, config.crop, strict=True)
            )
            rows, columns = slice(top, top + config.crop[0]), slice(left, left + config.crop[1])
            image, label_ids = image[rows, columns], label_ids[rows, columns]
            edges = None if edges is None else edges[..., rows, columns]
        return image, label_ids, edges
