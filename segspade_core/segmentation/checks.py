"""What a training is refused for before it begins."""

from __future__ import annotations

from segspade_core.config import SegmenterConfig
from segspade_core.errors import InputError
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.heads import POOLING_HEADS
from segspade_core.training.distributed import check_shares
from segspade_core.training.early_stopping import NOTHING_TO_WATCH


def check_training(config: SegmenterConfig, train: LabelledImages, val: LabelledImages | None) -> None:
    """Raise InputError unless the arrays fit each other and `config`, as far as can be told at once.

    So where the batch cannot be shared alike by the processes that there are.
    """
    train.check()
    check_shares(config.batch)
    height, width = train.images.shape[1:3]
    if (fault := config.augment.fault_of_crop((height, width))) is not None:
        raise InputError(f"segmenter.{fault}")
    _check_statistics(config, train)
    if val is not None:
        val.check()
    elif config.early_stopping is not None:
        raise InputError(NOTHING_TO_WATCH)


def _check_statistics(config: SegmenterConfig, train: LabelledImages) -> None:
    """Batch norm needs more than one value of each channel, and the last feature map is 1/32 of the crop."""
    height, width = config.augment.crop or train.images.shape[1:3]
    alone = min(config.batch, len(train)) == 1
    if alone and config.head in POOLING_HEADS:
        raise InputError(
            f"one sample a step: the head '{config.head}' normalises means over whole images, and batch norm "
            "has nothing to average; raise segmenter.batch, or take another segmenter.head"
        )
    if alone and max(height, width) <= 32:
        raise InputError(
            f"one sample of {height}x{width} a step: batch norm has nothing to average; raise "
            "segmenter.batch or train on more than 32x32 pixels"
        )
