"""Everything a generator's training goes on from: networks, averages, optimisers, position, random states."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import nn

from segspade_core.config import GeneratorArchitecture, GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.discriminators import build_discriminator
from segspade_core.spade.generator import SpadeGenerator, semantic_channels
from segspade_core.spade.perceptual import perceptual_network
from segspade_core.spade.spectral import SpectralConv2d
from segspade_core.spade.style import StyleEncoder
from segspade_core.training.averaging import average_of, decay_at, follow
from segspade_core.training.checkpoint import (
    pack_state,
    restore_rng_states,
    restoring,
    rng_states,
    unpack_state,
)
from segspade_core.training.events import History


def check_recipe(config: GeneratorConfig) -> None:
    """Raise InputError if no loss term would teach the generator what to paint."""
    weights = config.losses
    of_features = weights.feature_matching if config.discriminator.kind == "patch" else 0.0
    of_vgg19 = weights.perceptual if config.perceptual_weights != "none" else 0.0
    if not any((weights.adversarial, of_features, of_vgg19, weights.reconstruction)):
        raise InputError(
            "losses: every weight of what a painting is judged by is 0, so the generator has nothing to "
            "learn from; raise one, such as adversarial"
        )


class StyledGenerator(nn.Module):
    """What is trained to paint: the generator, and the style encoder where there is one."""

    def __init__(self, architecture: GeneratorArchitecture) -> None:
        super().__init__()
        self.network = SpadeGenerator(architecture)
        self.style_encoder = StyleEncoder(architecture) if architecture.style_dim else None


class TrainingState:
    """The state after `taken` steps; `pack` and `restore` carry it over a crash, bit for bit."""

    def __init__(self, config: GeneratorConfig, device: torch.device) -> None:
        torch.manual_seed(config.seed)
        self.config, self.device = config, device
        self.generator = StyledGenerator(config.generator)
        self.discriminator = build_discriminator(
            config.discriminator,
            config.generator.num_labels,
            semantic_channels(config.generator),
            labelmix=config.losses.labelmix > 0,
        )
        for network in (self.generator, self.discriminator):
            initialise(network)
        self.average = average_of(self.generator)
        for network in (self.generator, self.discriminator, self.average):
            network.to(device)
        self.perceptual = _perceptual(config, device)
        self.optimiser_g = _adam(self.generator, config.lr_generator, config)
        self.optimiser_d = _adam(self.discriminator, config.lr_discriminator, config)
        self.taken = 0
        self.history = History()

    def set_learning_rates(self, epoch: int) -> float:
        """Apply the schedule for `epoch` (from 0); returns the factor in [0, 1] on both rates."""
        factor = decay_factor(self.config, epoch)
        for optimiser, rate in (
            (self.optimiser_g, self.config.lr_generator),
            (self.optimiser_d, self.config.lr_discriminator),
        ):
            for group in optimiser.param_groups:
                group["lr"] = rate * factor
        return factor

    def update_average(self) -> None:
        """Let the averaged network follow; early on faster, so that it forgets the random start."""
        follow(self.average, self.generator, decay_at(self.config.ema_decay, self.taken))

    def published(self) -> StyledGenerator:
        """The averaged networks, in evaluation mode, with u and v of their own averaged weights."""
        network = copy.deepcopy(self.average).eval().cpu()
        for module in network.modules():
            if isinstance(module, SpectralConv2d):
                module.power_iteration(16)
        return network

    def pack(self) -> bytes:
        """All of it as one file."""
        return pack_state(
            {
                "generator": self.generator.state_dict(),
                "average": self.average.state_dict(),
                "discriminator": self.discriminator.state_dict(),
                "optimiser_g": self.optimiser_g.state_dict(),
                "optimiser_d": self.optimiser_d.state_dict(),
                "taken": self.taken,
                "history": {"steps": self.history.steps, "epochs": self.history.epochs},
                "rng": rng_states(),
            },
            {"kind": "generator training", "config": self.config.model_dump(mode="json")},
        )

    def restore(self, content: bytes, source: str) -> None:
        """Go to where `pack` was called.

        Raises:
            InputError: the bytes are no checkpoint, or one of another config; the message names `source`.
        """
        state = unpack_state(content, source)
        with restoring(source, "this generator config"):
            self._load(state)

    def _load(self, state: dict[str, Any]) -> None:
        self.generator.load_state_dict(state["generator"])
        self.average.load_state_dict(state["average"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.optimiser_g.load_state_dict(state["optimiser_g"])
        self.optimiser_d.load_state_dict(state["optimiser_d"])
        self.taken = state["taken"]
        self.history = History(state["history"]["steps"], state["history"]["epochs"])
        restore_rng_states(state["rng"])


def initialise(network: nn.Module) -> None:
    """Weights N(0, 2 / (fan_in + fan_out)) and biases 0 (Glorot and Bengio, 2010; SPADE, appendix A).

    What is frozen was trained before, and is left alone.
    """
    for module in network.modules():
        if not all(parameter.requires_grad for parameter in module.parameters(recurse=False)):
            continue
        if isinstance(module, SpectralConv2d):
            nn.init.xavier_normal_(module.weight_orig)
        elif isinstance(module, (nn.Conv2d, nn.Linear)):
            nn.init.xavier_normal_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)


def decay_factor(config: GeneratorConfig, epoch: int) -> float:
    """1 up to `decay_from_epoch` (half way if none), then linearly towards 0, which the end would reach."""
    start = config.decay_from_epoch if config.decay_from_epoch is not None else config.epochs // 2
    if epoch < start:
        return 1.0
    return (config.epochs - epoch) / (config.epochs - start + 1)


def _adam(network: nn.Module, rate: float, config: GeneratorConfig) -> torch.optim.Adam:
    return torch.optim.Adam(
        [parameter for parameter in network.parameters() if parameter.requires_grad],
        lr=rate,
        betas=(float(config.betas[0]), float(config.betas[1])),
    )


def _perceptual(config: GeneratorConfig, device: torch.device) -> nn.Module | None:
    if not config.losses.perceptual:
        return None
    network = perceptual_network(config.perceptual_weights)
    return None if network is None else network.to(device)
