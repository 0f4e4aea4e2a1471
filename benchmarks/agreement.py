"""Scores by the evaluation that comes with Cityscapes, by torchmetrics and by SegSPADE, side by side.

The predictions are the true maps shifted by some pixels with one pixel in twenty replaced at random, or
nothing but noise. Without folders the maps are Minicity's, whose objects are told apart as well.

    python benchmarks/agreement.py [--labels DIR --instances DIR] [--maps 15]
"""

from __future__ import annotations

import argparse
import contextlib
import copy
import io
import math
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from PIL import Image
from torchmetrics.functional.classification import multiclass_confusion_matrix

from segspade_core.config import MinicityConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.errors import InputError
from segspade_core.labels import IGNORE_ID, NUM_IDS, NUM_TRAIN_IDS, ids_to_train_ids
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.instance_iou import INSTANCE_CLASSES, iiou_per_class, instance_recalls
from segspade_core.metrics.segmentation import SegmentationScores

Truth = tuple[np.ndarray, np.ndarray]  # (H, W) uint8 label ids, (H, W) uint16 instance ids


def read(labels: Path, instances: Path, count: int) -> list[Truth]:
    """Maps of two folders in the official names."""
    files = sorted(labels.glob("*labelIds.png"))[:count]
    if not files:
        raise InputError(f"{labels}: no such folder, or no *labelIds.png in it")
    return [
        (
            np.array(Image.open(file)),
            np.array(Image.open(instances / file.name.replace("labelIds", "instanceIds"))).astype(np.uint16),
        )
        for file in files
    ]


def draw(count: int) -> list[Truth]:
    """Maps of Minicity."""
    config = MinicityConfig(train=count, val=0)
    samples = [draw_frame(config, "train", index).sample for index in range(count)]
    return [
        (sample.label_ids, sample.instance_ids)
        for sample in samples
        if sample.label_ids is not None and sample.instance_ids is not None
    ]


def predictions(truths: Sequence[Truth]) -> dict[str, list[np.ndarray]]:
    """(H, W) uint8 of each kind, one for each true map."""
    rng = np.random.default_rng(0)
    noise = [rng.integers(0, NUM_IDS, ids.shape, dtype=np.uint8) for ids, _ in truths]
    shifted = [
        np.where(rng.random(ids.shape) < 0.95, np.roll(ids, (3, 5), (0, 1)), other)
        for (ids, _), other in zip(truths, noise, strict=True)
    ]
    return {"shifted, with speckles": shifted, "noise": noise}


def by_official(truths: Sequence[Truth], predicted: Sequence[np.ndarray]) -> dict[str, Any]:
    """What the official evaluation returns for these maps as files."""
    setattr(np, "in1d", np.isin)  # noqa: B010  # NumPy 2.4 has it no more
    settings = copy.copy(official.args)
    settings.JSONOutput, settings.quiet = False, True
    with tempfile.TemporaryDirectory() as name, contextlib.redirect_stdout(io.StringIO()):
        files: list[list[str]] = [[], []]
        for index, ((label_ids, instance_ids), guess) in enumerate(zip(truths, predicted, strict=True)):
            stem = f"{name}/aachen_{index:06}_000019"
            Image.fromarray(label_ids).save(f"{stem}_gtFine_labelIds.png")
            Image.fromarray(instance_ids).save(f"{stem}_gtFine_instanceIds.png")
            Image.fromarray(guess).save(f"{stem}_predicted.png")
            files[0].append(f"{stem}_predicted.png")
            files[1].append(f"{stem}_gtFine_labelIds.png")
        found: dict[str, Any] = official.evaluateImgLists(*files, settings)
    return found


def by_torchmetrics(truths: Sequence[Truth], predicted: Sequence[np.ndarray]) -> np.ndarray:
    """(19,) IoU from the library's confusion matrix; what is no class is one more, of predictions alone."""
    matrix = torch.zeros(NUM_TRAIN_IDS + 1, NUM_TRAIN_IDS + 1, dtype=torch.int64)
    for (label_ids, _), guess in zip(truths, predicted, strict=True):
        target, seen = (ids_to_train_ids(ids).astype(np.int64) for ids in (label_ids, guess))
        maps = (torch.from_numpy(np.where(ids == IGNORE_ID, NUM_TRAIN_IDS, ids)) for ids in (seen, target))
        matrix += multiclass_confusion_matrix(
            *maps, num_classes=NUM_TRAIN_IDS + 1, ignore_index=NUM_TRAIN_IDS
        )
    hit = matrix.diag()
    return (hit.double() / (matrix.sum(0) + matrix.sum(1) - hit)).numpy()[:NUM_TRAIN_IDS]


def by_segspade(
    truths: Sequence[Truth], predicted: Sequence[np.ndarray]
) -> tuple[SegmentationScores, dict[str, float]]:
    """Scores over the 19 classes, and the iIoU of those that have objects."""
    confusion = np.zeros((NUM_IDS, NUM_IDS + 1), np.int64)
    recalls = instance_recalls(np.zeros((0, 0), np.uint16), np.zeros((0, 0), np.uint8))
    for (label_ids, instance_ids), guess in zip(truths, predicted, strict=True):
        confusion += confusion_of_ids(label_ids, guess)
        recalls += instance_recalls(instance_ids, guess)
    iiou = dict(zip(INSTANCE_CLASSES, iiou_per_class(confusion, recalls).tolist(), strict=True))
    return SegmentationScores.of_train_ids(confusion), iiou


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--labels", type=Path, help="folder of *labelIds.png; Minicity without")
    parser.add_argument("--instances", type=Path, help="folder of *instanceIds.png")
    parser.add_argument("--maps", type=int, default=15)
    asked = parser.parse_args()
    truths = draw(asked.maps)
    if asked.labels is not None:
        truths = read(asked.labels, asked.instances or asked.labels, asked.maps)
    for kind, predicted in predictions(truths).items():
        theirs, library = by_official(truths, predicted), by_torchmetrics(truths, predicted)
        scores, iiou = by_segspade(truths, predicted)
        print(f"\n{len(truths)} maps of {'x'.join(map(str, truths[0][0].shape))}, predictions: {kind}")
        columns = ("IoU: official", "torchmetrics", "segspade", "iIoU: official", "segspade")
        print(f"{'':14} " + " ".join(f"{column:>18}" for column in columns))
        apart = 0.0
        for name, of_library, ours in zip(scores.classes, library.tolist(), scores.iou.tolist(), strict=True):
            row = [theirs["classScores"][name], of_library, ours]
            of_objects = [theirs["classInstScores"].get(name, math.nan), iiou.get(name, math.nan)]
            print(f"{name:14} " + " ".join(f"{value:18.15f}" for value in row + of_objects))
            apart = max(
                [apart, *(abs(a - b) for a, b in ((row[0], ours), (of_objects[0], of_objects[1])) if a == a)]
            )
        means = [theirs["averageScoreClasses"], np.nanmean(library), scores.mean_iou]
        print(f"{'mean':14} " + " ".join(f"{value:18.15f}" for value in means))
        print(f"largest difference to the official evaluation: {apart:.1e}")


if __name__ == "__main__":
    main()
