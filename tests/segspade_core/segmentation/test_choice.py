"""The choice of a class: the compiled kernel against NumPy, and wherever it cannot be used."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segspade_core.kernels import load_kernels
from segspade_core.labels import VOID_IDS
from segspade_core.segmentation import Segmenter, choice
from segspade_core.segmentation.choice import choose_classes, confidence_of

UNTAUGHT = (7, 11)


def drawn(seed: int, size: tuple[int, int, int, int]) -> Tensor:
    """Channels last, of few different values, so that many classes are alike."""
    torch.manual_seed(seed)
    scores = torch.randint(-2, 3, size).float()
    scores[torch.rand(size) < 0.1] = -torch.inf
    return scores.contiguous(memory_format=torch.channels_last)


def by_numpy(scores: Tensor) -> Any:
    """The first of the best among what is neither void nor untaught."""
    classes = [each for each in range(scores.shape[1]) if each not in (*VOID_IDS, *UNTAUGHT)]
    return np.array(classes, np.uint8)[scores.float().numpy()[:, classes].argmax(1)]


@given(
    seed=st.integers(0, 10_000),
    batch=st.integers(1, 2),
    classes=st.sampled_from([5, 9, 19, 34, 255]),
    height=st.integers(1, 5),
    width=st.integers(1, 5),
    threads=st.integers(1, 3),
)
@settings(max_examples=60, deadline=None)
def test_it_is_the_first_of_the_best(
    seed: int, batch: int, classes: int, height: int, width: int, threads: int
) -> None:
    """Faults: the last of those alike, a barred class, the last class left out, a range of pixels chosen by
    no thread, a class above 127 that turns negative."""
    scores = drawn(seed, (batch, classes, height, width))
    # somewhere to choose from, at every pixel
    scores[:, 4].clamp_min_(-2)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        chosen = choose_classes(scores.clone(), "ids", UNTAUGHT)
    finally:
        torch.set_num_threads(before)
    assert chosen.dtype == torch.uint8
    np.testing.assert_array_equal(chosen.numpy(), by_numpy(scores))


@pytest.mark.parametrize("form", ["planes", "cropped", "bfloat16"])
def test_other_forms_of_scores_are_chosen_from_alike(form: str) -> None:
    """Faults: memory read as if pixels lay one behind the other; numbers of two bytes read as four."""
    scores = drawn(0, (2, 34, 32, 64))
    if form == "planes":
        scores = scores.contiguous()
    elif form == "cropped":
        scores = scores[..., :30, :47]
    else:
        scores = scores.bfloat16()
    expected = by_numpy(scores)
    np.testing.assert_array_equal(choose_classes(scores, "ids", UNTAUGHT).numpy(), expected)


@pytest.mark.parametrize("head", ["fcn32", "unet"])
def test_what_a_segmenter_leaves_goes_through_the_kernel(head: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: a condition that the scores of no head meet, so that the slow way is always gone."""
    kernels, calls = load_kernels("segspade_core.segmentation"), []
    if kernels is None:
        pytest.skip("Numba is not for this Python")

    def counted(first: int, last: int, *arguments: Any) -> None:
        calls.append(last - first)
        kernels.choose(first, last, *arguments)

    monkeypatch.setattr(choice, "load_kernels", lambda _: type("Counted", (), {"choose": counted}))
    with torch.inference_mode():
        logits = Segmenter("resnet18", 34, head).eval()(torch.rand(1, 3, 45, 70))
    choose_classes(logits)
    assert sum(calls) == 45


def test_scores_that_a_gradient_is_taken_of_are_chosen_from() -> None:
    """Fault: NumPy refuses them."""
    scores = drawn(0, (1, 34, 6, 7)).requires_grad_() * 1
    np.testing.assert_array_equal(choose_classes(scores, "ids", UNTAUGHT).numpy(), by_numpy(scores.detach()))


def test_without_numba_pytorch_chooses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: an import that fails where the optional library is missing."""
    scores = drawn(0, (1, 34, 6, 7))
    expected = by_numpy(scores)
    monkeypatch.setitem(sys.modules, "numba", None)
    for module in ("compiled", "segmentation.kernels"):
        monkeypatch.delitem(sys.modules, f"segspade_core.{module}", raising=False)
    assert load_kernels("segspade_core.segmentation") is None
    np.testing.assert_array_equal(choose_classes(scores, "ids", UNTAUGHT).numpy(), expected)


@pytest.mark.parametrize("are_logits", [True, False])
def test_confidence_knows_what_is_barred_by_itself(are_logits: bool) -> None:
    """Fault: void and untaught classes share in the sum, where the choice left their scores alone."""
    torch.manual_seed(0)
    logits = 3 * torch.randn(1, 34, 5, 6)
    kept = [each for each in range(34) if each not in (*VOID_IDS, *UNTAUGHT)]
    expected = logits[:, kept].softmax(1).amax(1) * 255
    scores = logits if are_logits else logits.softmax(1)
    found = confidence_of(scores, are_logits, "ids", UNTAUGHT)
    torch.testing.assert_close(found.float(), expected, atol=0.51, rtol=0)
