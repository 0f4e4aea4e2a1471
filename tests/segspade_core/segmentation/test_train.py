"""The training loop: resumes to the same bytes, stops when asked, chooses the best, never swallows a NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.optimisation import AdamConfig, AdamWConfig, PolySchedule
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.metrics.confusion import confusion_of_ids, mean_iou, pixel_accuracy
from segspade_core.segmentation import SegmenterResult, load_segmenter, predict, train_segmenter
from segspade_core.segmentation.state import TrainingState
from segspade_core.training.checkpoint import MemoryCheckpoints, read_metadata, unpack_state
from segspade_core.training.events import EpochEvent, StepEvent, TrainingStopped

pytestmark = pytest.mark.usefixtures("tiny_encoder")

CONFIG = SegmenterConfig(
    encoder="resnet18",
    weights="none",
    num_classes=9,
    epochs=3,
    batch=2,
    optimiser=AdamWConfig(lr=1e-2, weight_decay=1e-2),
    schedule=PolySchedule(),
    augment=AugmentConfig(crop=(64, 64), scale=(0.5, 2.0), brightness=0.4, contrast=0.4, saturation=0.4),
    seed=3,
)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(0, 9, (5, 64, 96), dtype=np.uint8)
VAL_IMAGES, VAL_LABEL_IDS = IMAGES[:2, :40], np.full((2, 40, 96), 7, np.uint8)
VAL_LABEL_IDS[:, :, 50:], VAL_LABEL_IDS[0, :9] = 8, 3
STEPS = 9


def train(
    config: SegmenterConfig = CONFIG,
    store: MemoryCheckpoints | None = None,
    images: np.ndarray = IMAGES,
    label_ids: np.ndarray = LABEL_IDS,
    val: tuple[Any, Any] = (VAL_IMAGES, VAL_LABEL_IDS),
    every: int = 1000,
    **more: Any,
) -> SegmenterResult:
    store = MemoryCheckpoints() if store is None else store
    return train_segmenter(
        config, images, label_ids, *val, device="cpu", checkpoints=store, checkpoint_every_steps=every, **more
    )


def stop_after(steps: int) -> Callable[[], bool]:
    count = 0

    def should_stop() -> bool:
        nonlocal count
        count += 1
        return count == steps

    return should_stop


class Killed(BaseException):
    pass


@pytest.fixture(scope="module")
def unbroken(tiny_encoder: None) -> SegmenterResult:
    return train()


@pytest.mark.parametrize("steps", range(1, STEPS))
def test_a_stopped_run_goes_on_to_the_same_bytes(unbroken: SegmenterResult, steps: int) -> None:
    """Fault: a moment of Adam lost or laid out otherwise, batch statistics, the order or a draw forgotten."""
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(store=store, should_stop=stop_after(steps))
    torch.manual_seed(1234)  # whatever the next process starts with
    resumed = train(store=store)
    assert resumed.last == unbroken.last
    assert resumed.best == unbroken.best
    assert resumed.history == unbroken.history


@pytest.mark.parametrize("every", [1, 2, 1000])
@pytest.mark.parametrize("steps", [2, 3, 4])
def test_reading_a_step_behind_changes_nothing(
    unbroken: SegmenterResult, steps: int, every: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: on a GPU, the loss of the last step before a checkpoint, a stop or a validation is lost."""
    monkeypatch.setattr("segspade_core.segmentation.train._AHEAD", {"cpu": 1})
    store, told = MemoryCheckpoints(), []
    with pytest.raises(TrainingStopped):
        train(store=store, every=every, should_stop=stop_after(steps), on_event=told.append)
    resumed = train(store=store, every=every, on_event=told.append)
    assert resumed.last == unbroken.last
    assert resumed.history == unbroken.history
    at = [event.step if isinstance(event, StepEvent) else "epoch" for event in told]
    assert at == [1, 2, 3, "epoch"] * 3


def test_a_run_killed_at_any_save_goes_on_to_the_same_bytes(unbroken: SegmenterResult) -> None:
    """Fault: 'best' and 'last' at odds when a crash lies between the two, or an epoch's row twice."""

    class DiesAfter(MemoryCheckpoints):
        def __init__(self, saves: int) -> None:
            super().__init__()
            self.left = saves

        def save(self, name: str, content: bytes) -> None:
            super().save(name, content)
            self.left -= 1
            if not self.left:
                raise Killed

    for saves in range(1, 30):
        store = DiesAfter(saves)
        try:
            train(store=store, every=1)
            break
        except Killed:
            resumed = train(store=store)
        assert (resumed.last, resumed.best) == (unbroken.last, unbroken.best), saves
        assert resumed.history == unbroken.history
    else:
        pytest.fail("it was never left to finish")
    assert saves > STEPS  # 'last' at every step, and 'best' too


def test_how_often_it_saves_changes_nothing_and_what_is_done_is_not_done_again(
    unbroken: SegmenterResult,
) -> None:
    store = MemoryCheckpoints()
    assert train(store=store, every=2).last == unbroken.last
    events: list[Any] = []
    again = train(store=store, on_event=events.append)
    assert not events
    assert (again.last, again.best, again.history) == (unbroken.last, unbroken.best, unbroken.history)


def test_the_real_encoder_in_bf16_resumes_to_the_same_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: channels-last weights beside plainly laid out moments, where the tiny encoder is too small."""
    import torchvision

    monkeypatch.setattr("torchvision.models.get_model", lambda name, weights: torchvision.models.resnet18())
    config = CONFIG.model_copy(update={"precision": "bf16", "epochs": 1, "num_classes": 34, "batch": 3})
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(config, store, val=(None, None), should_stop=stop_after(1))
    resumed = train(config, store, val=(None, None))
    assert resumed.last == train(config, val=(None, None)).last
    assert resumed.best == resumed.last, "without a val split the last is the best"


def test_events_and_history_tell_every_step_and_epoch(unbroken: SegmenterResult) -> None:
    events: list[Any] = []
    history = train(on_event=events.append).history
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert [(event.epoch, event.step) for event in steps] == [(e, s) for e in (1, 2, 3) for s in (1, 2, 3)]
    assert {(event.epochs, event.steps) for event in steps} == {(3, 3)}
    assert [row["loss"] for row in history.steps] == [event.losses["loss"] for event in steps]
    epochs = [event for event in events if isinstance(event, EpochEvent)]
    assert [{"epoch": event.epoch, **event.values} for event in epochs] == history.epochs
    assert set(history.epochs[0]) == {"epoch", "loss", "lr", "val_loss", "val_miou", "val_pixel_accuracy"}
    assert history.epochs[1]["loss"] == pytest.approx(np.mean([row["loss"] for row in history.steps[3:6]]))
    assert history.epochs[2]["lr"] == pytest.approx(1e-2 * (1 - 8 / 9) ** 0.9)


def test_validation_is_what_predict_and_the_scores_say() -> None:
    """Fault: void counted, batch statistics of the batch used, or the mean of means in place of the mean."""
    result = train()
    model = load_segmenter(result.last)
    predicted = predict(model, VAL_IMAGES)
    confusion = confusion_of_ids(VAL_LABEL_IDS, predicted)
    row = result.history.epochs[-1]
    assert row["val_miou"] == mean_iou(confusion)
    assert row["val_pixel_accuracy"] == pixel_accuracy(confusion)
    with torch.no_grad():
        logits = model(torch.from_numpy(VAL_IMAGES).permute(0, 3, 1, 2) / 255)
    targets = torch.from_numpy(np.where(VAL_LABEL_IDS == 3, 255, VAL_LABEL_IDS)).long()
    assert row["val_loss"] == pytest.approx(
        F.cross_entropy(logits, targets, ignore_index=255).item(), rel=1e-4
    )


def test_the_best_epoch_is_the_one_with_the_highest_miou(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: the lowest, the last, or the later of two equals taken as the best."""
    mious = iter([0.2, 0.5, 0.5, 0.1])

    def scores(*_: Any) -> dict[str, float]:
        return {"val_loss": 1.0, "val_miou": next(mious), "val_pixel_accuracy": 0.5}

    monkeypatch.setattr("segspade_core.segmentation.train.validate", scores)
    weights: list[torch.Tensor] = []
    store = MemoryCheckpoints()

    def remember(event: Any) -> None:
        if isinstance(event, EpochEvent):
            weights.append(load_segmenter(store.saved["best"]).classifier.weight)

    result = train(CONFIG.model_copy(update={"epochs": 4}), store, on_event=remember)
    metadata = read_metadata(result.best)
    assert (metadata["epoch"], metadata["val_miou"]) == (2, 0.5)
    assert torch.equal(load_segmenter(result.best).classifier.weight, weights[1])
    assert read_metadata(result.last)["epoch"] == 4
    assert result.best != result.last


def test_a_resumed_run_remembers_the_best_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: any epoch after a resume taken for better than the best before it."""
    mious = iter([0.5, 0.2, 0.4])
    monkeypatch.setattr(
        "segspade_core.segmentation.train.validate",
        lambda *_: {"val_loss": 1.0, "val_miou": next(mious), "val_pixel_accuracy": 0.5},
    )
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(store=store, should_stop=stop_after(4))
    assert read_metadata(train(store=store).best)["epoch"] == 1


def test_training_learns_what_can_be_seen() -> None:
    """Fault: a gradient of the wrong sign or that never reaches a part; labels not moved with the image."""
    images = np.zeros((8, 64, 96, 3), np.uint8)
    label_ids = np.full((8, 64, 96), 7, np.uint8)
    for index, at in enumerate(range(16, 80, 8)):
        images[index, :, at:], label_ids[index, :, at:] = 255, 8
    config = CONFIG.model_copy(update={
        "epochs": 40, "batch": 4, "augment": AugmentConfig(), "optimiser": AdamConfig(lr=1e-2),
    })  # fmt: skip
    rows = train(config, images=images, label_ids=label_ids, val=(images[:3], label_ids[:3])).history.epochs
    assert rows[-1]["val_pixel_accuracy"] > 0.85
    assert rows[-1]["loss"] < 0.5 < 1 < rows[0]["loss"]


def test_the_step_is_adams_with_decoupled_decay() -> None:
    """Fault: decay on biases and batch norms, or added to the gradient, which Adam would scale away."""
    weights = {}
    for decay in (0.0, 0.5):
        optimiser = AdamWConfig(lr=1e-3, weight_decay=decay)
        config = CONFIG.model_copy(update={"epochs": 1, "batch": 5, "optimiser": optimiser})
        weights[decay] = load_segmenter(train(config, val=(None, None)).last).state_dict()
    start = TrainingState(CONFIG, torch.device("cpu")).model.state_dict()
    name = "classifier.weight"
    torch.testing.assert_close(weights[0.0][name] - weights[0.5][name], 1e-3 * 0.5 * start[name])
    assert (weights[0.0][name] - start[name]).abs().max() == pytest.approx(
        1e-3, rel=0.01
    )  # Adam's first step
    for name in ("classifier.bias", "encoder.bn1.weight"):
        assert torch.equal(weights[0.0][name], weights[0.5][name])


def test_a_nan_is_named_with_step_and_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: NaN swallowed, or saved over the last good checkpoint."""
    from segspade_core.segmentation import step

    seen = 0
    real = step.upsampled_cross_entropy

    def loss(*arguments: Any) -> torch.Tensor:
        nonlocal seen
        seen += 1
        return real(*arguments) * (float("nan") if seen == 5 else 1)

    monkeypatch.setattr(step, "upsampled_cross_entropy", loss)
    store = MemoryCheckpoints()
    with pytest.raises(
        TrainingDiverged,
        match=r"^step 2 of epoch 2: loss term 'loss' is nan; the last good checkpoint is 'last' from step 3 "
        "of epoch 1; lower optimiser.lr$",
    ):
        train(store=store)
    assert unpack_state(store.saved["last"])["taken"] == 3


def test_infinite_weights_are_never_saved() -> None:
    store = MemoryCheckpoints()
    with pytest.raises(TrainingDiverged, match="no checkpoint was saved yet"):
        train(CONFIG.model_copy(update={"optimiser": AdamConfig(lr=1e38), "epochs": 1, "batch": 5}), store)
    assert not store.saved


def test_what_does_not_fit_is_refused() -> None:
    store = MemoryCheckpoints()
    with pytest.raises(
        InputError, match=r"^train label_ids have shape \(5, 64, 96\), the photographs \(4, 64"
    ):
        train(images=IMAGES[:4])
    with pytest.raises(InputError, match=r"^val label_ids have shape \(1, 40, 96\)"):
        train(val=(VAL_IMAGES, VAL_LABEL_IDS[:1]))
    with pytest.raises(InputError, match="the train split is empty"):
        train(images=IMAGES[:0], label_ids=LABEL_IDS[:0])
    with pytest.raises(InputError, match=r"^train sample \d: label id \d+ \(.* is none of the 5 classes"):
        train(CONFIG.model_copy(update={"num_classes": 5}), store)
    with pytest.raises(InputError, match=r"^val sample 0: label id 7 .* is none of the 5 classes"):
        train(CONFIG.model_copy(update={"num_classes": 5}), label_ids=LABEL_IDS % 5)
    with pytest.raises(InputError, match=r"^val split: every pixel is void"):
        train(val=(VAL_IMAGES, np.zeros_like(VAL_LABEL_IDS)))
    with pytest.raises(InputError, match=r"^one sample of 32x32 a step: batch norm has nothing to average"):
        train(CONFIG.model_copy(update={"batch": 1, "augment": AugmentConfig(crop=(32, 32))}))
    crop = AugmentConfig(crop=(160, 160), scale=(0.5, 2.0))
    with pytest.raises(
        InputError, match=r"crop 160x160 is larger than the photographs, 64x96 at the largest zoom"
    ):
        train(CONFIG.model_copy(update={"augment": crop}))
    assert not store.saved
    train(CONFIG.model_copy(update={"epochs": 1}), store)
    with pytest.raises(InputError, match=r"^checkpoint 'last': not a checkpoint of this segmenter config"):
        train(CONFIG.model_copy(update={"num_classes": 40}), store)
    del store.saved["best"]
    with pytest.raises(InputError, match=r"^checkpoint 'best' is missing beside 'last'; remove 'last'"):
        train(store=store)
