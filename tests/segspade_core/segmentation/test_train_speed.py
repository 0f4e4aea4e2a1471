"""What makes training faster changes no result: threads that make batches, and a compiled network."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.config.optimisation import AdamConfig
from segspade_core.errors import InputError
from segspade_core.segmentation import SegmenterResult, train_segmenter
from segspade_core.segmentation.batches import LabelledImages
from segspade_core.training.checkpoint import MemoryCheckpoints
from segspade_core.training.events import TrainingStopped

pytestmark = pytest.mark.usefixtures("tiny_encoder")
CONFIG = SegmenterConfig(
    encoder="resnet18", weights="none", num_classes=9, epochs=2, batch=2, accumulate=2,
    augment=AugmentConfig(crop=(64, 64), scale=(0.8, 1.2)), optimiser=AdamConfig(lr=1e-2), seed=3,
)  # fmt: skip
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (7, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(4, 9, (7, 64, 96), dtype=np.uint8)
STEPS = 4


def train(
    config: SegmenterConfig = CONFIG, store: MemoryCheckpoints | None = None, **more: Any
) -> SegmenterResult:
    store = MemoryCheckpoints() if store is None else store
    return train_segmenter(config, IMAGES, LABEL_IDS, checkpoints=store, checkpoint_every_steps=1, **more)


def stop_after(steps: int) -> Callable[[], bool]:
    asked = iter(range(1, 100))
    return lambda: next(asked) == steps


def test_threads_that_make_batches_change_no_byte_also_over_a_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: batches in the order in which threads end, or what was made in advance lost with a stop."""
    alone = train()
    real = LabelledImages.batch

    def batch(self: LabelledImages, config: SegmenterConfig, epoch: int, step: int) -> Any:
        time.sleep(0.03 * (step < 2))  # the second update of two is ready first
        return real(self, config, epoch, step)

    monkeypatch.setattr(LabelledImages, "batch", batch)
    assert train(workers=2).last == alone.last
    for steps in range(1, STEPS):
        store = MemoryCheckpoints()
        with pytest.raises(TrainingStopped):
            train(store=store, workers=2, should_stop=stop_after(steps))
        resumed = train(store=store, workers=3)
        assert resumed.last == alone.last, steps
        assert resumed.history == alone.history


def test_the_network_is_compiled_for_each_shape_and_only_where_asked_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Fault: kernels for shapes in general, which depend on the shapes that a process saw before."""
    asked: list[dict[str, Any]] = []
    calls: list[torch.Size] = []

    def compile(function: Any, **settings: Any) -> Any:
        asked.append(settings)

        def kernels(images: torch.Tensor) -> Any:
            calls.append(images.shape)
            return function(images)

        return kernels

    monkeypatch.setattr(torch, "compile", compile)
    plain = train()
    assert not asked
    compiled = train(CONFIG.model_copy(update={"compile": True}))
    assert asked == [{"dynamic": False}]
    assert len(calls) == 2 * 4
    # the stand-in computes the same, so nothing else may differ, nor any name in the file
    assert compiled.last == plain.last


def test_a_missing_compiler_is_told_with_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a stack trace of the compiler, or a training that goes on uncompiled under the same key."""

    def no_compiler(*_: Any) -> Any:
        from torch._inductor.exc import InvalidCxxCompiler

        raise InvalidCxxCompiler

    monkeypatch.setattr(torch, "compile", lambda *_, **__: no_compiler)
    with pytest.raises(
        InputError,
        match=r"^segmenter\.compile: torch\.compile does not work here \(No working C\+\+ compiler found.*\)"
        r"; install a C\+\+ compiler such as g\+\+ \(on a GPU, Triton too\), or set segmenter\.compile to",
    ):
        train(CONFIG.model_copy(update={"compile": True}))


@pytest.mark.slow
def test_a_compiled_network_learns_the_same_and_resumes_to_the_same_bytes() -> None:
    """Fault: other gradients, or kernels that depend on where a run went on. The last batch is short."""
    config = CONFIG.model_copy(update={"compile": True, "accumulate": 1, "batch": 4, "epochs": 2})
    whole = train(config)
    plain = train(config.model_copy(update={"compile": False}))
    for row, expected in zip(whole.history.steps, plain.history.steps, strict=True):
        assert row["loss"] == pytest.approx(expected["loss"], rel=1e-3)
    for steps in (1, 3):
        store = MemoryCheckpoints()
        with pytest.raises(TrainingStopped):
            train(config, store, should_stop=stop_after(steps))
        torch.compiler.reset()  # as the next process begins
        assert train(config, store).last == whole.last


def test_keys_stay_and_a_compiled_training_has_its_own() -> None:
    assert "compile" not in SegmenterConfig().model_dump(mode="json")
    assert SegmenterConfig(compile=True).model_dump(mode="json")["compile"] is True
