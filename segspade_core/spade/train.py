"""The training loop of the generator; it stops when asked and goes on as if it had never stopped.

Source: Park et al., CVPR 2019, section 4 and appendix A: hinge loss with feature matching, Adam with a
faster discriminator (TTUR, Heusel et al., NeurIPS 2017), and an average of the weights to publish.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from typing import Any

import torch

from segspade_core.config import GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.batches import Batch, TrainingData
from segspade_core.spade.losses import generator_terms, hinge_discriminator, weighted_sum
from segspade_core.spade.state import TrainingState
from segspade_core.spade.weights import pack_generator
from segspade_core.training.checkpoint import CHECKPOINT, CheckpointStore
from segspade_core.training.device import autocast
from segspade_core.training.divergence import Place, check_losses, check_weights
from segspade_core.training.events import EpochEvent, EventSink, History, StepEvent, TrainingStopped
from segspade_core.training.prefetch import prefetched
from segspade_core.training.sampling import steps_per_epoch

_REMEDY = "lower lr_generator and lr_discriminator, or train with precision fp32"


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
        checkpoints: keeps 'last', saved at the end of every epoch, every `checkpoint_every_steps` steps, and
            when training is asked to stop. How often never changes the result.
        should_stop: asked after every step.

    Returns:
        The same bytes on the CPU however often training was stopped or killed.

    Raises:
        InputError: the arrays do not fit each other or the network, or every loss weight is 0.
        TrainingStopped: `should_stop` said so; the state is saved.
        TrainingDiverged: a loss term or a weight is NaN or infinite.
    """
    device = torch.device(device)
    data = TrainingData(images, label_ids, instance_ids)
    data.check(config)
    if not any(config.losses.model_dump().values()):
        raise InputError("losses: every weight is 0, so the generator has nothing to learn from; raise one")
    state = TrainingState(config, device)
    saved = checkpoints.load(CHECKPOINT)
    if saved is not None:
        state.restore(saved, f"checkpoint '{CHECKPOINT}'")
    good = state.taken  # steps taken at the last checkpoint
    steps = steps_per_epoch(len(data.images), config.batch)

    def make(epoch: int, step: int) -> Batch:
        return data.batch(config, epoch, step)

    with closing(prefetched(make, config.epochs, steps, state.taken)) as batches:
        for epoch, step, batch in batches:
            state.set_learning_rates(epoch)
            losses = _step(state, batch, Place(epoch, step, steps, good))
            state.taken += 1
            state.update_average()
            state.history.steps.append({"epoch": epoch + 1, "step": step + 1, **losses})
            on_event(StepEvent(epoch + 1, config.epochs, step + 1, steps, losses))
            epoch_ends = step + 1 == steps
            if epoch_ends:
                on_event(_end_epoch(state, epoch, steps))
            stopping = should_stop()
            if epoch_ends or stopping or state.taken % checkpoint_every_steps == 0:
                networks = {"generator": state.generator, "discriminator": state.discriminator}
                check_weights(networks, Place(epoch, step, steps, good), _REMEDY)
                checkpoints.save(CHECKPOINT, state.pack())
                good = state.taken
            if stopping and state.taken < config.epochs * steps:
                raise TrainingStopped(epoch + 1, step + 1)
    return GeneratorResult(pack_generator(state.published()), state.history)


def _step(state: TrainingState, batch: Batch, place: Place) -> dict[str, float]:
    """One update of both networks, from the same judgement of the same painting.

    The discriminator judges the painting once: its own loss is differentiated for its weights, the
    generator's loss for the painting alone, and that gradient is then taken through the generator. The
    published code paints and judges anew for the discriminator, at about one and a half times the cost.
    """
    config, device = state.config, state.device
    state.generator.train()
    state.discriminator.train()
    semantics = batch.semantics(config.generator.num_labels, device)
    real = batch.images.to(device)
    with autocast(device, config.precision):
        painted = state.generator(semantics)  # (B, 3, H, W) in [-1, 1]
        fake = painted.detach().requires_grad_()
        judged_fake = state.discriminator(semantics, fake)
        judged_real = state.discriminator(semantics, real)
        hinge = hinge_discriminator(judged_real, judged_fake)
        terms = generator_terms(config.losses, judged_real, judged_fake, real, fake)
    total = weighted_sum(config.losses, terms)
    losses = {name: term.item() for name, term in {**terms, **hinge, "generator": total}.items()}
    check_losses(losses, place, _REMEDY)

    (towards,) = torch.autograd.grad(total, [fake], retain_graph=True)
    state.optimiser_d.zero_grad(set_to_none=True)
    (hinge["discriminator_real"] + hinge["discriminator_fake"]).backward(
        inputs=list(state.discriminator.parameters())
    )
    state.optimiser_g.zero_grad(set_to_none=True)
    painted.backward(towards)
    state.optimiser_g.step()
    state.optimiser_d.step()
    return losses


def _end_epoch(state: TrainingState, epoch: int, steps: int) -> EpochEvent:
    values = state.history.step_means(steps)
    values["lr_generator"] = state.optimiser_g.param_groups[0]["lr"]
    values["lr_discriminator"] = state.optimiser_d.param_groups[0]["lr"]
    state.history.epochs.append({"epoch": epoch + 1, **values})
    return EpochEvent(epoch + 1, state.config.epochs, values)
