"""Losses, optimisers, schedules, averaging and early stopping in the training loop, and over a crash."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.losses import CrossEntropyConfig, DiceConfig, FocalConfig
from segspade_core.config.optimisation import (
    AdamConfig,
    AveragingConfig,
    EarlyStoppingConfig,
    OneCycleSchedule,
    SGDConfig,
)
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.metrics.confusion import confusion_of_ids, mean_iou
from segspade_core.segmentation import SegmenterResult, load_segmenter, predict, train_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.losses import build_loss
from segspade_core.segmentation.schedules import momentum_at, rate_factor
from segspade_core.segmentation.state import TrainingState
from segspade_core.training.averaging import decay_at
from segspade_core.training.checkpoint import MemoryCheckpoints, read_metadata, unpack_weights
from segspade_core.training.events import EpochEvent, StepEvent, TrainingStopped

pytestmark = pytest.mark.usefixtures("tiny_encoder")

PLAIN = SegmenterConfig(
    encoder="resnet18", weights="none", num_classes=9, epochs=3, batch=2,
    augment=AugmentConfig(crop=(64, 64)), optimiser=AdamConfig(lr=1e-2), seed=3,
)  # fmt: skip
# everything at once that a checkpoint could forget
ALL = PLAIN.model_copy(update={
    "loss": (FocalConfig(class_weights="inverse_frequency"), DiceConfig(weight=0.5)),
    "optimiser": SGDConfig(lr=0.1, frozen_encoder_epochs=1, clip_norm=0.5, layer_decay=0.8),
    "schedule": OneCycleSchedule(momentum=(0.95, 0.85), warmup_steps=1),
    "average": AveragingConfig(decay=0.9),
    "early_stopping": EarlyStoppingConfig(patience=3),
})  # fmt: skip
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (5, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(0, 9, (5, 64, 96), dtype=np.uint8)
VAL = (IMAGES[:2, :40], np.where(np.arange(96) < 50, 7, 8).astype(np.uint8) * np.ones((2, 40, 1), np.uint8))
STEPS = 9


def train(
    config: SegmenterConfig, store: MemoryCheckpoints | None = None, val: Any = VAL, **more: Any
) -> SegmenterResult:
    store = MemoryCheckpoints() if store is None else store
    given = {"checkpoint_every_steps": 1000, **more}
    return train_segmenter(config, IMAGES, LABEL_IDS, *val, checkpoints=store, **given)


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 1000))
    return lambda: next(asked) == steps


def scores(mious: list[float]) -> Callable[..., dict[str, float]]:
    left = iter(mious)
    return lambda *_: {"val_loss": 1.0, "val_miou": next(left), "val_pixel_accuracy": 0.5}


@pytest.fixture(scope="module")
def unbroken(tiny_encoder: None) -> SegmenterResult:
    return train(ALL)


@pytest.mark.parametrize("steps", range(1, STEPS))
def test_a_stopped_run_with_every_setting_goes_on_to_the_same_bytes(
    unbroken: SegmenterResult, steps: int
) -> None:
    """Fault: average, momentum, counts or the frozen encoder forgotten or begun anew after a stop."""
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(ALL, store, should_stop=stop_after(steps))
    torch.manual_seed(1234)
    resumed = train(ALL, store)
    assert (resumed.last, resumed.best) == (unbroken.last, unbroken.best)
    assert resumed.history == unbroken.history


def test_a_run_with_every_setting_killed_at_any_save_goes_on_to_the_same_bytes(
    unbroken: SegmenterResult,
) -> None:
    """Fault: an average saved before it followed, or a step counted twice."""

    class Killed(BaseException):
        pass

    class DiesAfter(MemoryCheckpoints):
        left = 0

        def save(self, name: str, content: bytes) -> None:
            super().save(name, content)
            self.left -= 1
            if not self.left:
                raise Killed

    for saves in range(1, 30):
        store = DiesAfter()
        store.left = saves
        try:
            train(ALL, store, checkpoint_every_steps=1)
            break
        except Killed:
            resumed = train(ALL, store)
        assert (resumed.last, resumed.best) == (unbroken.last, unbroken.best), saves
        assert resumed.history == unbroken.history
    assert STEPS < saves < 29


def test_rate_and_momentum_are_those_of_the_position() -> None:
    """Fault: a momentum that never moves, or a rate without the layers' factors."""
    state = TrainingState(ALL, torch.device("cpu"))
    momenta = []
    for state.taken in range(STEPS):
        lr = state.set_rates(STEPS)
        assert lr == 0.1 * rate_factor(ALL.schedule, state.taken, STEPS)
        groups = state.optimiser.param_groups
        assert [group["lr"] for group in groups] == [lr * group["lr_scale"] for group in groups]
        assert len({group["lr"] for group in groups}) == 6, "a stem, four stages, and the head"
        momenta.append(groups[0]["momentum"])
    assert momenta == [momentum_at(ALL.schedule, step, STEPS) for step in range(STEPS)]
    assert len(set(momenta)) > 3


def test_every_term_and_the_gradient_are_recorded(unbroken: SegmenterResult) -> None:
    names = {"epoch", "step", "loss", "focal", "dice", "grad_norm"}
    for row in unbroken.history.steps:
        assert set(row) == names
        assert row["loss"] == pytest.approx(row["focal"] + 0.5 * row["dice"])
    last = unbroken.history.epochs[-1]
    assert set(last) == {*names - {"step"}, "lr", "val_loss", "val_miou", "val_pixel_accuracy"}
    assert last["grad_norm"] == pytest.approx(
        np.mean([row["grad_norm"] for row in unbroken.history.steps[6:]])
    )


def test_the_first_loss_is_that_of_the_configured_sum() -> None:
    """Fault: another loss than the configured, or class weights of another split. Peer: all by hand."""
    record = train(ALL.model_copy(update={"epochs": 1, "schedule": OneCycleSchedule()})).history.steps[0]
    state = TrainingState(ALL, torch.device("cpu"))
    counts = torch.from_numpy(np.bincount(LABEL_IDS.ravel(), minlength=9))
    counts[[0, 2, 3]] = 0  # void
    images, targets = LabelledImages("train", IMAGES, LABEL_IDS, 9).batch(ALL, 0, 0).to(torch.device("cpu"))
    state.model.train()
    state.model.encoder.eval()  # frozen, and in it are batch norms alone that tell
    expected = build_loss(ALL.loss, counts)(state.model(images), targets)
    for name, value in expected.items():
        assert record[name] == pytest.approx(value.item(), rel=1e-5)


def test_labels_are_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: minutes over the labels of a large split after every stop."""
    counted = []
    real = LabelledImages.class_counts

    def class_counts(self: LabelledImages) -> torch.Tensor:
        counted.append(self.split)
        return real(self)

    monkeypatch.setattr(LabelledImages, "class_counts", class_counts)
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(ALL, store, should_stop=stop_after(2))
    train(ALL, store)
    assert counted == ["train"]


def test_the_encoder_is_kept_while_it_is_frozen() -> None:
    """Fault: batch statistics that move, or an encoder that never thaws."""
    optimiser = AdamConfig(lr=1e-2, frozen_encoder_epochs=1)
    start = TrainingState(PLAIN, torch.device("cpu")).model.state_dict()
    for epochs, kept in ((1, True), (2, False)):
        after = unpack_weights(
            train(PLAIN.model_copy(update={"epochs": epochs, "optimiser": optimiser})).last
        )[0]
        for name, entry in after.items():
            assert torch.equal(entry, start[name]) == (kept and name.startswith("encoder.")), name


def test_a_gradient_is_shortened_to_its_norm() -> None:
    """Fault: no limit, or one of each weight alone. SGD without momentum moves by rate times gradient."""
    moved = {}
    for limit in (None, 1e-2):
        optimiser = SGDConfig(lr=1.0, momentum=0.0, weight_decay=0.0, clip_norm=limit)
        config = PLAIN.model_copy(update={"epochs": 1, "batch": 5, "optimiser": optimiser})
        result = train(config, val=(None, None))
        start = dict(TrainingState(config, torch.device("cpu")).model.named_parameters())
        after = unpack_weights(result.last)[0]
        moved[limit] = float(
            sum((after[name] - old.detach()).square().sum() for name, old in start.items()) ** 0.5
        )
    assert moved[None] == pytest.approx(result.history.steps[0]["grad_norm"], rel=1e-3)
    assert moved[1e-2] == pytest.approx(1e-2, rel=1e-3)
    assert moved[None] > 0.1


def test_a_gradient_that_is_not_finite_is_told_before_it_is_shortened(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(
        "segspade_core.segmentation.step.upsampled_cross_entropy",
        lambda upsample, scores, targets: (scores.sum() * 0).sqrt() + 1,
    )
    config = PLAIN.model_copy(update={"optimiser": AdamConfig(clip_norm=1.0)})
    with pytest.raises(
        TrainingDiverged,
        match=r"^step 1 of epoch 1: the length of the gradient is (nan|inf); no checkpoint .*; lower opt",
    ):
        train(config)


def test_the_average_is_what_is_scored_and_published() -> None:
    """Fault: the live weights published, or an average that is fresh where batch norms are live. By hand."""
    config = PLAIN.model_copy(update={"average": AveragingConfig(decay=0.7)})
    live: list[dict[str, torch.Tensor]] = []
    # the same training without an average shows the live weights of every step
    for steps in range(1, STEPS + 1):
        store = MemoryCheckpoints()
        if steps < STEPS:
            with pytest.raises(TrainingStopped):
                train(PLAIN, store, should_stop=stop_after(steps))
        else:
            train(PLAIN, store)
        state = TrainingState(PLAIN, torch.device("cpu"))
        state.restore(store.saved["last"], "last")
        live.append(state.model.state_dict())
    average = TrainingState(PLAIN, torch.device("cpu")).model.state_dict()
    for taken, weights in enumerate(live, 1):
        decay = decay_at(0.7, taken)
        for name, value in weights.items():
            mean = decay * average[name] + (1 - decay) * value
            average[name] = mean if value.is_floating_point() else value
    result = train(config)
    published = unpack_weights(result.last)[0]
    for name, expected in average.items():
        torch.testing.assert_close(published[name], expected, rtol=1e-4, atol=1e-5)
    predicted = predict(load_segmenter(result.last), VAL[0])
    assert result.history.epochs[-1]["val_miou"] == mean_iou(confusion_of_ids(VAL[1], predicted))
    assert [row["loss"] for row in result.history.steps] == [
        row["loss"] for row in train(PLAIN).history.steps
    ]


def test_the_average_starts_from_the_weights_that_training_starts_from(tmp_path: Any) -> None:
    """Fault: an average that still holds the random weights that a file replaced."""
    path = tmp_path / "start.safetensors"
    path.write_bytes(train(PLAIN.model_copy(update={"epochs": 1, "seed": 8})).last)
    state = TrainingState(
        PLAIN.model_copy(update={"weights": str(path), "average": AveragingConfig()}), torch.device("cpu")
    )
    state.start(torch.ones(9, dtype=torch.int64))
    assert state.average is not None
    loaded = unpack_weights(path.read_bytes())[0]
    for network in (state.model, state.average):
        assert all(torch.equal(entry, loaded[name]) for name, entry in network.state_dict().items())


def test_training_ends_early_and_stays_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: one epoch too many, a record of epochs that never were, or more epochs on every resume."""
    config = PLAIN.model_copy(update={"epochs": 9, "early_stopping": EarlyStoppingConfig(patience=2)})
    store, events = MemoryCheckpoints(), []
    monkeypatch.setattr("segspade_core.segmentation.train.validate", scores([0.2, 0.5, 0.5, 0.1, 0.9]))
    result = train(config, store, on_event=events.append)
    assert [row["epoch"] for row in result.history.epochs] == [1, 2, 3, 4]
    assert [event.epoch for event in events if isinstance(event, EpochEvent)] == [1, 2, 3, 4]
    assert {event.epochs for event in events if isinstance(event, StepEvent)} == {9}
    assert (read_metadata(result.best)["epoch"], read_metadata(result.last)["epoch"]) == (2, 4)
    events.clear()
    again = train(config, store, on_event=events.append)
    assert not events
    assert (again.last, again.best, again.history) == (result.last, result.best, result.history)


def test_who_is_asked_to_stop_at_the_end_has_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a run that ended early is told to be run again."""
    config = PLAIN.model_copy(update={"early_stopping": EarlyStoppingConfig(patience=1)})
    monkeypatch.setattr("segspade_core.segmentation.train.validate", scores([0.5, 0.5, 0.5]))
    assert len(train(config, should_stop=stop_after(6)).history.epochs) == 2
    monkeypatch.setattr("segspade_core.segmentation.train.validate", scores([0.5, 0.5, 0.5]))
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(config, store, should_stop=stop_after(3))
    assert len(train(config, store).history.epochs) == 2


def test_what_cannot_be_is_refused_before_the_first_step() -> None:
    config = PLAIN.model_copy(update={"early_stopping": EarlyStoppingConfig()})
    with pytest.raises(InputError, match=r"^early stopping watches val_miou, and there is no val split"):
        train(config, val=(None, None))
    config = PLAIN.model_copy(update={"schedule": OneCycleSchedule(warmup_steps=9)})
    with pytest.raises(InputError, match=r"^schedule\.warmup_steps: 9 of 9 steps in all leave none"):
        train(config)


def test_another_loss_learns_on_every_way_through_the_head() -> None:
    """Fault: smoothing or weights lost to the fast way that knows neither."""
    smooth = PLAIN.model_copy(update={"epochs": 1, "loss": (CrossEntropyConfig(label_smoothing=0.3),)})
    plain = PLAIN.model_copy(update={"epochs": 1})
    first, other = (train(config).history.steps[0]["loss"] for config in (smooth, plain))
    assert first != pytest.approx(other, rel=1e-3)
