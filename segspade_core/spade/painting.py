"""Label maps → photographs, with a trained generator."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from segspade_core.errors import InputError
from segspade_core.spade.fast import FastGenerator
from segspade_core.spade.generator import SpadeGenerator, check_size
from segspade_core.spade.semantics import (
    described,
    instance_edges,
    instances_from_labels,
    one_hot_semantics,
)
from segspade_core.training.device import autocast


class Painter:
    """A generator made ready to paint label maps, one at a time.

    The fast form on the CPU; elsewhere the dense form, since the fast one was measured on processors alone.
    """

    def __init__(
        self,
        generator: SpadeGenerator,
        device: torch.device | str = "cpu",
        method: Literal["fast", "dense"] = "fast",
        precision: Literal["fp32", "bf16"] = "fp32",
        keep_tables: bool = False,
    ) -> None:
        """Prepare a copy of `generator`, which is not changed.

        Args:
            generator: trained.
            device: where to paint.
            method, precision: as `PaintConfig` has them.
            keep_tables: of the fast form, from map to map: for who changes a map and paints it again.
                Without, no picture depends on those before it, not even in its last bit.

        Raises:
            InputError: this processor cannot compute in `precision`.
        """
        self.architecture = generator.architecture
        self.device, self.precision = torch.device(device), precision
        self._fast: FastGenerator | None = None
        if method == "fast" and self.device.type == "cpu":
            dtype = torch.bfloat16 if precision == "bf16" else torch.float32
            self._fast = FastGenerator(generator, dtype, keep_tables)
        else:
            self._dense = generator.inference_copy().to(self.device)

    @torch.inference_mode()
    def paint(
        self, label_ids: np.ndarray, instance_ids: np.ndarray | None = None, code: Tensor | None = None
    ) -> np.ndarray:
        """One photograph.

        Args:
            label_ids: (H, W) uint8.
            instance_ids: (H, W) integers; None takes connected components of the label ids.
            code: (Z,) of `painting_codes`; None is the mean style, under no particular condition.

        Returns:
            (H, W, 3) uint8.

        Raises:
            InputError: the map does not suit the network, or what it painted is not finite.
        """
        if label_ids.ndim != 2:
            raise InputError(f"label_ids are {described(label_ids)}; one map (H, W) is painted at a time")
        edges: Tensor | None = None
        if self.architecture.instance_edges:
            instances = instances_from_labels(label_ids) if instance_ids is None else instance_ids
            edges = instance_edges(torch.from_numpy(instances.astype(np.int32))[None].to(self.device))
        maps = torch.from_numpy(np.ascontiguousarray(label_ids))[None].to(self.device)
        codes = None if code is None else code[None].to(self.device)
        if self._fast is not None:
            painted = self._fast(maps, edges, codes)  # (1, 3, H, W)
        else:
            semantics = one_hot_semantics(maps, edges, self.architecture.num_labels)
            with autocast(self.device, self.precision):
                painted = self._dense(semantics, codes)
        if not painted.isfinite().all():
            raise InputError(
                "the generator painted numbers that are not finite: its weights are damaged, or too large to "
                "compute with; take an earlier checkpoint of it"
            )
        return to_uint8(painted)[0].permute(1, 2, 0).cpu().numpy()


def synthesize(
    painter: Painter, label_ids: Any, instance_ids: Any | None = None, codes: Tensor | None = None
) -> np.ndarray:
    """Paint one photograph per label map.

    The network sees one map at a time, so that no result depends on its neighbours: other batch sizes take
    other kernels, which round differently.

    Args:
        label_ids: (N, H, W) uint8, anything that slices like an array.
        instance_ids: (N, H, W) integers; None takes connected components of the label ids.
        codes: (N, Z) of `painting_codes`, where the generator knows style or conditions.

    Returns:
        (N, H, W, 3) uint8.

    Raises:
        InputError: the maps' size does not suit the network, an id has no channel, or the arrays do not fit
            each other; or what the generator painted is not finite.
    """
    if len(label_ids.shape) != 3:
        raise InputError(f"label_ids have shape {tuple(label_ids.shape)}; expected (N, H, W)")
    count, height, width = label_ids.shape
    check_size(painter.architecture, height, width)
    if instance_ids is not None and tuple(instance_ids.shape) != (count, height, width):
        raise InputError(
            f"instance_ids have shape {tuple(instance_ids.shape)}, label_ids {tuple(label_ids.shape)}"
        )
    images = np.empty((count, height, width, 3), np.uint8)
    for index in range(count):
        images[index] = painter.paint(
            np.asarray(label_ids[index]),
            None if instance_ids is None else np.asarray(instance_ids[index]),
            None if codes is None else codes[index],
        )
    return images


def to_uint8(images: Tensor) -> Tensor:
    """[-1, 1] → uint8 by (x + 1) / 2 * 255, rounded to the nearest."""
    return ((images.float() + 1) / 2 * 255).round().clamp(0, 255).to(torch.uint8)
