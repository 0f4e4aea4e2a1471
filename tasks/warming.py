"""Compile what is compiled at its first use, once, where it is installed: `python -m tasks.warming`.

The machine code is kept beside its source, so that no first photograph waits a quarter of a minute for it.
"""

from __future__ import annotations

from pathlib import Path

from segspade_core.config import MinicityConfig, RuntimeConfig
from segspade_core.datasets.minicity import draw_frame
from segspade_core.there_and_back import of_photograph
from tasks.picture_models import ChosenModels, load_models


def warm_up() -> None:
    """Take a small drawn street there and back with the models that ship."""
    models = load_models(Path(), ChosenModels(None, None), RuntimeConfig(device="cpu"))
    street = draw_frame(MinicityConfig(train=1, val=0, size=(64, 128)), "train", 0).sample.image
    of_photograph(models, street, (64, 128), None)


if __name__ == "__main__":
    warm_up()
