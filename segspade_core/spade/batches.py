"""Training samples → the tensors of one step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from segspade_core.config import GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.generator import check_size
from segspade_core.spade.semantics import (
    check_label_ids,
    instance_edges,
    instances_from_labels,
    one_hot_semantics,
)
from segspade_core.training.distributed import check_shares, processes, rank
from segspade_core.training.sampling import batch_indices, sample_rng, sample_seed


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on the CPU."""

    images: Tensor  # (B, 3, H, W) float32 in [-1, 1]
    label_ids: Tensor  # (B, H, W) uint8
    edges: Tensor | None  # (B, H, W) bool
    conditions: dict[str, Tensor]  # 'city', 'time_of_day' → (B,) int64; -1 where unknown
    seeds: tuple[int, ...]  # B numbers for what is drawn of each sample

    def semantics(self, num_labels: int, device: torch.device) -> Tensor:
        """(B, S, H, W) float32 on `device`; the one-hot channels are made there, for they are the bulk."""
        edges = None if self.edges is None else self.edges.to(device)
        return one_hot_semantics(self.label_ids.to(device), edges, num_labels)


@dataclass(frozen=True)
class TrainingData:
    """Sliceable arrays: photographs (N, H, W, 3) uint8, label ids (N, H, W) uint8, instance ids or None.

    `conditions` has a column of N names for 'city' and 'time_of_day' where the dataset knows them.
    """

    images: Any
    label_ids: Any
    instance_ids: Any | None
    conditions: Mapping[str, Sequence[str | None]] = field(default_factory=dict)

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
        check_shares(config.batch)

    def named(self, config: GeneratorConfig) -> GeneratorConfig:
        """`config` with the cities and times of day that painting will be steered by, as the data has them.

        Raises:
            InputError: a condition is asked for that the dataset does not know.
        """
        found: dict[str, tuple[str, ...]] = {"cities": (), "times_of_day": ()}
        for condition in config.conditions:
            names = sorted({name for name in self.conditions.get(condition, ()) if name})
            if not names:
                raise InputError(
                    f"conditions: the dataset knows no {condition} of its samples; leave '{condition}' out"
                )
            found["cities" if condition == "city" else "times_of_day"] = tuple(names)
        return config.model_copy(update={"generator": config.generator.model_copy(update=found)})

    def batch(self, config: GeneratorConfig, epoch: int, step: int) -> Batch:
        """This process's share of batch `step` of `epoch`, both from 0: a function of position alone.

        Args:
            config: of `named`.
        """
        order = batch_indices(len(self.images), config.batch, config.seed, epoch, step, processes())
        share = len(order) // processes()
        return self.samples(config, epoch, [int(index) for index in order[rank() * share :][:share]])

    def samples(self, config: GeneratorConfig, epoch: int, indices: list[int]) -> Batch:
        """These samples, augmented as in `epoch`."""
        samples = [self._sample(config, epoch, index) for index in indices]
        images, label_ids, edges = zip(*samples, strict=True)
        labels = torch.from_numpy(np.stack(label_ids))
        check_label_ids(labels, config.generator.num_labels)
        return Batch(
            images=torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2).float() / 127.5 - 1,
            label_ids=labels,
            edges=torch.cat(edges) if config.generator.instance_edges else None,
            conditions=self._conditions(config, indices),
            seeds=tuple(sample_seed(config.seed, epoch, index) for index in indices),
        )

    def _conditions(self, config: GeneratorConfig, indices: list[int]) -> dict[str, Tensor]:
        known = {"city": config.generator.cities, "time_of_day": config.generator.times_of_day}
        return {
            condition: torch.tensor(
                [
                    names.index(name) if (name := self.conditions[condition][index]) in names else -1
                    for index in indices
                ]
            )
            for condition, names in known.items()
            if names
        }

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
