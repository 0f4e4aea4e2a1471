"""Photographs → label maps, with a trained segmenter."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from segspade_core.config import LookConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.choice import choose, confidence_of
from segspade_core.segmentation.frame_loss import FrameLoss
from segspade_core.segmentation.looks import averaged_probs
from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.windows import blended_rows


def predict(
    model: Segmenter,
    images: Any,
    device: torch.device | str = "cpu",
    look: LookConfig | None = None,
    confidence: npt.NDArray[np.uint8] | None = None,
    true_maps: Any = None,
    losses: npt.NDArray[np.floating] | None = None,
) -> npt.NDArray[np.uint8]:
    """Predict the label map of every photograph.

    Void is never predicted: it means that nobody knows, so it is always wrong in the scores, and the
    generator has nothing to paint for it. Nor is a class that the network was never taught.

    The network sees one photograph at a time, so that no result
    depends on its neighbours: other batch sizes take other convolution kernels, which round differently.

    Args:
        model: in any mode; it is moved to `device` and its mode is left as it was.
        images: (N, H, W, 3) uint8 of any height and width, anything that slices like an array.
        look: through windows, mirrored, at several scales; none is one look at the whole photograph. With
            windows the other looks are taken through each of them.
        confidence: (N, H, W) uint8, filled in where given: 255 times the probability of what is predicted,
            among all that could be, rounded.
        true_maps: (N, H, W) uint8 label ids, anything that slices like an array; for `losses`.
        losses: (N,) float, filled in where given: the mean cross-entropy of each photograph's pixels, as
            `FrameLoss` takes it.

    Returns:
        (N, H, W) uint8 label ids, also where the network was trained on train ids.

    Raises:
        InputError: the images have another shape or type.
    """
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[3] != 3 or images.dtype != np.uint8:
        raise InputError(f"images are {shape} {images.dtype}; a segmenter takes (N, H, W, 3) uint8")
    device = torch.device(device)
    label_ids = np.empty(shape[:3], np.uint8)
    training = model.training
    # channels last, as in training: the same kernels, so validation and prediction round alike
    model.to(device, memory_format=torch.channels_last).eval()  # type: ignore[call-overload]
    try:
        for index in range(len(label_ids)):
            of_one = None if confidence is None else confidence[index]
            loss = None
            if losses is not None:
                loss = FrameLoss(np.asarray(true_maps[index]), model.label_space, model.untaught)
            image = np.asarray(images[index])
            _predict_one(model, image, device, look or LookConfig(), label_ids[index], of_one, loss)
            if losses is not None and loss is not None:
                losses[index] = loss.mean
    finally:
        model.train(training)
    return label_ids


@torch.inference_mode()
def _predict_one(
    model: Segmenter,
    image: npt.NDArray[np.uint8],
    device: torch.device,
    look: LookConfig,
    label_ids: npt.NDArray[np.uint8],
    confidence: npt.NDArray[np.uint8] | None,
    loss: FrameLoss | None,
) -> None:
    """(H, W, 3) uint8 → `label_ids` and `confidence`, (H, W) uint8, which are filled in, and `loss`."""
    one_look = not look.flip and look.scales == (1.0,)

    def scores(image: npt.NDArray[np.uint8]) -> Tensor:
        """(h, w, 3) uint8 → (1, C, h, w): of one look alone the logits, whose order is that of the probs."""
        if one_look and look.windows is None:
            return score(model, image, device)
        return averaged_probs(model, _pixels(image, device), look.scales, look.flip)

    def fill(rows: slice, scores: Tensor, are_logits: bool) -> None:
        """(1, C, rows, W) scores → those rows of the maps."""
        never = model.label_space, model.untaught
        label_ids[rows] = choose(scores, *never)[0].cpu().numpy()
        if loss is not None:
            loss.add(rows, scores, are_logits)
        if confidence is not None:
            # last: it overwrites the scores
            confidence[rows] = confidence_of(scores, are_logits, *never)[0].cpu().numpy()

    if look.windows is None:
        fill(slice(None), scores(image), one_look)
        return

    def through_window(top: int, bottom: int, left: int, right: int) -> Tensor:
        return scores(image[top:bottom, left:right])[0]

    height, width = label_ids.shape
    for top, strip in blended_rows(through_window, height, width, look.windows):
        fill(slice(top, top + strip.shape[1]), strip[None], are_logits=False)


@torch.inference_mode()
def score(model: Segmenter, image: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 → (1, C, H, W) float32 logits on `device`."""
    logits: Tensor = model(_pixels(image, device))
    return logits


def _pixels(image: npt.NDArray[np.uint8], device: torch.device) -> Tensor:
    """(H, W, 3) uint8 → (1, 3, H, W) float32 in [0, 1] on `device`."""
    pixels = torch.from_numpy(np.ascontiguousarray(image))[None].to(device)
    return pixels.permute(0, 3, 1, 2).float() / 255
