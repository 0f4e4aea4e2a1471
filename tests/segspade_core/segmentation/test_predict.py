"""Predictions: what the network says, of one photograph alone, and never void."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from segspade_core.config import LookConfig, WindowsConfig
from segspade_core.errors import InputError
from segspade_core.labels import VOID_IDS
from segspade_core.segmentation import Segmenter, predict
from segspade_core.segmentation.choice import choose
from segspade_core.segmentation.looks import averaged_probs
from segspade_core.segmentation.windows import blended_rows

IMAGES = np.random.default_rng(1).integers(0, 256, (3, 50, 70, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def model() -> Segmenter:
    """A real encoder, with logits near enough to each other that rounding could tip the choice."""
    torch.manual_seed(0)
    model = Segmenter("resnet18", 34)
    with torch.no_grad():
        model.train()(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255)  # batch statistics of its own
    return model


def test_agrees_with_the_network_run_plainly(model: Segmenter) -> None:
    """Fault: training mode, BGR, 0..255 for 0..1, height and width swapped, or void predicted."""
    label_ids = predict(model, IMAGES)
    assert label_ids.dtype == np.uint8
    assert model.training, "the caller's model was left in another mode"
    with torch.no_grad():
        logits = model.eval()(torch.from_numpy(IMAGES).permute(0, 3, 1, 2) / 255)
    model.train()
    plain = logits.numpy()
    plain[:, list(VOID_IDS)] = -np.inf
    assert (label_ids != plain.argmax(1)).mean() < 1e-3  # a batch of three rounds otherwise
    assert len(np.unique(label_ids)) > 3


def test_no_result_depends_on_its_neighbours(model: Segmenter) -> None:
    """Fault: batches, which take other kernels for other sizes; batch statistics that leak."""
    together = predict(model, IMAGES)
    for index in range(3):
        np.testing.assert_array_equal(predict(model, IMAGES[index : index + 1])[0], together[index])
    np.testing.assert_array_equal(predict(model, IMAGES[::-1])[::-1], together)


def test_any_size_and_none_at_all(model: Segmenter) -> None:
    assert predict(model, IMAGES[:1, :33, :7]).shape == (1, 33, 7)
    assert predict(model, IMAGES[:0]).shape == (0, 50, 70)


@given(st.integers(0, 10_000), st.sampled_from([1 + 3, 19, 34]))
@settings(max_examples=20, deadline=None)
def test_void_is_never_chosen(seed: int, channels: int) -> None:
    """Fault: void chosen where it scores best, which the scores count as a miss."""
    torch.manual_seed(seed)
    logits = torch.randn(1, channels, 3, 4)
    logits[:, list(VOID_IDS)] += 10
    chosen = choose(logits.clone()).numpy()
    classes = [id for id in range(channels) if id not in VOID_IDS]
    expected = np.array(classes)[logits.numpy()[:, classes].argmax(1)]
    np.testing.assert_array_equal(chosen, expected)


def test_two_classes_are_enough(model: Segmenter) -> None:
    """Fault: an index error for void ids beyond the classes."""
    assert choose(torch.tensor([9.0, 1.0]).view(1, 2, 1, 1)).item() == 1


def test_other_arrays_are_refused(model: Segmenter) -> None:
    with pytest.raises(InputError, match=r"^images are \(3, 50, 70, 3\) float64; a segmenter takes"):
        predict(model, IMAGES / 255)
    with pytest.raises(
        InputError, match=r"^images are \(50, 70, 3\) uint8; a segmenter takes \(N, H, W, 3\)"
    ):
        predict(model, IMAGES[0])


@pytest.mark.parametrize(
    "look",
    [
        LookConfig(),
        LookConfig(flip=True),
        LookConfig(windows=WindowsConfig(size="48x64", overlap=0.25)),
    ],
    ids=["once", "mirrored", "windows"],
)
def test_confidence_is_the_share_of_what_was_chosen(model: Segmenter, look: LookConfig) -> None:
    """Peer: a softmax without void. Catches void in the denominator, logits taken for probabilities, a
    confidence of another row of windows, and maps that change where confidence is asked for."""
    confidence = np.zeros(IMAGES.shape[:3], np.uint8)
    label_ids = predict(model, IMAGES, look=look, confidence=confidence)
    np.testing.assert_array_equal(label_ids, predict(model, IMAGES, look=look))
    classes = [id for id in range(34) if id not in VOID_IDS]
    with torch.no_grad():
        model.eval()
        for index in range(3):
            pixels = torch.from_numpy(IMAGES[index : index + 1]).permute(0, 3, 1, 2) / 255

            def looked(top: int, bottom: int, left: int, right: int, pixels: Any = pixels) -> Any:
                return averaged_probs(model, pixels[..., top:bottom, left:right], look.scales, look.flip)[0]

            if look.windows is None:
                probs = looked(0, 50, 0, 70)
            else:
                strips = blended_rows(looked, 50, 70, look.windows)
                probs = torch.cat([strip.clone() for _, strip in strips], 1)
            share = probs[classes].amax(0) / probs[classes].sum(0)
            # a byte up or down, where kernels round otherwise
            np.testing.assert_allclose(confidence[index], (share * 255).numpy(), atol=0.51)
        model.train()
    assert len(np.unique(confidence)) > 10
