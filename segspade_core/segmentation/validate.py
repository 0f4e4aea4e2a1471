"""Loss and scores of a segmenter on a split, made as the stages `segment` and `score` make them."""

from __future__ import annotations

import numpy as np
import torch

from segspade_core.errors import InputError
from segspade_core.metrics.confusion import confusion_matrix, mean_iou, pixel_accuracy
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.choice import choose_classes
from segspade_core.segmentation.label_space import unpredicted
from segspade_core.segmentation.loss import cross_entropy
from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.prediction import score
from segspade_core.training.distributed import processes, rank, summed, summed_numbers


def validate(model: Segmenter, data: LabelledImages, device: torch.device) -> dict[str, float]:
    """Score the model in evaluation mode, in float32 and one photograph at a time, as `predict` does.

    Several processes share the photographs, and all of them return the scores of all.

    Returns:
        val_loss, the mean over all pixels that are not void; val_miou and val_pixel_accuracy in [0, 1], over
        the classes that the model tells apart: all label ids, or the 19 of the official score.

    Raises:
        InputError: a label id is neither class nor void, or every pixel is void.
    """
    model.eval()
    confusion = np.zeros((model.num_classes, model.num_classes), np.int64)
    loss = 0.0
    for index in range(rank(), len(data), processes()):
        image, targets = data.sample(index)
        logits = score(model, image, device)
        total, chosen = _loss_and_choice(logits, targets, model, device)
        loss += total
        confusion += confusion_matrix(targets, chosen, model.num_classes, void=unpredicted(model.label_space))
    (loss,) = summed_numbers([loss], device)
    confusion = summed(torch.from_numpy(confusion).to(device)).cpu().numpy()
    pixels = int(confusion.sum())
    if not pixels:
        raise InputError(f"{data.split} split: every pixel is void, so no epoch can be told from another")
    return {
        "val_loss": loss / pixels,
        "val_miou": mean_iou(confusion),
        "val_pixel_accuracy": pixel_accuracy(confusion),
    }


@torch.inference_mode()
def _loss_and_choice(
    logits: torch.Tensor, targets: np.ndarray, model: Segmenter, device: torch.device
) -> tuple[float, np.ndarray]:
    """Sum of the loss over known pixels, and the (H, W) uint8 classes chosen."""
    known = torch.from_numpy(targets)[None].to(device)
    mean = cross_entropy(logits, known).item()
    chosen = choose_classes(logits, model.label_space, model.untaught)[0].cpu().numpy()
    return mean * int((targets != 255).sum()), chosen
