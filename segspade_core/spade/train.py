"""The training loop of the generator; it stops when asked and goes on as if it had never stopped.

Source: Park et al., CVPR 2019, section 4 and appendix A: hinge loss, feature matching, perceptual loss, Adam
with a faster discriminator (TTUR, Heusel et al., NeurIPS 2017), KL divergence of the style code, and an
average of the weights to publish. Under torch.distributed every process takes its share of each batch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from segspade_core.config import GeneratorConfig
from segspade_core.spade.batches import Batch, TrainingData
from segspade_core.spade.code import code_dim
from segspade_core.spade.discriminators.diff_augment import augment_scene
from segspade_core.spade.discriminators.scene import Scene
from segspade_core.spade.losses import weighted_sum
from segspade_core.spade.patches.pyramid import LabelPyramid
from segspade_core.spade.progress_panel import paint_panel
from segspade_core.spade.state import TrainingState, check_recipe
from segspade_core.spade.style import draw_style, kl_divergence, sample_style
from segspade_core.spade.weights import pack_generator
from segspade_core.training.checkpoint import CHECKPOINT, CheckpointStore
from segspade_core.training.device import autocast
from segspade_core.training.distributed import agree, average_gradients, is_first, processes, summed
from segspade_core.training.divergence import Place, check_losses, check_weights, remedy_of
from segspade_core.training.events import EpochEvent, EventSink, History, StepEvent, TrainingStopped
from segspade_core.training.pace import SavingPace
from segspade_core.training.prefetch import prefetched
from segspade_core.training.sampling import steps_per_epoch

_RATES = "lr_generator and lr_discriminator"


@dataclass(frozen=True)
class GeneratorResult:
    """A trained generator: safetensors bytes of the averaged weights, and the record of the training."""

    model: bytes
    history: History


def train_generator(
    config: GeneratorConfig,
    images: Any,
    label_ids: Any,
    instance_ids: Any | None = None,
    *,
    conditions: Mapping[str, Sequence[str | None]] | None = None,
    device: torch.device | str = "cpu",
    checkpoints: CheckpointStore,
    checkpoint_every_steps: int,
    on_event: EventSink = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> GeneratorResult:
    """Train from the checkpoint 'last' if there is one, else from the start.

    Args:
        images: (N, H, W, 3) uint8, anything that slices like an array.
        label_ids: (N, H, W) uint8.
        instance_ids: (N, H, W) integers; None takes connected components of the label ids.
        conditions: N names each of 'city' and 'time_of_day', as far as `config.conditions` asks for them.
        checkpoints: keeps 'last', saved at the ends of epochs, as long as that takes no more than a twentieth
            of the time, every `checkpoint_every_steps` steps, and when training is asked to stop. How often
            never changes the result.
        on_event: told by the first process alone.
        should_stop: asked after every step.

    Returns:
        The same bytes on the CPU however often training was stopped or killed.

    Raises:
        InputError: the arrays do not fit each other, the network or the processes, or the generator would
            have nothing to learn from.
        WeightsError: weights that a loss or the discriminator starts from cannot be had.
        TrainingStopped: `should_stop` said so; the state is saved.
        TrainingDiverged: a loss term or a weight is NaN or infinite.
    """
    device = torch.device(device)
    data = TrainingData(images, label_ids, instance_ids, conditions or {})
    config = data.named(config)
    data.check(config)
    check_recipe(config)
    state = TrainingState(config, device)
    saved = checkpoints.load(CHECKPOINT)
    if saved is not None:
        state.restore(saved, f"checkpoint '{CHECKPOINT}'")
    good = state.taken  # steps taken at the last checkpoint
    steps = steps_per_epoch(len(data.images), config.batch)
    pace = SavingPace()

    def make(epoch: int, step: int) -> Batch:
        return data.batch(config, epoch, step)

    with closing(prefetched(make, config.epochs, steps, state.taken)) as batches:
        for epoch, step, batch in batches:
            state.set_learning_rates(epoch)
            losses = take_step(state, batch, Place(epoch, step, steps, good))
            state.taken += 1
            state.update_average()
            state.history.steps.append({"epoch": epoch + 1, "step": step + 1, **losses})
            if is_first():
                on_event(StepEvent(epoch + 1, config.epochs, step + 1, steps, losses))
            epoch_ends = step + 1 == steps
            if epoch_ends:
                event = _end_epoch(state, data, epoch, steps)
                if is_first():
                    on_event(event)
            stopping = agree(should_stop())
            due = state.taken == config.epochs * steps or (epoch_ends and pace.is_due())
            if due or stopping or state.taken % checkpoint_every_steps == 0:
                networks = {"generator": state.generator, "discriminator": state.discriminator}
                check_weights(
                    networks, Place(epoch, step, steps, good), remedy_of(_RATES, state.config.precision)
                )
                if is_first():
                    with pace.saving():
                        checkpoints.save(CHECKPOINT, state.pack())
                good = state.taken
            if stopping and state.taken < config.epochs * steps:
                raise TrainingStopped(epoch + 1, step + 1)
    painter = state.published()
    return GeneratorResult(
        pack_generator(painter.network, style_encoder=painter.style_encoder), state.history
    )


def take_step(state: TrainingState, batch: Batch, place: Place) -> dict[str, float]:
    """One update of all networks, from the same judgement of the same painting.

    The discriminator judges the painting once: its own loss is differentiated for its weights, the
    generator's loss for the painting alone, and that gradient is then taken through the generator. The
    published code paints and judges anew for the discriminator, at about one and a half times the cost.
    """
    config, device = state.config, state.device
    state.generator.train()
    state.discriminator.train()
    real = batch.images.to(device)
    semantics = batch.semantics(config.generator.num_labels, device)
    with autocast(device, config.precision):
        code, of_code = _code(state, batch, real)
        maps = _sparse(state, batch, semantics) if config.modulation == "sparse" else semantics
        painted = state.generator.network(maps, code)  # (B, 3, H, W) in [-1, 1]
        fake = painted.detach().requires_grad_()
        scene = Scene(semantics, batch.label_ids.to(device), real, fake, batch.seeds)
        judgement = state.discriminator(augment_scene(scene, config.diff_augment))
        of_painting = judgement.generator | _against_photograph(state, real, fake)
    total = weighted_sum(config.losses, of_painting)
    total_d = weighted_sum(config.losses, judgement.discriminator)
    all_of_generator = of_painting | of_code
    summed_up = {"generator": weighted_sum(config.losses, all_of_generator)}
    losses = _means(all_of_generator | judgement.discriminator | summed_up)
    check_losses(losses, place, remedy_of(_RATES, state.config.precision))

    (towards,) = torch.autograd.grad(total, [fake], retain_graph=True)
    state.optimiser_d.zero_grad(set_to_none=True)
    learning = [weight for weight in state.discriminator.parameters() if weight.requires_grad]
    total_d.backward(inputs=learning)
    state.optimiser_g.zero_grad(set_to_none=True)
    if of_code:
        torch.autograd.backward([painted, weighted_sum(config.losses, of_code)], [towards, None])
    else:
        painted.backward(towards)
    average_gradients(learning)
    average_gradients(state.generator.parameters())
    state.optimiser_g.step()
    state.optimiser_d.step()
    return losses


def _sparse(state: TrainingState, batch: Batch, semantics: Tensor) -> LabelPyramid:
    edges = None if batch.edges is None else batch.edges.to(state.device)
    labels = state.config.generator.num_labels
    return LabelPyramid(batch.label_ids.to(state.device), edges, semantics, labels)


def _code(state: TrainingState, batch: Batch, real: Tensor) -> tuple[Tensor | None, dict[str, Tensor]]:
    """The codes to paint the batch by, (B, Z) or none, and the loss terms that they alone have."""
    painter, device = state.generator, state.device
    if not code_dim(state.config.generator):
        return None, {}
    terms: dict[str, Tensor] = {}
    style = None
    if painter.style_encoder is not None:
        drawn = [draw_style(seed, state.config.generator.style_dim) for seed in batch.seeds]
        noise, chance = (torch.stack(part).to(device) for part in zip(*drawn, strict=True))
        mu, logvar = painter.style_encoder(real)
        # a style that says nothing of the photograph: what city and time of day look like must come from them
        dropped = (chance < state.config.style_dropout)[:, None]
        style = torch.where(dropped, noise, sample_style(mu, logvar, noise))
        if state.config.losses.kl:
            terms["kl"] = kl_divergence(mu, logvar)
    return painter.network.code_book(style, batch.conditions, len(real)), terms


def _against_photograph(state: TrainingState, real: Tensor, fake: Tensor) -> dict[str, Tensor]:
    terms: dict[str, Tensor] = {}
    if state.config.losses.reconstruction:
        terms["reconstruction"] = (fake.float() - real.float()).abs().mean()
    if state.perceptual is not None:
        terms["perceptual"] = state.perceptual(fake, real)
    return terms


def _means(terms: dict[str, Tensor]) -> dict[str, float]:
    """Every term over all processes, in one message, so that all of them see the same NaN."""
    with torch.no_grad():
        values = summed(torch.stack([term.float() for term in terms.values()])) / processes()
    return dict(zip(terms, values.tolist(), strict=True))


def _end_epoch(state: TrainingState, data: TrainingData, epoch: int, steps: int) -> EpochEvent:
    values = state.history.step_means(steps)
    values["lr_generator"] = state.optimiser_g.param_groups[0]["lr"]
    values["lr_discriminator"] = state.optimiser_d.param_groups[0]["lr"]
    state.history.epochs.append({"epoch": epoch + 1, **values})
    panel = paint_panel(state, data) if is_first() else None
    return EpochEvent(epoch + 1, state.config.epochs, values, panel)
