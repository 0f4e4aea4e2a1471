"""A class that no training map has is never predicted, and whoever goes on from the weights knows of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from segspade_core.config import AugmentConfig, LookConfig, SegmenterConfig
from segspade_core.config.optimisation import AveragingConfig
from segspade_core.errors import InputError, WeightsError
from segspade_core.segmentation import SegmenterResult, load_segmenter, predict, train_segmenter
from segspade_core.training.checkpoint import MemoryCheckpoints, pack_weights, read_metadata, unpack_weights

pytestmark = pytest.mark.usefixtures("tiny_encoder")
CONFIG = SegmenterConfig(
    encoder="resnet18", weights="none", num_classes=9, epochs=1, batch=2, augment=AugmentConfig(flip=0),
    average=AveragingConfig(),
)  # fmt: skip
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
# 0, 2 and 3 are void
LABEL_IDS = RANDOM.choice([0, 4, 7, 8], (4, 64, 96)).astype(np.uint8)
UNTAUGHT = [1, 5, 6]


def train(config: SegmenterConfig = CONFIG, label_ids: np.ndarray = LABEL_IDS) -> SegmenterResult:
    return train_segmenter(
        config, IMAGES, label_ids, IMAGES, label_ids,
        checkpoints=MemoryCheckpoints(), checkpoint_every_steps=100,
    )  # fmt: skip


def preferring(content: bytes, wanted: int) -> bytes:
    """The same segmenter with scores in which one class is the highest everywhere, and 4 comes next."""
    entries = unpack_weights(content)[0]
    entries["classifier.weight"].zero_()
    entries["classifier.bias"].zero_()[[4, wanted]] = torch.tensor([50.0, 100.0])
    return pack_weights(entries, read_metadata(content))


@pytest.mark.parametrize("look", [LookConfig(), LookConfig(flip=True)])
def test_it_is_never_predicted_even_where_its_score_is_the_highest(look: LookConfig) -> None:
    """Fault: pixels of trains in a dataset without any, each a class of IoU 0 in the mean."""
    result = train()
    assert read_metadata(result.best)["untaught"] == read_metadata(result.last)["untaught"] == UNTAUGHT
    for wanted in range(9):
        model = load_segmenter(preferring(result.last, wanted))
        confidence = np.zeros(LABEL_IDS.shape, np.uint8)
        found = set(np.unique(predict(model, IMAGES, look=look, confidence=confidence)).tolist())
        assert found == {wanted if wanted in (4, 7, 8) else 4}
        assert confidence.min() > 0, "probabilities are among what can be chosen"


def test_validation_never_sees_it_either(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the best epoch is one in which no such pixel happened to be predicted."""
    content = preferring(train().last, 5)
    path = "segspade_core.segmentation.state.start_from"

    def start_from(model: torch.nn.Module, weights: str) -> set[int]:
        model.load_state_dict(unpack_weights(content)[0])
        return set()

    monkeypatch.setattr(path, start_from)
    still = CONFIG.optimiser.model_copy(update={"lr": 1e-12})
    result = train(CONFIG.model_copy(update={"optimiser": still}))
    # of three classes, the first of which is predicted everywhere
    share = (LABEL_IDS == 4).sum() / (LABEL_IDS != 0).sum()
    assert result.history.epochs[0]["val_pixel_accuracy"] == pytest.approx(share)
    assert result.history.epochs[0]["val_miou"] == pytest.approx(share / 3)


def test_what_was_taught_before_stays_taught(tmp_path: Path) -> None:
    """Fault: a training that goes on with new frames forgets a class that these do not show."""
    file = tmp_path / "before.safetensors"
    file.write_bytes(train().last)
    after = np.where(LABEL_IDS == 8, np.uint8(6), LABEL_IDS)
    went_on = train(CONFIG.model_copy(update={"weights": str(file)}), after)
    assert read_metadata(went_on.last)["untaught"] == [1, 5]
    # another head is new, and knows what it is taught alone
    other = train(CONFIG.model_copy(update={"weights": str(file), "num_classes": 10}), after)
    assert read_metadata(other.last)["untaught"] == [1, 5, 8, 9]


def test_where_everything_is_void_there_is_nothing_to_learn() -> None:
    """Fault: hours of training for a network that knows no class at all."""
    with pytest.raises(InputError, match="train split: every pixel is void, so there is nothing to learn"):
        train(label_ids=np.zeros_like(LABEL_IDS))


def test_files_from_before_are_taught_everything_and_wrong_ones_are_refused() -> None:
    result = train()
    metadata = read_metadata(result.last)
    entries = unpack_weights(result.last)[0]
    del metadata["untaught"]
    assert load_segmenter(pack_weights(entries, metadata)).untaught == ()
    for wrong in ([9], [-1], "all", list(range(9))):
        with pytest.raises(WeightsError, match="its metadata says that it was not taught"):
            load_segmenter(pack_weights(entries, {**metadata, "untaught": wrong}), "a file")
