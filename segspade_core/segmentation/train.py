"""The training loop of the segmenter; it stops when asked and goes on as if it had never stopped.

Under torch.distributed every process takes its share of each batch.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager, closing
from dataclasses import dataclass
from typing import Any

import torch

from segspade_core.config import SegmenterConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.batches import Batch, LabelledImages
from segspade_core.segmentation.checks import check_training
from segspade_core.segmentation.room import no_room_for_step, no_room_for_validation
from segspade_core.segmentation.state import TrainingState
from segspade_core.segmentation.step import RATES, LaunchedStep, Updates
from segspade_core.segmentation.validate import validate
from segspade_core.segmentation.weights import pack_segmenter
from segspade_core.training.checkpoint import CHECKPOINT, CheckpointStore, read_metadata
from segspade_core.training.distributed import agree, is_first
from segspade_core.training.divergence import Place, check_losses, check_weights, remedy_of
from segspade_core.training.early_stopping import has_stalled
from segspade_core.training.events import EpochEvent, EventSink, History, StepEvent, TrainingStopped
from segspade_core.training.memory import telling_out_of_memory
from segspade_core.training.pace import SavingPace
from segspade_core.training.prefetch import prefetched

# launched steps whose numbers are not read yet: so a GPU never waits for what happens between two steps
_AHEAD = {"cuda": 1}
BEST = "best"  # weights alone, as they are published; the state to go on from is under CHECKPOINT


@dataclass(frozen=True)
class SegmenterResult:
    """A trained segmenter: safetensors bytes after the best and the last epoch, and the record."""

    best: bytes
    last: bytes
    history: History


def train_segmenter(
    config: SegmenterConfig,
    images: Any,
    label_ids: Any,
    val_images: Any | None = None,
    val_label_ids: Any | None = None,
    *,
    device: torch.device | str = "cpu",
    checkpoints: CheckpointStore,
    checkpoint_every_steps: int,
    workers: int = 1,
    on_event: EventSink = lambda event: None,
    should_stop: Callable[[], bool] = lambda: False,
) -> SegmenterResult:
    """Train from the checkpoint 'last' if there is one, else from `config.weights`.

    A step is an update, of `config.accumulate` batches: schedules, checkpoints and the record count these,
    and training stops only between them.

    Args:
        images: (N, H, W, 3) uint8, anything that slices like an array.
        label_ids: (N, H, W) uint8; VOID_IDS and 255 are left out of loss and metric, and with label space
            'train_ids' whatever is none of the 19 classes of the official score.
        val_images: (M, h, w, 3) uint8 to choose the best epoch by; None makes the last epoch the best.
        val_label_ids: (M, h, w) uint8.
        checkpoints: keeps 'last', saved at the ends of epochs, as long as that takes no more than a twentieth
            of the time, every `checkpoint_every_steps` steps, and when training is asked to stop; and 'best',
            the weights with the highest val_miou so far. How often never changes the result. All processes
            load, the first alone saves.
        workers: threads that make batches while the network learns; no result depends on how many.
        on_event: told by the first process alone.
        should_stop: asked after every step.

    Returns:
        The same bytes on the CPU however often training was stopped or killed; with another number of
        processes, from the start or from a checkpoint on, the same up to rounding, but for dropout and for
        losses that are no mean over pixels. `history.steps` has the loss of every step, its terms where there
        are several, and the length of the gradient where it is limited; `history.epochs` their means, the
        learning rate at the end, and val_loss (plain cross-entropy, so that losses can be compared), val_miou
        and val_pixel_accuracy where there is a val split. With `config.early_stopping` it may end before the
        last epoch.

    Raises:
        InputError: the arrays do not fit each other, or hold an id that is neither class nor void; early
            stopping is asked for without a val split; the warm-up is as long as the training; the processes
            cannot share the batch alike, or a batch norm of the encoder at all.
        WeightsError: `config.weights` cannot be had or do not fit.
        OutOfMemory: a step or a validation found no room; the message says what to lower.
        TrainingStopped: `should_stop` said so; the state is saved.
        TrainingDiverged: the loss or a weight is NaN or infinite.
    """
    device = torch.device(device)
    train = LabelledImages("train", images, label_ids, config.num_classes, config.label_space)
    val = None
    if val_images is not None and len(val_images):
        val = LabelledImages("val", val_images, val_label_ids, config.num_classes, config.label_space)
    check_training(config, train, val)
    state = TrainingState(config, device)
    best_miou = _begin(state, checkpoints, train)
    good = state.taken  # steps taken at the last checkpoint
    updates = Updates(state)
    steps = train.updates(config)
    total = config.epochs * steps

    def telling_room(place: Place, on: torch.device) -> AbstractContextManager[None]:
        size = tuple(train.images.shape[1:3])
        return telling_out_of_memory(lambda: no_room_for_step(config, size, on, place))

    def make(epoch: int, step: int) -> tuple[Batch, ...]:
        with telling_room(Place(epoch, step, steps, 0), torch.device("cpu")):
            batches = train.batches(config, epoch, step)
            return tuple(batch.pinned() for batch in batches) if device.type == "cuda" else batches

    waiting: deque[LaunchedStep] = deque()
    pace = SavingPace()
    ahead = _AHEAD.get(device.type, 0)

    def record_steps(left: int = 0) -> None:
        """Read, keep and tell of the steps that were launched, all but the last few."""
        while len(waiting) > left:
            launched = waiting.popleft()
            losses, at = launched.record(), launched.place
            state.history.steps.append({"epoch": at.epoch + 1, "step": at.step + 1, **losses})
            if is_first():
                on_event(StepEvent(at.epoch + 1, config.epochs, at.step + 1, steps, losses))

    start = total if _has_stalled(state) else state.taken
    with closing(prefetched(make, config.epochs, steps, start, workers)) as prepared:
        for epoch, step, batches in prepared:
            place = Place(epoch, step, steps, good)
            lr = state.set_rates(total)
            with telling_room(place, device):
                waiting.append(updates.launch(batches, place))
                epoch_ends = step + 1 == steps
                record_steps(0 if epoch_ends else ahead)
            if epoch_ends:
                values = {**state.history.step_means(steps), "lr": lr}
                if val is not None:
                    _check_weights(state, place)
                    values |= _validate(state, val, place)
                    check_losses({"val_loss": values["val_loss"]}, place, updates.remedy)
                state.history.epochs.append({"epoch": epoch + 1, **values})
                if values.get("val_miou", -math.inf) > best_miou:
                    best_miou = values["val_miou"]
                    if is_first():
                        checkpoints.save(BEST, _pack(state))
                if is_first():
                    on_event(EpochEvent(epoch + 1, config.epochs, values))
            ended = state.taken == total or (epoch_ends and _has_stalled(state))
            # the others wait here for the first: nobody looks for 'best' before it is saved
            stopping = agree(should_stop())
            due = ended or (epoch_ends and pace.is_due())
            if due or stopping or state.taken % checkpoint_every_steps == 0:
                record_steps()
                _check_weights(state, place)
                if is_first():
                    with pace.saving():
                        checkpoints.save(CHECKPOINT, state.pack())
                good = state.taken
            if ended:
                break
            if stopping:
                raise TrainingStopped(epoch + 1, step + 1)
    last = _pack(state)
    best = None if val is None else checkpoints.load(BEST)
    return SegmenterResult(last if best is None else best, last, state.history)


def _begin(state: TrainingState, checkpoints: CheckpointStore, train: LabelledImages) -> float:
    """Go to the checkpoint, or to the weights training starts from. Returns the best val_miou so far."""
    saved = checkpoints.load(CHECKPOINT)
    if saved is None:
        state.start(train.class_counts())
        return -math.inf
    state.restore(saved, f"checkpoint '{CHECKPOINT}'")
    if not any("val_miou" in row for row in state.history.epochs):
        return -math.inf
    best = checkpoints.load(BEST)
    if best is None:
        raise InputError(
            f"checkpoint '{BEST}' is missing beside '{CHECKPOINT}'; remove '{CHECKPOINT}' to start over"
        )
    # from the file and not from the state: 'best' is saved first, and a crash may lie between the two
    return float(read_metadata(best)["val_miou"])


def _has_stalled(state: TrainingState) -> bool:
    """Whether the record so far ends the training early: a run that goes on finds what the first one did."""
    config = state.config.early_stopping
    return config is not None and has_stalled(state.history.epochs, config)


def _validate(state: TrainingState, val: LabelledImages, place: Place) -> dict[str, float]:
    size = tuple(val.images.shape[1:3])
    with telling_out_of_memory(lambda: no_room_for_validation(val.split, size, state.device, place)):
        return validate(state.published, val, state.device)


def _check_weights(state: TrainingState, place: Place) -> None:
    remedy = remedy_of(RATES, state.config.precision)
    check_weights({"segmenter": state.model}, place, remedy)
    if state.average is not None:
        check_weights({"average": state.average}, place, remedy)


def _pack(state: TrainingState) -> bytes:
    """The network as it is published, after the last epoch of the record."""
    row = state.history.epochs[-1]
    return pack_segmenter(state.published, {"epoch": row["epoch"], "val_miou": row.get("val_miou")})
