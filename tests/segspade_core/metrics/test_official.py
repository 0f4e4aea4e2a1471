"""The evaluation that comes with Cityscapes, on the same files: every number of its tables."""

from __future__ import annotations

import copy
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cityscapesscripts.evaluation import evalPixelLevelSemanticLabeling as official
from cityscapesscripts.helpers import labels as official_labels
from PIL import Image

from segspade_core.labels import NAMES, NUM_IDS, TRAIN_NAMES, by_name
from segspade_core.metrics.confusion import confusion_of_ids
from segspade_core.metrics.instance_iou import (
    AVERAGE_SIZE_PX,
    INSTANCE_CATEGORIES,
    INSTANCE_CLASSES,
    iiou_per_category,
    iiou_per_class,
    instance_recalls,
)
from segspade_core.metrics.ratios import mean_of_known
from segspade_core.metrics.segmentation import SegmentationScores

ABSENT, ONLY_PREDICTED = "train", "bus"


def draw(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(64, 96) label ids, instance ids and predicted ids; groups, caravans and void among them."""
    surroundings = [id for id in range(NUM_IDS) if id < 24]
    label_ids = np.repeat(np.repeat(rng.choice(surroundings, (8, 12)), 8, 0), 8, 1).astype(np.uint8)
    instance_ids = label_ids.astype(np.uint16)
    objects = [id for id in range(24, NUM_IDS) if NAMES[id] not in (ABSENT, ONLY_PREDICTED)]
    for number, id in enumerate(rng.choice(objects, 14)):
        top, left, height, width = rng.integers((0, 0, 1, 1), (60, 90, 24, 24))
        area = slice(top, top + height), slice(left, left + width)
        label_ids[area] = id
        instance_ids[area] = id if number % 5 == 0 else id * 1000 + number
    predictable = [id for id in range(NUM_IDS) if NAMES[id] != ABSENT]
    predicted = np.roll(label_ids, rng.integers(-3, 4, 2), (0, 1))
    noise = rng.choice(predictable, label_ids.shape)
    return label_ids, instance_ids, np.where(rng.random(label_ids.shape) < 0.8, predicted, noise)


def evaluate(
    folder: Path, images: Sequence[tuple[np.ndarray, ...]], monkeypatch: pytest.MonkeyPatch
) -> dict[str, Any]:
    """What the official evaluation returns for these maps; it prints its tables."""
    predictions, truths = [], []
    for number, maps in enumerate(images):
        name = f"aachen_{number:06}_000019"
        paths = [
            folder / f"{name}_{kind}.png" for kind in ("gtFine_labelIds", "gtFine_instanceIds", "predicted")
        ]
        for path, array, dtype in zip(paths, maps, (np.uint8, np.uint16, np.uint8), strict=True):
            Image.fromarray(array.astype(dtype)).save(path)
        truths.append(str(paths[0]))
        predictions.append(str(paths[2]))
    # NumPy 2.4 has it no more
    monkeypatch.setattr(np, "in1d", np.isin, raising=False)
    settings = copy.copy(official.args)
    settings.JSONOutput, settings.colorized, settings.bold, settings.nocol = False, False, "", ""
    return official.evaluateImgLists(predictions, truths, settings)


def by(names: Sequence[str], values: np.ndarray) -> dict[str, float]:
    return dict(zip(names, values.tolist(), strict=True))


def table(iou: dict[str, float], iiou: dict[str, float]) -> list[str]:
    """Lines as the official evaluation prints them, and the line of the averages."""
    lines = [f"{name:<14}: {iou[name]:>5.3f}    {iiou.get(name, math.nan):>5.3f}" for name in iou]
    means = [mean_of_known(np.array(list(values.values()))) for values in (iou, iiou)]
    return [*lines, f"Score Average : {means[0]:5.3f}    {means[1]:5.3f}"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_agrees_with_the_official_evaluation(
    seed: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Peer. Catches ignored labels counted, caravans lost from their category, groups taken for instances,
    sizes of the wrong class, and a class's false positives weighted."""
    rng = np.random.default_rng(seed)
    images = [draw(rng) for _ in range(3)]
    wanted = evaluate(tmp_path, images, monkeypatch)

    confusion = np.zeros((NUM_IDS, NUM_IDS + 1), np.int64)
    recalls = instance_recalls(np.zeros((0, 0), np.uint16), np.zeros((0, 0), np.uint8))
    for label_ids, instance_ids, predicted in images:
        confusion += confusion_of_ids(label_ids, predicted)
        recalls += instance_recalls(instance_ids, predicted)
    scores = SegmentationScores.of_train_ids(confusion)
    iou = by(scores.classes, scores.iou)
    category_iou = by(scores.categories, scores.category_iou)
    iiou = by(INSTANCE_CLASSES, iiou_per_class(confusion, recalls))
    category_iiou = by(INSTANCE_CATEGORIES, iiou_per_category(confusion, recalls))

    same = {"rel": 0, "abs": 0, "nan_ok": True}
    close = {"rel": 1e-11, "abs": 0, "nan_ok": True}  # sums of fractions, in another order
    assert iou == pytest.approx({name: wanted["classScores"][name] for name in TRAIN_NAMES}, **same)
    del wanted["categoryScores"]["void"]
    assert category_iou == pytest.approx(wanted["categoryScores"], **same)
    assert iiou == pytest.approx({name: wanted["classInstScores"][name] for name in iiou}, **close)
    assert category_iiou == pytest.approx(
        {name: wanted["categoryInstScores"][name] for name in category_iiou}, **close
    )
    assert scores.mean_iou == pytest.approx(wanted["averageScoreClasses"], rel=1e-14)
    assert scores.mean_category_iou == pytest.approx(wanted["averageScoreCategories"], rel=1e-14)
    for own, key in ((iiou, "averageScoreInstClasses"), (category_iiou, "averageScoreInstCategories")):
        assert mean_of_known(np.array(list(own.values()))) == pytest.approx(wanted[key], rel=1e-11)
    printed = [line.strip() for line in capsys.readouterr().out.splitlines()]
    for line in [*table(iou, iiou), *table(category_iou, category_iiou)]:
        assert line in printed
    # the maps are of use: some classes have scores between, one none, one nothing but false positives
    assert scores.absent == (ABSENT,)
    assert math.isnan(iiou[ABSENT])
    assert iou[ONLY_PREDICTED] == iiou[ONLY_PREDICTED] == 0
    assert 0 < iiou["car"] != iou["car"]


def test_facts_are_the_official_ones() -> None:
    """Catches a mistyped size, and a class missing from the sizes or from a category."""
    scored = [label for label in official_labels.labels if label.hasInstances and not label.ignoreInEval]
    assert {label.name: official.args.avgClassSize[label.name] for label in scored} == AVERAGE_SIZE_PX
    for label in official_labels.labels:
        if label.name in by_name and label.id >= 0:
            assert (label.category, label.categoryId) == (
                by_name[label.name].category,
                by_name[label.name].category_id,
            )
    assert list(INSTANCE_CATEGORIES) == list(official.generateInstanceStats(official.args)["categories"])
