"""Memory that runs out is told in a sentence: what there was no room for, where, and what to lower."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.errors import InputError, OutOfMemory
from segspade_core.segmentation import train_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.segmentation.model import Segmenter
from segspade_core.segmentation.room import no_room_for_step
from segspade_core.training.checkpoint import MemoryCheckpoints, unpack_state
from segspade_core.training.divergence import Place
from segspade_core.training.memory import is_out_of_memory

pytestmark = pytest.mark.usefixtures("tiny_encoder")
CONFIG = SegmenterConfig(encoder="resnet18", weights="none", num_classes=9, epochs=2, batch=4, seed=3)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (4, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(4, 9, (4, 64, 96), dtype=np.uint8)


def train(store: MemoryCheckpoints | None = None) -> None:
    train_segmenter(
        CONFIG, IMAGES, LABEL_IDS, IMAGES[:1, :32], LABEL_IDS[:1, :32],
        checkpoints=MemoryCheckpoints() if store is None else store, checkpoint_every_steps=1,
    )  # fmt: skip


def out_of_room() -> Any:
    """A petabyte: refused at once, by the allocator itself."""
    return torch.empty(1 << 50, dtype=torch.uint8)


def cuda_says() -> Any:
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


def numpy_says() -> Any:
    return np.empty(1 << 50, np.uint8)


@pytest.mark.parametrize("fails", [out_of_room, cuda_says, numpy_says])
def test_a_step_without_room_says_what_to_lower(fails: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a stack trace; a good checkpoint lost."""
    store = MemoryCheckpoints()
    real, seen = Segmenter.scores, []

    def scores(self: Segmenter, images: torch.Tensor) -> torch.Tensor:
        seen.append(self.training)
        return fails() if sum(seen) == 2 else real(self, images)

    monkeypatch.setattr(Segmenter, "scores", scores)
    with pytest.raises(InputError) as told:
        train(store)
    assert str(told.value) == (
        "step 1 of epoch 2: out of memory on the CPU with a batch of 4 photographs of 64x96 in fp32; lower "
        "segmenter.batch, such as to 2 with segmenter.accumulate 2, which keeps their product, or set "
        "segmenter.augment.crop, such as to 32x32, or set segmenter.precision to bf16"
    )
    assert told.value.__cause__ is not None
    assert unpack_state(store.saved["last"])["taken"] == 1


def test_a_validation_without_room_does_not_blame_the_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    real = Segmenter.scores

    def scores(self: Segmenter, images: torch.Tensor) -> torch.Tensor:
        return real(self, images) if self.training else out_of_room()

    monkeypatch.setattr(Segmenter, "scores", scores)
    with pytest.raises(OutOfMemory) as told:
        train()
    assert str(told.value) == (
        "validation after epoch 1: out of memory on the CPU with one val photograph of 32x96 in fp32, which "
        "is scored as a whole; lower ingest.size, or take another segmenter.head or segmenter.encoder"
    )


def test_a_batch_that_cannot_be_made_is_told_likewise(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: what fails in the thread that makes batches is told otherwise, or of another step."""
    real = LabelledImages.batch

    def batch(self: LabelledImages, config: SegmenterConfig, epoch: int, step: int) -> Any:
        return numpy_says() if epoch else real(self, config, epoch, step)

    monkeypatch.setattr(LabelledImages, "batch", batch)
    with pytest.raises(OutOfMemory, match=r"^step 1 of epoch 2: out of memory on the CPU with a batch of 4"):
        train()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"batch": 9, "accumulate": 2, "precision": "bf16", "augment": AugmentConfig(crop=(512, 1024))},
            "step 3 of epoch 2: out of memory on the CPU with a batch of 9 crops of 512x1024 in bf16; lower "
            "segmenter.batch, such as to 3 with segmenter.accumulate 6, which keeps their product, or lower "
            "segmenter.augment.crop, such as to 256x512",
        ),
        (
            {"batch": 1},
            "step 3 of epoch 2: out of memory on the CPU with a batch of 1 photograph of 1000x2000 in fp32; "
            "set segmenter.augment.crop, such as to 480x992, or set segmenter.precision to bf16",
        ),
    ],
)
def test_nothing_is_advised_that_is_so_already(settings: dict[str, Any], sentence: str) -> None:
    """Fault: bf16 advised in bf16, half a sample, another product of batch and accumulate."""
    config = CONFIG.model_copy(update=settings)
    place = Place(epoch=1, step=2, steps=5, good=0)
    assert no_room_for_step(config, (1000, 2000), torch.device("cpu"), place) == sentence


def test_other_errors_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a fault of the code told as one of the settings."""
    for error in (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), ValueError("out of memory")):
        assert not is_out_of_memory(error)
    for words in ("MPS backend out of memory (…)", "CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling …"):
        assert is_out_of_memory(RuntimeError(words))

    def scores(*_: Any) -> torch.Tensor:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr(Segmenter, "scores", scores)
    with pytest.raises(RuntimeError, match=r"^shapes cannot be multiplied$"):
        train()
