"""Optimisers of a segmenter, their rates at a step, and how they come back from a checkpoint."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segspade_core.config.optimisation import AdamWConfig, OptimiserConfig, SGDConfig
from segspade_core.segmentation.parameter_groups import parameter_groups

# one pass over the weights in place of a dozen; elsewhere torch chooses
_FUSED = ("cpu", "cuda")


def build_optimiser(model: nn.Module, config: OptimiserConfig, device: torch.device) -> torch.optim.Optimizer:
    """The optimiser of all parameters of `model`, frozen ones too, at its highest rate.

    Args:
        device: where the model is. On the CPU the same gradients always give the same bytes.

    Source: Kingma and Ba, "Adam", ICLR 2015; Loshchilov and Hutter, "Decoupled Weight Decay Regularization",
    ICLR 2019; Sutskever et al., "On the Importance of Initialization and Momentum", ICML 2013 (Nesterov).
    """
    groups = parameter_groups(model, config)
    fused = True if device.type in _FUSED else None
    optimiser: torch.optim.Optimizer
    if isinstance(config, SGDConfig):
        optimiser = torch.optim.SGD(
            groups, lr=config.lr, momentum=config.momentum, nesterov=config.nesterov, fused=fused
        )
    else:
        kind = torch.optim.AdamW if isinstance(config, AdamWConfig) else torch.optim.Adam
        optimiser = kind(groups, lr=config.lr, betas=config.betas, eps=config.eps, fused=fused)
    set_rates(optimiser, config.lr)
    return optimiser


def set_rates(optimiser: torch.optim.Optimizer, lr: float, momentum: float | None = None) -> None:
    """Set the learning rate of every group to its share of `lr`, and the momentum if there is one to set.

    Momentum is SGD's, or the first of Adam's betas.
    """
    for group in optimiser.param_groups:
        group["lr"] = lr * group["lr_scale"]
        if momentum is None:
            continue
        if "betas" in group:
            group["betas"] = (momentum, group["betas"][1])
        else:
            group["momentum"] = momentum


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Go to a state that `state_dict` gave and that came from a file.

    A moment from a file is laid out plainly, and the fused step walks through memory: it would pair each
    weight with the moment of another. So every moment gets the memory format of its parameter.

    Raises:
        ValueError: it is the state of other groups.
    """
    optimiser.load_state_dict(state)
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            if isinstance(value, Tensor) and value.shape == parameter.shape:
                moments[name] = torch.empty_like(parameter, requires_grad=False).copy_(value)
