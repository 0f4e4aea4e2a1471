"""Windows and looks: a blend that changes nothing where windows do not matter, in bounded memory."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional as F

from segspade_core.config import LookConfig, WindowsConfig
from segspade_core.segmentation import Segmenter, predict
from segspade_core.segmentation.choice import choose
from segspade_core.segmentation.looks import averaged_probs
from segspade_core.segmentation.model import STRIDE
from segspade_core.segmentation.windows import blended_rows, spans


class Narrow(nn.Module):
    """Pixels see 2 to each side, and know where in a cell of the stride they lie."""

    label_space = "ids"
    untaught = ()

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 8, 5, padding=2, padding_mode="replicate")

    def forward(self, images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        phase = (torch.arange(height)[:, None] + torch.arange(width)) % STRIDE / STRIDE
        return self.conv(images) + phase


IMAGE = np.random.default_rng(0).integers(0, 256, (1, 150, 231, 3), dtype=np.uint8)


@given(st.integers(1, 700), st.integers(32, 300), st.sampled_from([0, 0.1, 0.25, 0.5, 0.75]))
@settings(max_examples=200, deadline=None)
def test_spans_cover_a_side_and_their_weights_sum_to_one(length: int, size: int, overlap: float) -> None:
    """Fault: a pixel that no window sees, a seam, less overlap than asked, or too large a window."""
    found = spans(length, size, overlap)
    total = torch.zeros(length, dtype=torch.float64)
    for span in found:
        assert span.stop - span.start == len(span.weights) <= size
        assert span.start % STRIDE == 0
        assert span.weights.min() >= 0
        total[span.start : span.stop] += span.weights
    torch.testing.assert_close(total, torch.ones_like(total), rtol=0, atol=1e-6)
    assert (found[0].start, found[-1].stop) == (0, length)
    for before, after in pairwise(found):
        shared = before.stop - after.start
        assert shared >= 0
        if int(size * (1 - overlap)) >= STRIDE:
            assert shared >= int(size * overlap) or after is found[-1]
        # who sees only the rim's outer quarter has no say
        assert not before.weights[len(before.weights) - shared // 4 :].any()
        assert not after.weights[: shared // 4].any()


def test_a_blend_by_hand() -> None:
    """Golden: 96 pixels, windows of 64 that share 32: constant, 16 pixels of slope, constant."""
    first, second = spans(96, 64, 0.5)
    assert (first.start, first.stop, second.start, second.stop) == (0, 64, 32, 96)
    slope = [(16 - step - 0.5) / 16 for step in range(16)]
    assert first.weights.tolist() == pytest.approx([1.0] * 40 + slope + [0.0] * 8)
    assert second.weights.tolist() == pytest.approx(first.weights.tolist()[::-1])


@pytest.mark.parametrize(
    ("size", "overlap"), [("64x64", 0.25), ("64x128", 0.5), ("160x64", 0.5), ("128x128", 0.75)]
)
def test_where_nothing_sees_past_a_windows_rim_the_blend_is_the_whole(size: str, overlap: float) -> None:
    """Fault: rims counted, a window a pixel off or at another phase, rows mixed up as the strip moves on."""
    model, windows = Narrow(), WindowsConfig(size=size, overlap=overlap)
    image = torch.from_numpy(IMAGE[0]).permute(2, 0, 1)[None] / 255
    seen: list[tuple[int, int]] = []

    def scores_of(top: int, bottom: int, left: int, right: int) -> Tensor:
        seen.append((bottom - top, right - left))
        return model(image[..., top:bottom, left:right])[0]

    with torch.no_grad():
        whole = model(image)[0]
        strips = [(top, strip.clone()) for top, strip in blended_rows(scores_of, 150, 231, windows)]
    assert [top for top, _ in strips] == [0, *np.cumsum([strip.shape[1] for _, strip in strips])[:-1]]
    torch.testing.assert_close(torch.cat([strip for _, strip in strips], 1), whole, rtol=1e-5, atol=1e-5)
    assert max(side for side, _ in seen) <= windows.size[0]
    assert max(side for _, side in seen) <= windows.size[1]
    assert max(strip.shape[1] for _, strip in strips) <= windows.size[0]  # a row of windows, no more
    assert len(seen) > 2


def test_predictions_through_windows_are_those_of_the_whole() -> None:
    """Fault: strips written to other rows; windows of other images; void chosen."""
    model = Narrow()
    images = np.concatenate([IMAGE, IMAGE[:, ::-1, ::-1]])
    look = LookConfig(windows=WindowsConfig(size="64x64", overlap=0.25))
    whole, blended = predict(model, images), predict(model, images, look=look)
    assert (whole != blended).mean() < 1e-3  # ties, up to rounding
    assert len(np.unique(blended)) > 2
    one = predict(model, images, look=LookConfig(windows=WindowsConfig(size="256x256")))
    np.testing.assert_array_equal(one, whole)  # a window larger than the photograph


def test_a_real_network_far_from_every_rim_says_the_same() -> None:
    """Fault: windows at another phase of the stride, which moves every feature map."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 6).eval()
    model.encoder = nn.Sequential(model.encoder[0], *[nn.MaxPool2d(2)] * 4)  # sees 3 pixels past its cell
    model.classifier = nn.Conv2d(64, 6, 1)
    image = np.random.default_rng(1).integers(0, 256, (1, 200, 500, 3), dtype=np.uint8)
    look = LookConfig(windows=WindowsConfig(size="512x320", overlap=0.6))  # quarters of 48 or more
    assert (predict(model, image) != predict(model, image, look=look)).mean() < 1e-3


def test_looks_are_averaged_as_their_definition_says() -> None:
    """Fault: logits averaged, a look left out or counted twice, a mirrored one not mirrored back."""
    model, images = Narrow(), torch.rand(1, 3, 40, 50)
    with torch.no_grad():
        probs = averaged_probs(model, images, (0.5, 1.0), flip=True)
        expected = torch.zeros_like(probs)
        for size in ((20, 25), (40, 50)):
            scaled = F.interpolate(images, size, mode="bilinear", antialias=True)
            for axes in ([], [3]):
                look = torch.softmax(model(torch.flip(scaled, axes)), 1)
                back = F.interpolate(torch.flip(look, axes), (40, 50), mode="bilinear", antialias=True)
                expected += back / 4
    torch.testing.assert_close(probs, expected, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(probs.sum(1), torch.ones(1, 40, 50))


@pytest.mark.parametrize("windows", [None, WindowsConfig(size="64x64", overlap=0.5)])
def test_a_mirrored_photograph_is_read_mirrored_where_both_are_looked_at(
    windows: WindowsConfig | None,
) -> None:
    """Fault: `flip` or `scales` left out beside windows, or the other way round."""
    model = Narrow()
    image = np.ascontiguousarray(IMAGE[:, :64, :192])
    look = LookConfig(windows=windows, flip=True, scales=(1.0, 1.5))
    there, back = predict(model, image, look=look), predict(model, image[:, :, ::-1], look=look)
    assert (there != back[:, :, ::-1]).mean() < 1e-3
    plain = predict(model, image), predict(model, image[:, :, ::-1])[:, :, ::-1]
    assert (plain[0] != plain[1]).mean() > 0.01


def test_one_look_is_the_plain_prediction() -> None:
    """Fault: probabilities for logits, which round and could move a choice; results would need new keys."""
    model = Narrow()
    with torch.no_grad():
        logits = model(torch.from_numpy(IMAGE).permute(0, 3, 1, 2) / 255)
    np.testing.assert_array_equal(predict(model, IMAGE, look=LookConfig()), choose(logits).numpy())
