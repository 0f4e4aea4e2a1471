"""One update of a segmenter: scores, loss, gradient, optimiser."""

from __future__ import annotations

import torch
from torch import Tensor

from segspade_core.config.losses import is_plain_cross_entropy
from segspade_core.segmentation.batches import Batch
from segspade_core.segmentation.loss import upsampled_cross_entropy
from segspade_core.segmentation.losses import SegmentationLoss, build_loss
from segspade_core.segmentation.model import BilinearUpsampling
from segspade_core.segmentation.parameter_groups import freeze
from segspade_core.segmentation.state import TrainingState
from segspade_core.training.device import autocast
from segspade_core.training.divergence import Place, check_gradient, check_losses, remedy_of

RATES = "optimiser.lr"


class Updates:
    """Updates of the network of a training state, each from one batch.

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
        self._loss: SegmentationLoss = build_loss(config.loss, state.class_counts, state.device)

    def take(self, batch: Batch, place: Place) -> dict[str, float]:
        """Update the network once.

        Returns:
            What is recorded of the step: 'loss', its terms where there are several, and 'grad_norm', the
            length of the gradient before it was shortened, where the config limits it.

        Raises:
            TrainingDiverged: loss or gradient are not finite.
        """
        state, model = self.state, self.state.model
        images, targets = batch.to(state.device)
        model.train()
        freeze(model, place.epoch, state.config.optimiser)
        with autocast(state.device, state.config.precision):
            scores = model.scores(images)  # (B, C, h, w)
        terms = self._terms(scores, targets)
        record = {name: term.item() for name, term in terms.items()}
        check_losses(record, place, self.remedy)
        state.optimiser.zero_grad(set_to_none=True)
        terms["loss"].backward()
        if state.config.optimiser.clip_norm is not None:
            norm = torch.nn.utils.clip_grad_norm_(model.parameters(), state.config.optimiser.clip_norm)
            record["grad_norm"] = norm.item()
            check_gradient(record["grad_norm"], place, self.remedy)
        state.optimiser.step()
        state.advance()
        return record

    def _terms(self, scores: Tensor, targets: Tensor) -> dict[str, Tensor]:
        """(B, C, h, w) scores and (B, H, W) uint8 targets → 'loss' and its terms."""
        if self._upsample is not None:
            return {"loss": upsampled_cross_entropy(self._upsample, scores, targets)}
        return self._loss(self.state.model.to_full_size(scores, *targets.shape[-2:]), targets)
