"""One update of a segmenter, from one batch or several: scores, loss, gradient, optimiser."""

from __future__ import annotations

from collections.abc import Sequence

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
from segspade_core.training.divergence import Place, check_gradient, check_losses, remedy_of

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
        """Update the network once, from all batches as if they were one.

        Each batch counts by its known pixels, so that plain cross-entropy and focal loss are the mean over
        those of all batches. What is no such mean (class weights, the hardest pixels, the overlaps of Dice
        and Lovász) is that of each batch, averaged so; and batch norm sees each batch by itself.

        Returns:
            What is recorded of the step: 'loss', its terms where there are several, and 'grad_norm', the
            length of the gradient before it was shortened, where the config limits it.

        Raises:
            TrainingDiverged: loss or gradient are not finite.
            InputError: the config asks for a compiled network, and there is no compiler.
        """
        state, model = self.state, self.state.model
        model.train()
        freeze(model, place.epoch, state.config.optimiser)
        state.optimiser.zero_grad(set_to_none=True)
        record: dict[str, float] = {}
        for batch, share in zip(batches, _shares(batches), strict=True):
            with telling_compiler("segmenter.compile"):
                terms = self._terms(batch)
                values = {name: term.item() for name, term in terms.items()}
                check_losses(values, place, self.remedy)
                (share * terms["loss"]).backward()
            record = {name: record.get(name, 0.0) + share * value for name, value in values.items()}
        if state.config.optimiser.clip_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), state.config.optimiser.clip_norm)
            record["grad_norm"] = norm.item()
            check_gradient(record["grad_norm"], place, self.remedy)
        state.optimiser.step()
        state.advance()
        return record

    def _terms(self, batch: Batch) -> dict[str, Tensor]:
        """'loss' and its terms, of one batch."""
        images, targets = batch.to(self.state.device)
        with autocast(self.state.device, self.state.config.precision):
            scores = self._scores(images)  # (B, C, h, w)
        if self._upsample is not None:
            return {"loss": upsampled_cross_entropy(self._upsample, scores, targets)}
        return self._loss(self.state.model.to_full_size(scores, *targets.shape[-2:]), targets)


def _shares(batches: Sequence[Batch]) -> list[float]:
    """What part of the known pixels of all batches is in each; 0 where there is none in any."""
    known = [batch.known for batch in batches] if len(batches) > 1 else [1]
    total = max(sum(known), 1)
    return [pixels / total for pixels in known]
