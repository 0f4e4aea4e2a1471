"""Every head on every kind of encoder: the library's network, any size, logits in float32."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as library
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torch.nn import functional as F

from segspade_core.config import AugmentConfig, SegmenterConfig
from segspade_core.errors import InputError, WeightsError
from segspade_core.segmentation import (
    Segmenter,
    SegmenterResult,
    load_segmenter,
    pack_segmenter,
    train_segmenter,
)
from segspade_core.segmentation.encoders import colours
from segspade_core.segmentation.features import encoder_features
from segspade_core.segmentation.heads import LIBRARY_HEADS
from segspade_core.segmentation.weights import start_from
from segspade_core.training.checkpoint import MemoryCheckpoints, pack_weights, read_metadata, unpack_weights
from segspade_core.training.events import TrainingStopped
from segspade_core.training.sampling import batch_indices

TINY = "tu-mobilenetv3_small_050"
CLASSES = 5
# what each head's logits are made at, as a part of the size
PARTS = {"fcn32": 32, "unet": 1, "deeplabv3plus": 4, "segformer": 4, "fpn": 4, "upernet": 4}
HEADS = tuple(PARTS)
every_head = pytest.mark.parametrize("head", HEADS)


def network(head: str, encoder: str = TINY, seed: int = 0) -> Segmenter:
    torch.manual_seed(seed)
    return Segmenter(encoder, CLASSES, head).eval()


@pytest.fixture(scope="module")
def networks() -> dict[str, Segmenter]:
    return {head: network(head) for head in HEADS}


def bare(head: str, encoder: str) -> nn.Module:
    kind = getattr(library, LIBRARY_HEADS[head])
    model: nn.Module = kind(encoder, encoder_weights=None, classes=CLASSES)
    return model.eval()


@pytest.mark.parametrize("encoder", ["resnet18", TINY])
@pytest.mark.parametrize("head", LIBRARY_HEADS)
def test_logits_and_parameters_are_the_librarys(head: str, encoder: str) -> None:
    """Fault: a part left out, upsampled otherwise, or colours normalised twice or not at all."""
    model, peer = network(head, encoder), bare(head, encoder)
    peer.load_state_dict(model.state_dict())  # strictly: every name and shape
    assert sum(p.numel() for p in model.parameters()) == sum(p.numel() for p in peer.parameters())
    images = torch.rand(2, 3, 64, 96)
    mean, std = (torch.tensor(colour).view(3, 1, 1) for colour in colours(encoder))
    with torch.no_grad():
        torch.testing.assert_close(model(images), peer((images - mean) / std))


def test_a_plain_head_takes_the_deepest_features_of_any_encoder() -> None:
    """Fault: features of another stage; a stride that the upsampling does not undo."""
    model = network("fcn32", "mit_b0")
    peer = library.encoders.get_encoder("mit_b0").eval()
    nn.Module.load_state_dict(peer, model.encoder.state_dict())
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        features = peer((images - model.mean) / model.std)[-1]
        torch.testing.assert_close(model.scores(images), model.classifier(features))
        assert model(images).shape == (1, CLASSES, 64, 96)
    encoder, (deep,) = sum(p.numel() for p in peer.parameters()), features.shape[1:2]
    upsampling = CLASSES * CLASSES * 64 * 64
    assert sum(p.numel() for p in model.parameters()) == encoder + (deep + 1) * CLASSES + upsampling


@given(st.sampled_from(HEADS), st.integers(1, 70), st.integers(1, 70))
@settings(max_examples=25, deadline=None)
def test_any_size_is_the_padded_image_cut_back(
    networks: dict[str, Segmenter], head: str, height: int, width: int
) -> None:
    """Fault: an odd size refused, scaled, or padded above; a map a pixel off its neighbour's size."""
    images = torch.rand(1, 3, height, width)
    down, across = -height % 32, -width % 32
    repeated = F.pad(images, (0, across, 0, down), mode="replicate")
    with torch.no_grad():
        logits = networks[head](images)
        whole = networks[head](repeated)
        sides = [side // PARTS[head] for side in repeated.shape[-2:]]
        assert list(networks[head].scores(images).shape) == [1, CLASSES, *sides]
    assert (logits.shape, logits.dtype) == ((1, CLASSES, height, width), torch.float32)
    torch.testing.assert_close(logits, whole[..., :height, :width], rtol=1e-4, atol=1e-5)


@every_head
def test_logits_are_upsampled_in_float32_under_autocast(networks: dict[str, Segmenter], head: str) -> None:
    """Fault: logits rounded to 8 bits of mantissa, between which no class can be chosen."""
    model, images = networks[head], torch.rand(1, 3, 32, 32)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        scores = model.scores(images)
        logits = model.to_full_size(scores, 30, 31)
    assert (scores.dtype, logits.dtype) == (torch.bfloat16, torch.float32)
    assert torch.equal(logits, model.to_full_size(scores.float(), 30, 31))


@every_head
def test_bytes_hold_the_network(networks: dict[str, Segmenter], head: str) -> None:
    """Fault: a head forgotten, which another would be loaded for; random numbers of the caller's drawn."""
    model = networks[head]
    content = pack_segmenter(model)
    assert read_metadata(content)["head"] == head
    torch.manual_seed(1)
    before = torch.get_rng_state()
    loaded = load_segmenter(content)
    assert torch.equal(torch.get_rng_state(), before)
    assert (loaded.encoder_name, loaded.head_name, loaded.num_classes) == (TINY, head, CLASSES)
    images = torch.rand(1, 3, 40, 40)
    with torch.no_grad():
        assert torch.equal(loaded(images), model(images))
    assert pack_segmenter(loaded) == content


def test_files_from_before_there_were_heads_are_read() -> None:
    """Golden: what they hold, and no word of a head."""
    model = network("fcn32", "resnet18")
    old = pack_weights(
        model.state_dict(), {"kind": "segmenter", "encoder": "resnet18", "num_classes": CLASSES}
    )
    assert load_segmenter(old).head_name == "fcn32"
    assert sorted({name.partition(".")[0] for name in unpack_weights(old)[0]}) == [
        "classifier",
        "encoder",
        "upsample",
    ]
    with pytest.raises(WeightsError, match=r"^x: 'resnet18' is no encoder this version knows for 'pspnet'"):
        load_segmenter(pack_weights({}, read_metadata(pack_segmenter(model)) | {"head": "pspnet"}), "x")


def test_another_heads_file_gives_its_encoder(tmp_path: Any) -> None:
    """Fault: refused, although ours and the library's ResNets name entries alike; or a head half taken."""
    trained, model = network("fcn32", "resnet18", seed=1), network("unet", "resnet18")
    file = tmp_path / "model.safetensors"
    file.write_bytes(pack_segmenter(trained))
    head = model.segmentation_head[0].weight.clone()
    start_from(model, str(file))
    for name, entry in trained.encoder.state_dict().items():
        assert torch.equal(model.encoder.state_dict()[name], entry), name
    assert torch.equal(model.segmentation_head[0].weight, head)


@pytest.mark.parametrize(
    ("encoder", "head", "message"),
    [
        ("resnet35", "unet", "there is no encoder 'resnet35'; the nearest are resnet50"),
        ("resnet18", "pspnet", "there is no head 'pspnet'; there are fcn32, unet, deeplabv3plus, segformer"),
        (
            "tu-efficientvit_b0",
            "deeplabv3plus",
            r"cannot be had for the head 'deeplabv3plus' \(EfficientVit.* unexpected keyword",
        ),
        ("tu-vit_tiny_patch16_224", "fcn32", "takes images of one size only"),
        (
            "tu-swin_tiny_patch4_window7_224",
            "fpn",
            "takes images of one size only, and photographs are padded",
        ),
    ],
)
def test_what_does_not_go_together_is_refused(encoder: str, head: str, message: str) -> None:
    """Fault: an assertion in the depths of a library, after the photographs were read."""
    with pytest.raises(InputError, match=message):
        Segmenter(encoder, CLASSES, head)


def test_features_are_those_the_head_is_given() -> None:
    """Fault: the image taken for a feature map, or the library's empty map of a size the encoder lacks."""
    model = network("segformer", "mit_b0")
    images = torch.rand(1, 3, 60, 64)
    sizes = [tuple(features.shape[-2:]) for features in encoder_features(model, images)]
    assert sizes == [(16, 16), (8, 8), (4, 4), (2, 2)]


RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2, 32, 64, 3), dtype=np.uint8)
LABEL_IDS = RANDOM.integers(4, 9, (2, 30, 64), dtype=np.uint8)
IMAGES = IMAGES[:, :30]  # no multiple of the stride


def training(head: str, **more: Any) -> SegmenterConfig:
    given = {"epochs": 1, "batch": 2, "augment": AugmentConfig(flip=0), **more}
    return SegmenterConfig(encoder=TINY, head=head, weights="none", num_classes=9, **given)


def train(config: SegmenterConfig, store: MemoryCheckpoints | None = None, **more: Any) -> SegmenterResult:
    store = MemoryCheckpoints() if store is None else store
    return train_segmenter(config, IMAGES, LABEL_IDS, checkpoints=store, checkpoint_every_steps=1, **more)


@every_head
def test_a_step_has_the_loss_of_the_logits_and_moves_every_parameter(head: str) -> None:
    """Fault: logits of another size than the targets; a part that no gradient reaches. Peer: forward."""
    config = training(head)
    result = train(config)
    torch.manual_seed(config.seed)  # dropout goes on from where the drawing of weights ended
    model = Segmenter(TINY, 9, head).to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    order = torch.from_numpy(batch_indices(2, 2, config.seed, 0, 0))
    with torch.no_grad():
        logits = model.train()(torch.from_numpy(IMAGES)[order].permute(0, 3, 1, 2) / 255)
    loss = F.cross_entropy(logits, torch.from_numpy(LABEL_IDS)[order].long())
    assert result.history.steps[0]["loss"] == pytest.approx(loss.item(), rel=1e-4)
    after = unpack_weights(result.last)[0]
    assert not [name for name, entry in model.named_parameters() if torch.equal(after[name], entry)]


def test_a_head_with_dropout_resumes_to_the_same_bytes() -> None:
    """Fault: what dropout draws differs after a stop; bfloat16 logits in the loss, which it refuses."""
    config = training("deeplabv3plus", epochs=2, precision="bf16")
    store = MemoryCheckpoints()
    with pytest.raises(TrainingStopped):
        train(config, store, should_stop=lambda: True)
    assert train(config, store).last == train(config).last


@pytest.mark.parametrize("head", ["deeplabv3plus", "upernet"])
def test_a_head_that_pools_the_image_wants_two_samples(head: str) -> None:
    """Fault: "Expected more than 1 value per channel" in the words of batch norm."""
    config = SegmenterConfig(encoder=TINY, head=head, weights="none", num_classes=9, epochs=1, batch=1)
    with pytest.raises(
        InputError, match=rf"^one sample a step: the head '{head}' normalises means over whole"
    ):
        train(config, MemoryCheckpoints())
