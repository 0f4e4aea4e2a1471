"""Updates of several batches: the step of the joined batch, and every batch once, also over a crash."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.losses import FocalConfig
from segspade_core.config.optimisation import AveragingConfig, PolySchedule, SGDConfig
from segspade_core.segmentation import SegmenterResult, train_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.training.checkpoint import MemoryCheckpoints, unpack_weights
from segspade_core.training.events import TrainingStopped

CONFIG = SegmenterConfig(
    encoder="resnet18", weights="none", num_classes=9, epochs=3, batch=2, accumulate=2,
    augment=AugmentConfig(crop=(64, 64), scale=(0.8, 1.2)), optimiser=SGDConfig(lr=0.1, clip_norm=5.0),
    schedule=PolySchedule(), average=AveragingConfig(), seed=3,
)  # fmt: skip
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(4, 9, (7, 64, 96), dtype=np.uint8)
# known pixels are few in some samples and many in others: a mean of means is another number
for _index in range(7):
    LABEL_IDS[_index, : 8 * _index] = 0
STEPS = 6  # of 4 batches an epoch, in two updates


@pytest.fixture
def without_batch_norm(tiny_encoder: None, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Batch norm is the one layer to which two batches are not one of twice the size."""
    import torchvision

    real = torchvision.models.get_model

    def get_model(name: str, weights: Any = None) -> nn.Module:
        network: nn.Module = real(name, weights)
        network.bn1 = nn.Identity()
        for layer in ("layer1", "layer2", "layer3", "layer4"):
            network.get_submodule(layer)[1] = nn.Identity()
        return network

    with monkeypatch.context() as patch:
        patch.setattr("torchvision.models.get_model", get_model)
        yield


def train(
    config: SegmenterConfig, store: MemoryCheckpoints | None = None, samples: int = 7, **more: Any
) -> SegmenterResult:
    store = MemoryCheckpoints() if store is None else store
    return train_segmenter(
        config, IMAGES[:samples], LABEL_IDS[:samples], IMAGES[:2], LABEL_IDS[:2],
        checkpoints=store, checkpoint_every_steps=1, **more,
    )  # fmt: skip


def set_to(**values: Any) -> SegmenterConfig:
    return CONFIG.model_copy(update=values)


@pytest.mark.usefixtures("without_batch_norm")
@pytest.mark.parametrize(("batch", "accumulate"), [(2, 2), (1, 4)])
@pytest.mark.parametrize("loss", [CONFIG.loss, (FocalConfig(),)], ids=["cross-entropy", "focal"])
def test_several_batches_are_one_of_their_size(batch: int, accumulate: int, loss: Any) -> None:
    """Fault: a sum or a mean of means for the mean over pixels; a rate for each batch; the last part lost."""
    # of six: a batch of a single sample would borrow another one
    joined = train(set_to(batch=4, accumulate=1, loss=loss), samples=6)
    parts = train(set_to(batch=batch, accumulate=accumulate, loss=loss), samples=6)
    assert len(joined.history.steps) == len(parts.history.steps) == STEPS
    for one, other in zip(joined.history.steps, parts.history.steps, strict=True):
        assert one == pytest.approx(other, rel=1e-4)
    one, other = (unpack_weights(result.last)[0] for result in (joined, parts))
    for name, weight in one.items():
        torch.testing.assert_close(other[name], weight, rtol=1e-4, atol=1e-5)
    # and this test would see a difference: the weights moved by far more
    assert joined.history.steps[0]["loss"] != pytest.approx(joined.history.steps[-1]["loss"], rel=1e-2)


@pytest.mark.usefixtures("tiny_encoder")
def test_every_batch_is_taken_once_and_a_stop_changes_no_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a stop between two batches of an update loses the first's gradient, or takes a batch twice."""
    made: list[tuple[int, int]] = []
    real = LabelledImages.batch

    def batch(self: LabelledImages, config: SegmenterConfig, epoch: int, step: int) -> Any:
        made.append((epoch, step))
        return real(self, config, epoch, step)

    monkeypatch.setattr(LabelledImages, "batch", batch)
    unbroken = train(CONFIG)
    assert made == [(epoch, step) for epoch in range(3) for step in range(4)]
    assert [(row["epoch"], row["step"]) for row in unbroken.history.steps] == [
        (epoch, step) for epoch in (1, 2, 3) for step in (1, 2)
    ]
    for steps in range(1, STEPS):
        store, asked = MemoryCheckpoints(), iter(range(1, 100))
        with pytest.raises(TrainingStopped):
            train(CONFIG, store, should_stop=lambda asked=asked, steps=steps: next(asked) == steps)
        made.clear()
        resumed = train(CONFIG, store)
        assert made == [(epoch, step) for epoch in range(3) for step in range(4)][2 * steps :]
        assert (resumed.last, resumed.best) == (unbroken.last, unbroken.best)
        assert resumed.history == unbroken.history


@pytest.mark.usefixtures("tiny_encoder")
def test_schedules_count_updates() -> None:
    rows = train(CONFIG).history.epochs
    assert [row["lr"] for row in rows] == pytest.approx([0.1 * (1 - n / 6) ** 0.9 for n in (1, 3, 5)])


@pytest.mark.usefixtures("tiny_encoder")
def test_more_batches_an_update_than_there_are_make_one_of_all() -> None:
    result = train(set_to(accumulate=100))
    assert [row["step"] for row in result.history.steps] == [1, 1, 1]


@pytest.mark.usefixtures("tiny_encoder")
def test_batches_in_which_all_is_void_move_nothing() -> None:
    """Fault: 0 / 0."""
    void = np.zeros_like(LABEL_IDS)
    void[0] = 7
    store = MemoryCheckpoints()
    result = train_segmenter(
        set_to(epochs=1, optimiser=SGDConfig(weight_decay=0.0)), IMAGES, void,
        checkpoints=store, checkpoint_every_steps=1,
    )  # fmt: skip
    losses = sorted(row["loss"] for row in result.history.steps)
    assert losses[0] == 0 < losses[1] < 10


def test_keys_stay_and_updates_of_several_batches_have_their_own() -> None:
    assert "accumulate" not in SegmenterConfig().model_dump(mode="json")
    assert SegmenterConfig(**CONFIG.model_dump(mode="json")) == CONFIG
    assert CONFIG.model_dump(mode="json")["accumulate"] == 2
