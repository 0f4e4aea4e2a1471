"""What a training step and a validation take room for, in the words of who has to lower it."""

from __future__ import annotations

import torch

from segspade_core.config import SegmenterConfig
from segspade_core.training.divergence import Place


def no_room_for_step(
    config: SegmenterConfig, size: tuple[int, int], device: torch.device, place: Place
) -> str:
    """Says that a step found no room, and what to lower so that it does.

    Args:
        size: of the training photographs, (H, W).
    """
    height, width = config.augment.crop or size
    kind = "crop" if config.augment.crop else "photograph"
    what = f"a batch of {config.batch} {kind}{'s' * (config.batch > 1)}"
    remedies = []
    if config.batch > 1:
        # the largest part of the batch that keeps the product
        parts = next(n for n in range(2, config.batch + 1) if config.batch % n == 0)
        remedies.append(
            f"lower segmenter.batch, such as to {config.batch // parts} with segmenter.accumulate "
            f"{config.accumulate * parts}, which keeps their product"
        )
    remedies.append(
        f"{'lower' if config.augment.crop else 'set'} segmenter.augment.crop, such as to "
        f"{_half(height)}x{_half(width)}"
    )
    if config.precision == "fp32":
        remedies.append("set segmenter.precision to bf16")
    return (
        f"{place}: out of memory on {_named(device)} with {what} of {height}x{width} in {config.precision}; "
        f"{', or '.join(remedies)}"
    )


def no_room_for_validation(split: str, size: tuple[int, int], device: torch.device, place: Place) -> str:
    """Says that a photograph of size (H, W) found no room, which no setting of training changes."""
    height, width = size
    return (
        f"validation after epoch {place.epoch + 1}: out of memory on {_named(device)} with one {split} "
        f"photograph of {height}x{width} in fp32, which is scored as a whole; lower ingest.size, or take "
        "another segmenter.head or segmenter.encoder"
    )


def _half(side: int) -> int:
    """Half of a side in whole strides of 32, and at least one."""
    return max(32, side // 64 * 32)


def _named(device: torch.device) -> str:
    if device.type == "cuda":
        return f"{device} ({torch.cuda.get_device_name(device)})"
    return "the CPU" if device.type == "cpu" else str(device)
