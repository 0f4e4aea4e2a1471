"""Training samples → the tensors of one step, and the border where label ids are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segspade_core.config import SegmenterConfig
from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.augment import apply_colours, augment
from segspade_core.segmentation.class_weights import count_pixels
from segspade_core.segmentation.label_space import LabelSpace, targets_of
from segspade_core.training.distributed import processes, rank
from segspade_core.training.sampling import batch_indices, sample_rng, steps_per_epoch


@dataclass(frozen=True)
class Batch:
    """Samples of one step, on the CPU and small; floats are made on the device."""

    images: Tensor  # (B, H, W, 3) uint8
    targets: Tensor  # (B, H, W) uint8: classes, or 255
    colours: Tensor  # (B, 3, 4) float32

    @property
    def known(self) -> int:
        """Pixels that are not void."""
        return int((self.targets != IGNORE_ID).sum())

    def to(self, device: torch.device) -> tuple[Tensor, Tensor]:
        """Images (B, 3, H, W) float32 in [0, 1] with their colours changed, and targets, on `device`."""
        # a GPU copies from pinned memory by itself, in the order of its other work, and torch keeps the
        # memory for as long; from other memory nothing is copied behind our back
        behind = device.type == "cuda"
        images, targets, colours = (
            tensor.to(device, non_blocking=behind) for tensor in (self.images, self.targets, self.colours)
        )
        return apply_colours(images, colours), targets

    def pinned(self) -> Batch:
        """The same in memory that a GPU can copy from by itself."""
        return Batch(self.images.pin_memory(), self.targets.pin_memory(), self.colours.pin_memory())


@dataclass(frozen=True)
class LabelledImages:
    """Sliceable arrays of one split: photographs (N, H, W, 3) uint8 and label ids (N, H, W) uint8."""

    split: str
    images: Any
    label_ids: Any
    num_classes: int
    label_space: LabelSpace = "ids"

    def __len__(self) -> int:
        return len(self.images)

    def check(self) -> None:
        """Raise InputError unless there is something, and the arrays belong together."""
        if not len(self.images):
            raise InputError(f"no samples to train a segmenter with: the {self.split} split is empty")
        shape = tuple(self.images.shape)
        if len(shape) != 4 or shape[3] != 3 or self.images.dtype != np.uint8:
            raise InputError(
                f"{self.split} photographs are {shape} {self.images.dtype}; they must be (N, H, W, 3) uint8"
            )
        if tuple(self.label_ids.shape) != shape[:3]:
            raise InputError(
                f"{self.split} label_ids have shape {tuple(self.label_ids.shape)}, the photographs {shape}"
            )

    def sample(self, index: int) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
        """Photograph (H, W, 3) and targets (H, W): classes, with 255 for everything that is not learned.

        Raises:
            InputError: an id is neither a class nor void; no such id reaches the loss.
        """
        return np.asarray(self.images[index]), self._targets(index)

    def _targets(self, index: int) -> npt.NDArray[np.uint8]:
        label_ids = np.asarray(self.label_ids[index])
        targets = targets_of(label_ids, self.label_space)
        strays = np.unique(targets[(targets >= self.num_classes) & (targets != IGNORE_ID)])
        if strays.size:
            count = int((targets == strays[0]).sum())
            remedy = f"map it to {IGNORE_ID} if it means void"
            if self.label_space == "ids":
                remedy = f"raise segmenter.num_classes above it, or {remedy}"
            raise InputError(
                f"{self.split} sample {index}: label id {strays[0]} ({count} of {targets.size} pixels) is "
                f"none of the {self.num_classes} classes; {remedy}"
            )
        return targets

    def class_counts(self) -> Tensor:
        """(num_classes,) int64: pixels of each class in all the label maps.

        Raises:
            InputError: as `sample`; or every pixel is void.
        """
        targets = (self._targets(index) for index in range(len(self)))
        counts = count_pixels(targets, self.num_classes)
        if not counts.any():
            raise InputError(f"{self.split} split: every pixel is void, so there is nothing to learn")
        return counts

    def updates(self, config: SegmenterConfig) -> int:
        """Updates an epoch; the last may be of fewer batches than the others."""
        return steps_per_epoch(steps_per_epoch(len(self), config.batch), config.accumulate)

    def batches(self, config: SegmenterConfig, epoch: int, update: int) -> tuple[Batch, ...]:
        """The batches of one update of an epoch, both from 0, in order: as `batch`.

        Raises:
            InputError: as `sample`.
        """
        first = update * config.accumulate
        stop = min(first + config.accumulate, steps_per_epoch(len(self), config.batch))
        return tuple(self.batch(config, epoch, step) for step in range(first, stop))

    def batch(self, config: SegmenterConfig, epoch: int, step: int) -> Batch:
        """This process's share of batch `step` of `epoch`, both from 0: a function of position alone.

        Of a last batch, the first processes may have one sample more than the others: none is left out or
        counted twice, but where there are fewer samples than processes.

        Raises:
            InputError: as `sample`.
        """
        samples = []
        indices = batch_indices(len(self), config.batch, config.seed, epoch, step, at_least=processes())
        for index in np.array_split(indices, processes())[rank()].tolist():
            random = sample_rng(config.seed, epoch, index)
            samples.append(augment(*self.sample(index), config.augment, random))
        return Batch(
            images=torch.from_numpy(np.stack([sample.image for sample in samples])),
            targets=torch.from_numpy(np.stack([sample.label_ids for sample in samples])),
            colours=torch.from_numpy(np.stack([sample.colour for sample in samples])),
        )
