"""One of two processes that train together, for test_distributed.py; the test itself does the same alone.

python group_worker.py RANK FOLDER
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed
from grouped import FolderStore, work_in_group

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.losses import DiceConfig, FocalConfig
from segspade_core.config.optimisation import (
    AdamConfig,
    AveragingConfig,
    EarlyStoppingConfig,
    PolySchedule,
    SGDConfig,
)
from segspade_core.errors import InputError
from segspade_core.segmentation import train_segmenter
from segspade_core.training.distributed import is_first
from segspade_core.training.events import TrainingStopped

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.choice([4, 5, 7, 8], (7, 8, 12)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
# shares know different numbers of pixels
for _index in range(7):
    LABEL_IDS[_index, : 8 * _index] = 0
VAL = slice(0, 3)

FCN32 = SegmenterConfig(
    encoder="resnet18", weights="none", num_classes=9, epochs=2, batch=4,
    augment=AugmentConfig(crop=(64, 64), scale=(0.8, 1.2)), optimiser=SGDConfig(lr=0.02, clip_norm=2.0),
    schedule=PolySchedule(), average=AveragingConfig(decay=0.5), seed=3,
)  # fmt: skip
# its encoder is of timm, with activations in its batch norms
UNET = FCN32.model_copy(
    update={
        "encoder": "tu-lcnet_035", "head": "unet", "batch": 2, "accumulate": 3, "loss": (FocalConfig(),),
        "optimiser": SGDConfig(lr=0.02, clip_norm=0.5, frozen_encoder_epochs=1),
    }
)  # fmt: skip
# each epoch ends with a batch that has no two shares alike, of three samples, or that is of one
RECIPES = {"fcn32": FCN32, "unet": UNET}
# dropout, and an end before the last epoch
FPN = FCN32.model_copy(
    update={
        "encoder": "tu-lcnet_035", "head": "fpn", "epochs": 3, "optimiser": AdamConfig(lr=1e-3),
        "loss": (FocalConfig(), DiceConfig()),
        "early_stopping": EarlyStoppingConfig(patience=1, min_gain=0.99),
    }
)  # fmt: skip


def train(config: SegmenterConfig, folder: Path, stop_at: int | None = None) -> dict[str, Any]:
    """A whole training; of several processes the last alone is asked to stop, at step `stop_at`."""
    asked, events = 0, []
    alone = not torch.distributed.is_initialized()

    def should_stop() -> bool:
        nonlocal asked
        asked += 1
        return asked == stop_at and (alone or not is_first())

    if not alone:
        torch.distributed.barrier()  # the first process may still be saving what it did before
    try:
        result = train_segmenter(
            config, IMAGES, LABEL_IDS, IMAGES[VAL], LABEL_IDS[VAL],
            checkpoints=FolderStore(folder), checkpoint_every_steps=100,
            on_event=events.append, should_stop=should_stop,
        )  # fmt: skip
    except TrainingStopped as stopped:
        return {"stopped": str(stopped), "events": len(events)}
    return {
        "last": result.last,
        "best": result.best,
        "history": vars(result.history),
        "events": len(events),
        "seed": torch.initial_seed(),  # of what this process drew in the last step
    }


def work(rank: int, folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, config in RECIPES.items():
        found[name] = train(config, folder / f"{name} of two")
    found["stopped"] = train(UNET, folder / "from two", stop_at=3)
    found["from one"] = train(UNET, folder / "from one")
    found["fpn"] = train(FPN, folder / "fpn")
    found["fpn stopped"] = train(FPN, folder / "fpn resumed", stop_at=3)
    torch.manual_seed(1234 + rank)
    found["fpn resumed"] = train(FPN, folder / "fpn resumed")
    try:
        train(FCN32.model_copy(update={"batch": 3}), folder / "odd")
    except InputError as error:
        found["odd"] = str(error)
    return found


if __name__ == "__main__":
    work_in_group(work)
