"""The network: torchvision's features, a transposed convolution, any image size."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional as F

from segspade_core.segmentation.encoders import IMAGENET_MEAN, IMAGENET_STD
from segspade_core.segmentation.loss import cross_entropy, upsampled_cross_entropy
from segspade_core.segmentation.model import (
    BilinearUpsampling,
    Segmenter,
    bilinear_kernel,
)


def upsampling(channels: int = 3, stride: int = 4) -> BilinearUpsampling:
    """With weights that no symmetry hides a fault in."""
    torch.manual_seed(0)
    layer = BilinearUpsampling(channels, stride)
    nn.init.normal_(layer.weight)
    return layer


def test_upsampling_is_the_transposed_convolution_gradients_too() -> None:
    """Fault: kernel not flipped, in and out swapped, a border cell lost, half a cell off."""
    layer = upsampling()
    peer = nn.ConvTranspose2d(3, 3, kernel_size=8, stride=4, padding=2, bias=False)
    peer.load_state_dict(layer.state_dict())
    x = torch.randn(2, 3, 3, 5)
    inputs = [x.clone().requires_grad_() for _ in range(2)]
    towards = torch.randn(2, 3, 12, 20)
    outputs = [network(value) for network, value in zip((layer, peer), inputs, strict=True)]
    for output in outputs:
        output.backward(towards)
    torch.testing.assert_close(outputs[0], outputs[1], rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inputs[0].grad, inputs[1].grad, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(layer.weight.grad, peer.weight.grad, rtol=1e-5, atol=1e-4)


def test_it_starts_as_bilinear_interpolation_of_each_class_alone() -> None:
    """Fault: a kernel that sums to something else, or classes mixed at the start."""
    x = torch.randn(1, 3, 4, 6)
    ours = BilinearUpsampling(3, 32)(x)
    expected = F.interpolate(x, scale_factor=32, mode="bilinear", align_corners=False)
    inside = (slice(None), slice(None), slice(16, -16), slice(16, -16))  # at the rim zeros come in
    torch.testing.assert_close(ours[inside], expected[inside], rtol=1e-5, atol=1e-5)
    # by hand: stride 2 has weights 1/4, 3/4, 3/4, 1/4 each way
    assert bilinear_kernel(2)[0].tolist() == [0.0625, 0.1875, 0.1875, 0.0625]


def test_features_are_torchvisions() -> None:
    """Fault: a layer left out or the wrong normalisation."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 5).eval()
    peer = torchvision.models.resnet18().eval()
    peer.load_state_dict(model.encoder.state_dict(), strict=False)
    images = torch.rand(1, 3, 64, 96)
    x = (images - torch.tensor(IMAGENET_MEAN).view(3, 1, 1)) / torch.tensor(IMAGENET_STD).view(3, 1, 1)
    features = nn.Sequential(*list(peer.children())[:-2])(x)
    with torch.no_grad():
        torch.testing.assert_close(model.encoder((images - model.mean) / model.std), features)
        scores = model.classifier(features)
        torch.testing.assert_close(model.scores(images), scores)
        torch.testing.assert_close(model(images), model.upsample(scores))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (31, 33), (64, 65)])
def test_any_size_is_the_padded_image_cut_back(height: int, width: int) -> None:
    """Fault: a size that is no multiple of 32 refused, scaled, or padded at the top."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 4).eval()
    images = torch.rand(1, 3, height, width)
    down, across = -height % 32, -width % 32
    repeated = F.pad(images, (0, across, 0, down), mode="replicate")
    with torch.no_grad():
        logits = model(images)
        assert logits.shape == (1, 4, height, width)
        torch.testing.assert_close(logits, model(repeated)[..., :height, :width], rtol=1e-4, atol=1e-5)


def test_images_of_another_layout_are_refused() -> None:
    with pytest.raises(
        ValueError, match=r"images have shape \(1, 8, 8, 3\); the segmenter takes \(B, 3, H, W\)"
    ):
        Segmenter("resnet18", 2)(torch.zeros(1, 8, 8, 3))


def test_void_does_not_count_in_the_loss() -> None:
    """Fault: void learned as a class, or counted in the denominator. Peer: F.cross_entropy."""
    logits = torch.randn(2, 5, 4, 6, dtype=torch.float64).requires_grad_()
    targets = torch.randint(0, 5, (2, 4, 6), dtype=torch.uint8)
    targets[0, :3] = 255
    expected = F.cross_entropy(logits, targets.long(), ignore_index=255)
    torch.testing.assert_close(cross_entropy(logits, targets), expected)
    assert cross_entropy(logits, torch.full_like(targets, 255)).item() == 0


@pytest.mark.parametrize(("height", "width"), [(64, 96), (60, 70)])
@pytest.mark.parametrize("chunk_bytes", [1, 1 << 20, 1 << 30])
def test_the_loss_in_cells_is_the_loss_of_the_image(
    height: int, width: int, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault: targets half a cell off, a chunk lost, gradients of void, or divided by all pixels."""
    monkeypatch.setattr("segspade_core.segmentation.loss._CHUNK_BYTES", {"cpu": chunk_bytes})
    layer = upsampling(stride=32)
    scores = torch.randn(2, 3, 2, 3).requires_grad_()
    targets = torch.randint(0, 3, (2, height, width), dtype=torch.uint8)
    targets[1, 5:40] = 255
    logits = layer(scores)[..., :height, :width]
    expected = F.cross_entropy(logits, targets.long(), ignore_index=255)
    gradients = torch.autograd.grad(3 * expected, [scores, layer.weight])
    loss = upsampled_cross_entropy(layer, scores, targets)
    torch.testing.assert_close(loss, expected)
    for ours, theirs in zip(torch.autograd.grad(3 * loss, [scores, layer.weight]), gradients, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-6)


def test_a_batch_of_nothing_but_void_teaches_nothing() -> None:
    """Fault: 0 / 0, which would end training at the first frame without labels."""
    layer, scores = upsampling(stride=32), torch.randn(1, 3, 1, 1).requires_grad_()
    loss = upsampled_cross_entropy(layer, scores, torch.full((1, 32, 32), 255, dtype=torch.uint8))
    assert loss.item() == 0
    assert not torch.autograd.grad(loss, scores)[0].any()


def test_the_head_stays_in_float32_under_autocast() -> None:
    """Fault: logits or loss rounded to 8 bits of mantissa."""
    layer, scores = upsampling(stride=32), torch.randn(1, 3, 1, 1)
    targets = torch.zeros(1, 32, 32, dtype=torch.uint8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        logits, loss = layer(scores), upsampled_cross_entropy(layer, scores, targets)
    assert logits.dtype == torch.float32
    assert torch.equal(logits, layer(scores))
    assert torch.equal(loss, upsampled_cross_entropy(layer, scores, targets))
