"""One update of a segmenter, from one batch or several: scores, loss, gradient, optimiser.

Of several processes each takes its share of every batch, and all take the same step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from segspade_core.config.losses import is_plain_cross_entropy
from segspade_core.segmentation.batches import Batch
from segspade_core.segmentation.loss import upsampled_cross_entropy
from segspade_core.segmentation.losses import SegmentationLoss, build_loss
from segspade_core.segmentation.model import BilinearUpsampling
from segspade_core.segmentation.parameter_groups import freeze
from segspade_core.segmentation.state import TrainingState
from segspade_core.training.compiling import compiled, telling_compiler
from segspade_core.training.device import autocast
from segspade_core.training.distributed import processes, rank, sum_gradients, summed_numbers
from segspade_core.training.divergence import Place, check_gradient, check_losses, remedy_of
from segspade_core.training.sampling import process_seed

RATES = "optimiser.lr"


class Updates:
    """Updates of the network of a training state.

    Raises:
        ValueError: the loss weighs classes, and the state has no counts of them.
    """

    def __init__(self, state: TrainingState) -> None:
        self.state = state
        config, upsample = state.config, state.model.upsample
        self.remedy = remedy_of(RATES, config.precision)
        # the plain loss of the plain head has a way of its own, without the logits of a whole batch
        self._upsample = upsample if isinstance(upsample, BilinearUpsampling) else None
        if not is_plain_cross_entropy(config.loss):
            self._upsample = None
        self._scores = compiled(state.model.scores) if config.compile else state.model.scores
        self._loss: SegmentationLoss = build_loss(config.loss, state.class_counts, state.device)

    def take(self, batches: Sequence[Batch], place: Place) -> dict[str, float]:
        """`launch`, and the step's `record` at once."""
        return self.launch(batches, place).record()

    def launch(self, batches: Sequence[Batch], place: Place) -> LaunchedStep:
        """Update the network once, from all batches of all processes as if they were one.

        Each batch, and of several processes each share of it, counts by its known pixels, so that plain
        cross-entropy and focal loss are the mean over those of all. What is no such mean (class weights, the
        hardest pixels, the overlaps of Dice and Lovász) is that of each batch or share, averaged so. Batch
        norm sees each batch by itself, and of that the shares of all processes.

        What the network draws, such as dropout, several processes draw each for itself, from a seed that
        depends on position and process alone: so they need no random states to go on from.

        Returns:
            The step, whose numbers a GPU may still be at. Its record is to be read before anything of the
            network is kept: only there is it seen whether the step went wrong.

        Raises:
            InputError: the config asks for a compiled network, and there is no compiler.
        """
        state, model = self.state, self.state.model
        model.train()
        freeze(model, place.epoch, state.config.optimiser)
        state.optimiser.zero_grad(set_to_none=True)
        if processes() > 1:
            torch.manual_seed(process_seed(state.config.seed, state.taken, rank()))
        shares = _shares(batches, state.device)
        losses: list[dict[str, Tensor]] = []
        for batch, share in zip(batches, shares, strict=True):
            with telling_compiler("segmenter.compile"):
                terms = self._terms(batch)
                (share * terms["loss"]).backward()
            losses.append({name: term.detach() for name, term in terms.items()})
        sum_gradients(model.parameters())
        limit, norm = state.config.optimiser.clip_norm, None
        if limit is not None:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), limit)
        state.optimiser.step()
        state.advance()
        return LaunchedStep(place, self.remedy, state.device, losses, shares, norm)

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """'loss' and its terms, of one batch."""
        images, targets = batch.to(self.state.device)
        with autocast(self.state.device, self.state.config.precision):
            scores = self._scores(images)  # (B, C, h, w)
        if self._upsample is not None:
            return {"loss": upsampled_cross_entropy(self._upsample, scores, targets)}
        return self._loss(self.state.model.to_full_size(scores, *targets.shape[-2:]), targets)


@dataclass(frozen=True)
class LaunchedStep:
    """A step that was taken, and its numbers where they were computed.

    A number that is read waits until the GPU has come to it. Whoever launches the next step before reading
    those of this one leaves the GPU no time without work.
    """

    place: Place
    remedy: str
    device: torch.device
    losses: Sequence[dict[str, Tensor]]  # by name, of every batch
    shares: Sequence[float]
    norm: Tensor | None

    def record(self) -> dict[str, float]:
        """What is recorded of the step, in all processes at once.

        Returns:
            'loss', its terms where there are several, and 'grad_norm', the length of the gradient before it
            was shortened, where the config limits it.

        Raises:
            TrainingDiverged: loss or gradient are not finite.
        """
        record: dict[str, float] = {}
        for terms, share in zip(self.losses, self.shares, strict=True):
            own = [share * term.item() for term in terms.values()]
            # of all processes, so that all of them see the same NaN
            values = dict(zip(terms, summed_numbers(own, self.device), strict=True))
            check_losses(values, self.place, self.remedy)
            record = {name: record.get(name, 0.0) + value for name, value in values.items()}
        if self.norm is not None:
            record["grad_norm"] = self.norm.item()
            check_gradient(record["grad_norm"], self.place, self.remedy)
        return record


def _shares(batches: Sequence[Batch], device: torch.device) -> list[float]:
    """What part of the known pixels of all batches of all processes is in each; 0 where none is in any."""
    if len(batches) == processes() == 1:
        return [1.0]
    known = [batch.known for batch in batches]
    (total,) = summed_numbers([sum(known)], device)
    return [pixels / max(total, 1) for pixels in known]
