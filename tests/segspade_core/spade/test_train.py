"""The training loop: resumes to the same bytes, stops when asked, and never swallows a NaN."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import (
    DiscriminatorArchitecture,
    GeneratorArchitecture,
    GeneratorConfig,
    LossWeights,
)
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.spade.batches import TrainingData
from segspade_core.spade.semantics import instance_edges
from segspade_core.spade.state import TrainingState, decay_factor, follow
from segspade_core.spade.train import GeneratorResult, train_generator
from segspade_core.training.checkpoint import MemoryCheckpoints, read_metadata, unpack_state
from segspade_core.training.events import EpochEvent, StepEvent, TrainingStopped

CONFIG = GeneratorConfig(
    generator=GeneratorArchitecture(num_labels=35, width=2, max_channels=8, hidden=3, upsamplings=3),
    discriminator=DiscriminatorArchitecture(width=2, scales=2, layers=2),
    losses=LossWeights(reconstruction=5.0),
    epochs=2,
    batch=2,
    seed=3,
)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (5, 16, 24, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(0, 34, (5, 16, 24), dtype=np.uint8)


def train(
    config: GeneratorConfig = CONFIG,
    store: MemoryCheckpoints | None = None,
    images: np.ndarray = IMAGES,
    every: int = 1000,
    **more: Any,
) -> GeneratorResult:
    store = MemoryCheckpoints() if store is None else store
    return train_generator(
        config, images, LABEL_IDS, None, device="cpu", checkpoints=store, checkpoint_every_steps=every, **more
    )


def stop_after(steps: int) -> Callable[[], bool]:
    count = 0

    def should_stop() -> bool:
        nonlocal count
        count += 1
        return count == steps

    return should_stop


@pytest.fixture(scope="module")
def unbroken() -> GeneratorResult:
    return train()


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 5])
def test_a_stopped_run_goes_on_to_the_same_bytes(unbroken: GeneratorResult, steps: int) -> None:
    """Fault: u or v, a moment of Adam, the average, the order or a flip is left out of the checkpoint."""
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(store=store, should_stop=stop_after(steps))
    torch.manual_seed(1234)  # whatever the next process starts with
    resumed = train(store=store)
    assert resumed.model == unbroken.model
    assert resumed.history == unbroken.history


def test_a_killed_run_goes_on_from_its_last_checkpoint(unbroken: GeneratorResult) -> None:
    """Fault: steps after the checkpoint counted twice in the history, or their data never seen."""

    class Killed(BaseException):
        pass

    def kill(event: Any) -> None:
        if isinstance(event, StepEvent) and (event.epoch, event.step) == (2, 2):
            raise Killed

    store = MemoryCheckpoints()
    with pytest.raises(Killed):
        train(store=store, every=2, on_event=kill)
    assert unpack_state(store.saved["last"])["taken"] == 4
    resumed = train(store=store, every=2)
    assert resumed.model == unbroken.model
    assert resumed.history == unbroken.history
    again = train(store=store)  # what is finished is not done again
    assert again.model == unbroken.model


def test_bf16_resumes_to_the_same_bytes_too() -> None:
    config = CONFIG.model_copy(update={"precision": "bf16", "epochs": 1})
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(config, store, should_stop=stop_after(2))
    assert train(config, store).model == train(config).model


def test_events_and_history_tell_every_step_and_epoch(unbroken: GeneratorResult) -> None:
    events: list[Any] = []
    result = train(on_event=events.append)
    assert result.history == unbroken.history
    steps = [event for event in events if isinstance(event, StepEvent)]
    assert [(event.epoch, event.step, event.steps) for event in steps] == [
        (1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3), (2, 2, 3), (2, 3, 3),
    ]  # fmt: skip
    epochs = [event for event in events if isinstance(event, EpochEvent)]
    assert [event.epoch for event in epochs] == [1, 2]
    mean = np.mean([row["reconstruction"] for row in result.history.steps[3:]])
    assert epochs[1].values["reconstruction"] == pytest.approx(mean)
    # rates: whole in the first half, then linearly down
    assert [row["lr_discriminator"] for row in result.history.epochs] == [4e-4, 2e-4]
    row = result.history.steps[0]
    total = row["adversarial"] + 10 * row["feature_matching"] + 5 * row["reconstruction"]
    assert row["generator"] == pytest.approx(total, rel=1e-5)


def test_learning_rates_stay_and_then_fall_linearly() -> None:
    """Fault: 0 in the last epoch, or a schedule that ignores decay_from_epoch."""
    config = CONFIG.model_copy(update={"epochs": 8, "decay_from_epoch": 5})
    assert [decay_factor(config, epoch) for epoch in range(8)] == [1, 1, 1, 1, 1, 0.75, 0.5, 0.25]
    assert decay_factor(config.model_copy(update={"decay_from_epoch": None}), 4) == pytest.approx(0.8)


def test_the_average_by_hand() -> None:
    """Fault: decay and 1 - decay swapped; batch statistics left at their start; u averaged."""
    average, live = torch.nn.BatchNorm2d(1), torch.nn.BatchNorm2d(1)
    with torch.no_grad():
        average.weight.fill_(1)
        live.weight.fill_(3)
    live.running_mean.fill_(4)
    live.num_batches_tracked.fill_(7)
    follow(average, live, 0.75)
    assert average.weight.item() == 1.5
    assert average.running_mean.item() == 1.0
    assert average.num_batches_tracked.item() == 7

    state = TrainingState(CONFIG.model_copy(update={"ema_decay": 0.5}), torch.device("cpu"))
    with torch.no_grad():
        state.generator.fc.weight.add_(1)
        state.generator.head_0.conv_0.weight_u.neg_()
    before = state.average.fc.weight.clone()
    state.taken = 1000
    state.update_average()
    torch.testing.assert_close(state.average.fc.weight, before + 0.5)
    assert torch.equal(state.average.head_0.conv_0.weight_u, state.generator.head_0.conv_0.weight_u)


def test_what_is_published_is_the_average(unbroken: GeneratorResult) -> None:
    """Fault: the live weights packed in place of the average."""
    from segspade_core.spade.weights import load_generator

    store = MemoryCheckpoints()
    result = train(store=store)
    state = unpack_state(store.saved["last"])
    model = load_generator(result.model).state_dict()
    assert torch.equal(model["fc.weight"], state["average"]["fc.weight"])
    assert not torch.equal(model["fc.weight"], state["generator"]["fc.weight"])
    assert read_metadata(result.model)["architecture"]["width"] == 2


def test_training_lowers_the_reconstruction_loss() -> None:
    """Fault: a gradient of the wrong sign, or one that never reaches the generator."""
    config = CONFIG.model_copy(update={
        "losses": LossWeights(adversarial=0, feature_matching=0, reconstruction=1),
        "epochs": 25,
        "lr_generator": 1e-2,
    })  # fmt: skip
    flat = np.broadcast_to(np.array([250, 10, 128], np.uint8), IMAGES.shape)
    losses = [row["reconstruction"] for row in train(config, images=flat).history.epochs]
    assert losses[-1] < 0.25 * losses[0]


def test_the_discriminator_learns_to_tell_them_apart() -> None:
    """Fault: the discriminator's hinge with its signs swapped, or its gradient never taken."""
    config = CONFIG.model_copy(update={"lr_generator": 1e-9, "lr_discriminator": 2e-3, "epochs": 25})
    flat = np.broadcast_to(np.array([250, 10, 128], np.uint8), IMAGES.shape)
    rows = train(config, images=flat).history.epochs
    sums = [row["discriminator_real"] + row["discriminator_fake"] for row in rows]
    assert sums[-1] < 0.5 * sums[0]


def test_a_nan_is_named_with_step_term_and_checkpoint(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: NaN swallowed, or saved over the last good checkpoint."""
    from segspade_core.spade import train as loop

    seen = 0
    real_terms = loop.generator_terms

    def terms(*arguments: Any) -> dict[str, torch.Tensor]:
        nonlocal seen
        seen += 1
        computed = real_terms(*arguments)
        if seen == 5:
            computed["feature_matching"] = computed["feature_matching"] * float("nan")
        return computed

    monkeypatch.setattr(loop, "generator_terms", terms)
    store = MemoryCheckpoints()
    with pytest.raises(
        TrainingDiverged,
        match=r"^step 2 of epoch 2: loss term 'feature_matching' is nan; the last good checkpoint is "
        r"'last' from step 3 "
        r"of epoch 1; lower lr_generator",
    ):
        train(store=store)
    assert unpack_state(store.saved["last"])["taken"] == 3


def test_infinite_weights_are_never_saved() -> None:
    config = CONFIG.model_copy(update={"lr_generator": 1e38, "epochs": 1})
    store = MemoryCheckpoints()
    with pytest.raises(TrainingDiverged, match="no checkpoint was saved yet"):
        train(config, store)
    assert not store.saved


def test_batches_hold_the_same_flip_for_all_channels() -> None:
    """Fault: the photograph flipped and its map not; instances None and given treated differently."""
    config = CONFIG.model_copy(update={"flip": 1.0, "batch": 5})
    given = RANDOM.integers(0, 3, LABEL_IDS.shape).astype(np.uint16)
    data = TrainingData(IMAGES, LABEL_IDS, given)
    flipped = data.batch(config, 0, 0)
    plain = data.batch(config.model_copy(update={"flip": 0.0}), 0, 0)
    assert torch.equal(flipped.images, plain.images.flip(-1))
    assert torch.equal(flipped.label_ids, plain.label_ids.flip(-1))
    assert flipped.edges is not None
    assert plain.edges is not None
    assert torch.equal(flipped.edges, plain.edges.flip(-1))
    order = [int(np.where((m.numpy() == LABEL_IDS).all((1, 2)))[0][0]) for m in plain.label_ids]
    assert sorted(order) == [0, 1, 2, 3, 4]
    assert torch.equal(plain.edges, instance_edges(torch.from_numpy(given[order].astype(np.int32))))
    assert plain.images.min() == -1
    assert plain.images.max() == 1


def test_what_does_not_fit_is_refused_before_any_work() -> None:
    store = MemoryCheckpoints()
    with pytest.raises(
        InputError, match=r"label_ids have shape \(5, 16, 24\), the photographs \(4, 16, 24, 3\)"
    ):
        train(images=IMAGES[:4])
    with pytest.raises(InputError, match="every weight is 0"):
        train(CONFIG.model_copy(update={"losses": LossWeights(adversarial=0, feature_matching=0)}))
    with pytest.raises(InputError, match="both sides must be multiples of 64"):
        train(CONFIG.model_copy(update={"generator": GeneratorArchitecture(width=1)}))
    train(CONFIG.model_copy(update={"epochs": 1}), store)
    other = CONFIG.model_copy(update={"generator": GeneratorArchitecture(width=1, hidden=2, upsamplings=3)})
    with pytest.raises(InputError, match=r"^checkpoint 'last': not a checkpoint of this generator config"):
        train(other, store)
