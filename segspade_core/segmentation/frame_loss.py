"""How wrong a segmenter is about one photograph: the mean cross-entropy of its pixels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional as F

from segspade_core.labels import IGNORE_ID
from segspade_core.segmentation.label_space import LabelSpace, bars, targets_of, unpredicted

# Every fourth row and column: neighbours are about as wrong, and all pixels would be felt beside the network.
STEP = 4
# of a probability, so that a pixel whose class rounds to probability 0 counts much, and not infinitely
_LEAST = 1e-30


class FrameLoss:
    """Sums -log p of the true class over the pixels of one photograph, strip by strip.

    p is among the classes that can be chosen. Void does not count, nor what the network was never taught.
    """

    def __init__(
        self, true_map: npt.NDArray[np.uint8], space: LabelSpace = "ids", untaught: Sequence[int] = ()
    ) -> None:
        """`true_map`: (H, W) uint8 label ids, also where the network was trained on train ids."""
        targets = targets_of(np.ascontiguousarray(true_map[::STEP, ::STEP]), space)
        self._never = space, tuple(untaught)
        barred = np.isin(targets, (*unpredicted(space), *untaught))
        self._targets = torch.from_numpy(np.where(barred, np.uint8(IGNORE_ID), targets))
        self._total = 0.0

    @torch.inference_mode()
    def add(self, rows: slice, scores: Tensor, are_logits: bool) -> None:
        """Count a strip.

        Args:
            rows: of the photograph; together the strips make it up.
            scores: (1, C, rows, W) logits or probs.
        """
        start, stop, _ = rows.indices(STEP * len(self._targets))
        first = -(-start // STEP)
        targets = self._targets[first : -(-stop // STEP)].to(scores.device)
        picked = scores[:, :, first * STEP - start :: STEP, ::STEP]
        if not are_logits:
            picked = picked.clamp_min(_LEAST).log()
        picked = picked + bars(picked.shape[1], *self._never).to(picked)[:, None, None]
        # pixels first, as the network's output often lies in memory: much faster there
        pixels = picked.permute(0, 2, 3, 1).reshape(-1, picked.shape[1])
        ids = targets.reshape(-1).long()
        self._total += float(F.cross_entropy(pixels, ids, ignore_index=IGNORE_ID, reduction="sum"))

    @property
    def mean(self) -> float:
        """In nats a pixel; NaN where no pixel counts."""
        count = int((self._targets != IGNORE_ID).sum())
        return self._total / count if count else float("nan")
