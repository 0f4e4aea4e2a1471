"""The networks on a CUDA device beside the same on the CPU: for machines that have one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from segspade_core.config import (
    AugmentConfig,
    GeneratorArchitecture,
    GeneratorConfig,
    LookConfig,
    LossWeights,
    PatchArchitecture,
    RuntimeConfig,
    SegmenterConfig,
)
from segspade_core.config.losses import DiceConfig, FocalConfig, LovaszConfig, OhemConfig
from segspade_core.config.optimisation import AdamConfig, AveragingConfig, PolySchedule
from segspade_core.config.stages import WindowsConfig
from segspade_core.errors import InputError, OutOfMemory
from segspade_core.segmentation import Segmenter, predict, train_segmenter
from segspade_core.segmentation.loss import cross_entropy, upsampled_cross_entropy
from segspade_core.segmentation.model import BilinearUpsampling
from segspade_core.segmentation.trials import memorise
from segspade_core.spade import load_generator, shipped_weights
from segspade_core.spade.fast import FastGenerator
from segspade_core.spade.semantics import one_hot_semantics
from segspade_core.spade.train import train_generator
from segspade_core.training.checkpoint import MemoryCheckpoints
from segspade_core.training.events import TrainingStopped
from tasks.training_group import _device_of

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device"),
]
CONFIG = SegmenterConfig(
    encoder="resnet18",
    weights="none",
    num_classes=9,
    epochs=3,
    batch=2,
    optimiser=AdamConfig(lr=1e-3, clip_norm=5.0),
    schedule=PolySchedule(),
    average=AveragingConfig(decay=0.9),
    augment=AugmentConfig(crop=(64, 64), scale=(0.8, 1.25), brightness=0.4, contrast=0.4, saturation=0.4),
    seed=3,
)
RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (6, 64, 96, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.choice([4, 5, 7, 8], (6, 8, 12)).astype(np.uint8).repeat(8, 1).repeat(8, 2)
PAINTER = GeneratorArchitecture(num_labels=35, width=8, max_channels=32, hidden=8, upsamplings=3)


@pytest.fixture(autouse=True)
def _as_exact_as_the_cpu() -> Iterator[None]:
    """Without TensorFloat-32, which convolutions take by default and which rounds to three digits."""
    before = torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision
    torch.backends.cudnn.conv.fp32_precision = torch.backends.cuda.matmul.fp32_precision = "ieee"
    yield
    torch.backends.cudnn.conv.fp32_precision, torch.backends.cuda.matmul.fp32_precision = before


def train(device: str, config: SegmenterConfig = CONFIG, store: Any = None, **more: Any) -> Any:
    return train_segmenter(
        config, IMAGES, LABEL_IDS, IMAGES[:2], LABEL_IDS[:2], device=device,
        checkpoints=store or MemoryCheckpoints(), checkpoint_every_steps=1000, **more,
    )  # fmt: skip


def losses(result: Any) -> np.ndarray:
    return np.array([row["loss"] for row in result.history.steps])


def test_a_training_sees_what_one_on_the_cpu_sees() -> None:
    """Fault: a batch is overwritten while it is on its way; colours or targets differ on the device."""
    here, there = train("cpu"), train("cuda")
    # Adam's first steps are nearly signs of the gradient: what rounds otherwise is soon seen
    np.testing.assert_allclose(losses(there)[:2], losses(here)[:2], rtol=1e-4)
    np.testing.assert_allclose(losses(there), losses(here), rtol=0.1)
    assert there.history.epochs[-1].keys() == here.history.epochs[-1].keys()


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_stopped_training_goes_on(precision: str) -> None:
    """Fault: moments come back on another device or in another layout; a batch is seen twice."""
    config = CONFIG.model_copy(update={"precision": precision})
    whole = train("cuda", config)
    store, asked = MemoryCheckpoints(), iter([False, False, False, True])
    with pytest.raises(TrainingStopped):
        train("cuda", config, store, should_stop=lambda: next(asked))
    torch.manual_seed(99)
    resumed = train("cuda", config, store)
    # the GPU adds in no fixed order, and nine steps let that grow
    np.testing.assert_allclose(losses(resumed), losses(whole), rtol=0.05)
    assert len(resumed.history.steps) == len(whole.history.steps) == 9


@pytest.mark.parametrize("changes", [
    {"precision": "bf16"},
    {"head": "deeplabv3plus", "loss": (FocalConfig(), DiceConfig())},
    {"head": "unet", "precision": "bf16", "loss": (LovaszConfig(), OhemConfig())},
    {"compile": True},
])  # fmt: skip
def test_every_way_to_train_learns_a_batch(changes: dict[str, Any]) -> None:
    """Fault: a loss, a head or autocast works on the CPU alone."""
    augment = AugmentConfig(flip=0)
    config = CONFIG.model_copy(update={"average": None, "augment": augment, "batch": 4, **changes})
    found = memorise(config, IMAGES, LABEL_IDS, device="cuda", steps=200)
    assert found.learned, found


def test_the_head_and_its_loss_are_the_plain_ones() -> None:
    """Fault: chunks of another size, or a scatter, that give another loss or gradient on the device."""
    torch.manual_seed(0)
    up = BilinearUpsampling(9, 32).cuda()
    scores = torch.randn(3, 9, 2, 4, device="cuda", requires_grad=True)
    targets = torch.randint(4, 9, (3, 60, 128), dtype=torch.uint8, device="cuda")
    targets[:, :7] = 255
    fast = upsampled_cross_entropy(up, scores, targets)
    (of_fast,) = torch.autograd.grad(fast, scores)
    plain = cross_entropy(up(scores)[..., :60, :], targets)
    (of_plain,) = torch.autograd.grad(plain, scores)
    torch.testing.assert_close(fast, plain)
    torch.testing.assert_close(of_fast, of_plain, atol=1e-7, rtol=1e-4)


@pytest.mark.parametrize("look", [
    LookConfig(),
    LookConfig(flip=True, scales=(1.0, 1.25)),
    LookConfig(windows=WindowsConfig(size=(64, 64), overlap=0.5)),
])  # fmt: skip
def test_predictions_are_those_of_the_cpu(look: LookConfig) -> None:
    """Fault: maps are copied back before they are there."""
    torch.manual_seed(1)
    model = Segmenter("resnet18", 9)
    here, sure_here = predict(model, IMAGES, "cpu", look), np.zeros(LABEL_IDS.shape, np.uint8)
    predict(model, IMAGES, "cpu", look, sure_here)
    sure_there = np.zeros(LABEL_IDS.shape, np.uint8)
    there = predict(model, IMAGES, "cuda", look, sure_there)
    assert (here == there).mean() > 0.999
    assert np.abs(sure_here.astype(int) - sure_there).max() <= 1


def test_no_room_is_told_with_what_to_lower() -> None:
    """Fault: a stack trace of CUDA; the device unnamed."""
    config = CONFIG.model_copy(update={"batch": 6, "head": "unet", "augment": AugmentConfig(crop=(512, 512))})
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.005)
    try:
        with pytest.raises(OutOfMemory) as told:
            train("cuda", config)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
        torch.cuda.empty_cache()
    message = str(told.value)
    assert f"out of memory on cuda ({torch.cuda.get_device_name()})" in message
    assert "batch of 6 crops of 512x512 in fp32" in message
    assert "segmenter.batch" in message
    assert "segmenter.augment.crop" in message


@pytest.mark.parametrize(("dtype", "most"), [(torch.float32, 5e-4), (torch.bfloat16, 0.1)])
def test_the_fast_generator_paints_what_the_dense_one_paints(dtype: torch.dtype, most: float) -> None:
    """Fault: tables sorted otherwise on the device, or kept for a map that is another."""
    generator = load_generator(shipped_weights("minicity")[0], "minicity").eval().requires_grad_(False)
    label_ids = torch.from_numpy(LABEL_IDS)
    edges = torch.rand(label_ids.shape, generator=torch.Generator().manual_seed(0)) < 0.1
    with torch.inference_mode():
        dense = generator(one_hot_semantics(label_ids, edges, generator.architecture.num_labels))
        fast = FastGenerator(generator.cuda(), dtype)
        for part in (slice(0, 2), slice(2, 3), slice(0, 2)):
            painted = fast(label_ids[part].cuda(), edges[part].cuda()).cpu()
            assert (painted - dense[part]).abs().max() <= most


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_generator_learns_what_it_learns_on_the_cpu(precision: str) -> None:
    """Fault: patches, edges or random styles that work on the CPU alone."""
    config = GeneratorConfig(
        generator=PAINTER, discriminator=PatchArchitecture(width=8, scales=2, layers=2),
        losses=LossWeights(reconstruction=5.0, perceptual=0.0), perceptual_weights="none",
        precision=precision, epochs=2, batch=2, seed=3,
    )  # fmt: skip
    here, there = (
        train_generator(
            config, IMAGES, LABEL_IDS, device=device, checkpoints=MemoryCheckpoints(),
            checkpoint_every_steps=1000,
        ).history.steps
        for device in ("cpu", "cuda")
    )  # fmt: skip
    for name, value in here[0].items():
        assert there[0][name] == pytest.approx(value, rel=0.05 if precision == "bf16" else 5e-3), name
    assert all(np.isfinite(list(row.values())).all() for row in there)


def test_more_processes_than_devices_are_refused() -> None:
    """Fault: two processes on one GPU wait for each other for ever, in NCCL."""
    count = torch.cuda.device_count() + 1
    with pytest.raises(InputError, match=f"runtime.processes {count}: each takes a CUDA device of its own"):
        _device_of(0, count, RuntimeConfig(device="cuda"))
