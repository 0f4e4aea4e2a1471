"""What a generator in training paints by now: a few frames of the train split."""

from __future__ import annotations

import numpy as np
import torch

from segspade_core.config import GeneratorConfig
from segspade_core.errors import InputError
from segspade_core.spade.batches import TrainingData
from segspade_core.spade.generator import check_size
from segspade_core.spade.painting import to_uint8
from segspade_core.spade.state import TrainingState

_FRAMES = 3


@torch.no_grad()
def paint_panel(state: TrainingState, data: TrainingData) -> list[list[np.ndarray]]:
    """Rows of label map (H, W) uint8, photograph and painting (H, W, 3) uint8, of a few frames.

    The averaged network paints, in the mean style, each frame in its own city and time of day; nothing that
    training goes on from is touched.
    """
    config, network = state.config, state.average.network.eval()
    count = min(_FRAMES, len(data.images))
    plain = config.model_copy(update={"flip": 0.0, "crop": _crop(config, data)})
    rows = []
    for index in np.linspace(0, len(data.images) - 1, count).astype(int).tolist():
        batch = data.samples(plain, 0, [index])
        semantics = batch.semantics(config.generator.num_labels, state.device)
        code = network.code_book(None, batch.conditions, 1) if batch.conditions else None
        images = torch.cat([batch.images, network(semantics, code).cpu()])
        photograph, painted = to_uint8(images).permute(0, 2, 3, 1).numpy()
        rows.append([batch.label_ids[0].numpy(), photograph, painted])
    return rows


def _crop(config: GeneratorConfig, data: TrainingData) -> tuple[int, int] | None:
    """None where the network can paint whole frames; else the training's crop, which it can paint."""
    try:
        check_size(config.generator, *data.images.shape[1:3])
    except InputError:
        return config.crop
    return None
