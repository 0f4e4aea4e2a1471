"""Training on the 19 classes of the official score: what is learned, predicted, scored, and written down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from segspade_core.config import AugmentConfig, LookConfig, SegmenterConfig, WindowsConfig
from segspade_core.config.optimisation import AdamConfig
from segspade_core.errors import InputError, WeightsError
from segspade_core.labels import LABELS, NUM_IDS
from segspade_core.metrics.confusion import confusion_of_train_ids, mean_iou, pixel_accuracy
from segspade_core.metrics.segmentation import SegmentationScores
from segspade_core.segmentation import (
    Segmenter,
    SegmenterResult,
    load_segmenter,
    pack_segmenter,
    predict,
    train_segmenter,
)
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.choice import choose, choose_classes
from segspade_core.segmentation.label_space import ids_of, targets_of
from segspade_core.segmentation.weights import start_from
from segspade_core.training.checkpoint import MemoryCheckpoints, pack_weights, read_metadata

pytestmark = pytest.mark.usefixtures("tiny_encoder")

OFFICIAL = {label.id for label in LABELS if label.train_id != 255}
CONFIG = SegmenterConfig(
    encoder="resnet18", weights="none", label_space="train_ids", epochs=2, batch=2,
    augment=AugmentConfig(scale=(0.5, 1.5), crop=(64, 64)), optimiser=AdamConfig(lr=1e-2), seed=1,
)  # fmt: skip
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (3, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = np.append(RANDOM.integers(0, NUM_IDS, (3, 64, 95)), np.full((3, 64, 1), 255), 2).astype(np.uint8)


def train(config: SegmenterConfig = CONFIG, label_ids: Any = LABEL_IDS) -> SegmenterResult:
    return train_segmenter(
        config, IMAGES, label_ids, IMAGES, label_ids,
        checkpoints=MemoryCheckpoints(), checkpoint_every_steps=100,
    )  # fmt: skip


def test_targets_follow_the_table_and_come_back() -> None:
    """Fault: void or an unscored label taught as road; a class that comes back as another. Peer: the rows."""
    every = np.arange(NUM_IDS, dtype=np.uint8)
    classes = targets_of(every, "train_ids")
    assert classes.tolist() == [label.train_id for label in LABELS[:NUM_IDS]]
    scored = classes != 255
    back = ids_of(torch.from_numpy(classes[scored]), "train_ids").numpy()
    np.testing.assert_array_equal(back, every[scored])
    assert targets_of(np.array([0, 2, 3, 255, 7, 40], np.uint8), "ids").tolist() == [255] * 4 + [7, 40]
    assert ids_of(torch.tensor([7, 40]), "ids").tolist() == [7, 40]


def test_road_is_no_void() -> None:
    """Fault: void's label ids forbidden among train ids, where they are road, building and wall."""
    logits = torch.full((1, 19, 1, 19), -1.0)
    logits[0, range(19), 0, range(19)] = 1.0
    assert choose_classes(logits.clone(), "train_ids").flatten().tolist() == list(range(19))
    assert set(choose(logits.clone(), "train_ids").flatten().tolist()) == OFFICIAL
    assert not {0, 2, 3} & set(choose(logits, "ids").flatten().tolist())


def test_predictions_are_label_ids_of_the_19_and_validation_is_the_official_score() -> None:
    """Fault: train ids stored as label ids, or scores over 34. Peer: segspade_core.metrics on label ids."""
    result = train()
    model = load_segmenter(result.last)
    assert (model.num_classes, model.label_space) == (19, "train_ids")
    predicted = predict(model, IMAGES)
    assert set(np.unique(predicted)) <= OFFICIAL
    assert len(np.unique(predicted)) > 1
    confusion = confusion_of_train_ids(LABEL_IDS, predicted)
    row = result.history.epochs[-1]
    assert row["val_miou"] == mean_iou(confusion) == SegmentationScores.of_train_ids(confusion).mean_iou
    assert row["val_pixel_accuracy"] == pixel_accuracy(confusion)
    assert 0 < row["val_miou"] < 1


def test_every_way_of_looking_predicts_label_ids() -> None:
    """Fault: windows or mirrored looks that forget what the classes are."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 19, "fcn32", "train_ids").eval()
    for look in (LookConfig(flip=True), LookConfig(windows=WindowsConfig(size="64x64", overlap=0.25))):
        found = set(np.unique(predict(model, IMAGES, look=look)))
        assert found
        assert found <= OFFICIAL


def test_what_is_learned_is_predicted_as_its_label_id() -> None:
    """Fault: a table off by one between training and prediction. Sky, car, and a label that is not scored."""
    label_ids = np.full((3, 64, 96), 23, np.uint8)
    of_two = np.zeros((3, 64, 96, 3), np.uint8)
    label_ids[:, :, 48:], of_two[:, :, 48:] = 26, 255
    label_ids[:, :8] = 4  # static: stored, and never learned here
    config = CONFIG.model_copy(update={"epochs": 30, "batch": 3, "augment": AugmentConfig()})
    result = train_segmenter(
        config, of_two, label_ids, checkpoints=MemoryCheckpoints(), checkpoint_every_steps=100
    )
    predicted = predict(load_segmenter(result.last), of_two)
    assert (predicted == label_ids)[:, 8:].mean() > 0.85
    assert not (predicted == 4).any()


def test_the_file_says_what_its_classes_are(tmp_path: Path) -> None:
    """Fault: 19 label ids read as train ids; files of label ids that change for nothing."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 19, label_space="train_ids")
    content = pack_segmenter(model)
    assert read_metadata(content)["label_space"] == "train_ids"
    assert pack_segmenter(load_segmenter(content)) == content
    plain = pack_segmenter(Segmenter("resnet18", 19))
    assert "label_space" not in read_metadata(plain)
    assert load_segmenter(plain).label_space == "ids"
    # a head counts only for the classes that it was trained on
    path = tmp_path / "model.safetensors"
    for start, same in ((content, True), (plain, False)):
        path.write_bytes(start)
        fresh = Segmenter("resnet18", 19, label_space="train_ids")
        start_from(fresh, str(path))
        given = load_segmenter(start)
        assert torch.equal(fresh.encoder.conv1.weight, given.encoder.conv1.weight)
        assert torch.equal(fresh.classifier.weight, given.classifier.weight) is same


@pytest.mark.parametrize(("space", "classes"), [("categories", 19), ("train_ids", 34), (3, 19)])
def test_classes_that_nobody_knows_are_refused(space: Any, classes: int) -> None:
    about = {"kind": "segmenter", "encoder": "resnet18", "num_classes": classes, "label_space": space}
    content = pack_weights(Segmenter("resnet18", classes).state_dict(), about)
    with pytest.raises(
        WeightsError, match=rf"^a file: its {classes} classes are said to be '{space}', which"
    ):
        load_segmenter(content, "a file")


def test_ids_of_no_table_are_refused_and_not_taken_for_unscored() -> None:
    """Fault: a colour map, or ids of another table, trained on as if it were void."""
    strange = LABEL_IDS.copy()
    strange[1, :2, :3] = 77
    with pytest.raises(
        InputError, match=r"label id 77 \(6 of 6144 pixels\) is none of the 19 classes; map it"
    ):
        LabelledImages("train", IMAGES, strange, 19, "train_ids").sample(1)


def test_the_number_of_classes_follows() -> None:
    assert CONFIG.num_classes == 19
    assert SegmenterConfig(label_space="train_ids", num_classes=19) == SegmenterConfig(
        label_space="train_ids"
    )
    with pytest.raises(
        ValidationError, match=r"segmenter\.num_classes 34: with label_space train_ids there are 19; leave it"
    ):
        SegmenterConfig(label_space="train_ids", num_classes=34)


def test_keys_of_label_ids_stay_and_train_ids_have_their_own() -> None:
    stored = SegmenterConfig().model_dump(mode="json")
    assert "label_space" not in stored
    chosen = CONFIG.model_dump(mode="json")
    assert (chosen["label_space"], chosen["num_classes"]) == ("train_ids", 19)
    assert SegmenterConfig(**chosen) == CONFIG
