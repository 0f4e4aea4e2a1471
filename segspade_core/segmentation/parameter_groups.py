"""Which parameters learn how fast, which are decayed, and which do not learn yet."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from segspade_core.config.optimisation import OptimiserConfig
from segspade_core.errors import InputError

_ENCODER = "encoder"
# torchvision's ResNets say layer1, timm's networks stages_0, layers_0, blocks.0 or s1
_STAGE = re.compile(r"(?:^|\.)(?:(?:layer|stage|block|feature)s?|s)[._]?(\d+)(?=[._]|$)")


def parameter_groups(model: nn.Module, config: OptimiserConfig) -> list[dict[str, Any]]:
    """Groups for a torch optimiser: parameters of a kind together, in the model's order.

    The encoder, the module of that name, learns at `encoder_lr` times the rate. Of D stages, stage d (from 1;
    the stem is 0) learns at layer_decay^(D + 1 - d) times that, as if all that comes after were stage D + 1.
    Weight decay is for what multiplies: parameters of one dimension are biases and the weights of norms.

    Returns:
        Dicts with `params`, `weight_decay`, and `lr_scale`, the factor on the rate; with the default settings
        a single one. Parameters that start to learn later have groups of their own: an optimiser may make
        the moments of a whole group at the group's first step.

    Raises:
        InputError: layer_decay is asked for, and the encoder's stages cannot be told from its names.

    Source: layer-wise rates of Clark et al., "ELECTRA", ICLR 2020, appendix, there for layers.
    """
    parameters = dict(model.named_parameters())
    scales = _encoder_scales(parameters, config)
    groups: dict[tuple[float, float, bool], list[nn.Parameter]] = {}
    for name, parameter in parameters.items():
        decayed = config.decay_norms_and_biases or parameter.ndim > 1
        later = config.frozen_encoder_epochs > 0 and name in scales
        key = (scales.get(name, 1.0), config.weight_decay if decayed else 0.0, later)
        groups.setdefault(key, []).append(parameter)
    return [
        {"params": params, "lr_scale": scale, "weight_decay": weight_decay}
        for (scale, weight_decay, _), params in groups.items()
    ]


def _encoder_scales(names: Iterable[str], config: OptimiserConfig) -> dict[str, float]:
    """Factor on the learning rate of every parameter of the encoder, by its name in the model."""
    inside = [name for name in names if name.startswith(f"{_ENCODER}.")]
    if config.layer_decay == 1:
        return dict.fromkeys(inside, config.encoder_lr)
    depths = encoder_depths([name.removeprefix(f"{_ENCODER}.") for name in inside])
    deepest = max(depths, default=0)
    if not deepest:
        raise InputError(
            "optimiser.layer_decay: the stages of this encoder cannot be told from the names of its "
            "parameters; set it to 1"
        )
    return {
        name: config.encoder_lr * config.layer_decay ** (deepest + 1 - depth)
        for name, depth in zip(inside, depths, strict=True)
    }


def encoder_depths(names: Iterable[str]) -> list[int]:
    """Stage of every parameter of an encoder, from their names in order: 0 the stem, then 1, 2, and so on.

    A name without the number of a stage goes with the stage before it.
    """
    found = [int(match[1]) if (match := _STAGE.search(name)) else None for name in names]
    order = {number: rank for rank, number in enumerate(sorted({n for n in found if n is not None}), 1)}
    depths, depth = [], 0
    for number in found:
        depth = depth if number is None else order[number]
        depths.append(depth)
    return depths


def freeze(model: nn.Module, epoch: int, config: OptimiserConfig) -> bool:
    """Keep the encoder as it is in the first `frozen_encoder_epochs` epochs, and let it learn after them.

    To be called after `model.train()`, before every step or epoch: a function of `epoch` (from 0) alone, so
    that a run that goes on needs nothing else. While frozen, the encoder's parameters have no gradient and
    its batch norms are in evaluation mode: they neither use nor gather the statistics of a batch.

    Returns:
        Whether the encoder is frozen.
    """
    if not config.frozen_encoder_epochs:
        return False
    frozen = epoch < config.frozen_encoder_epochs
    encoder = model.get_submodule(_ENCODER).requires_grad_(not frozen)
    if frozen:
        for module in encoder.modules():
            if isinstance(module, _BatchNorm):
                module.eval()
    return frozen
