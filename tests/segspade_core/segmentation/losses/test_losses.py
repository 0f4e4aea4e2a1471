"""Each loss against its definition, written out pixel by pixel in float64; void, gradients, and precision."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional as F

from segspade_core.segmentation.loss import cross_entropy
from segspade_core.segmentation.losses import (
    dice_loss,
    focal_loss,
    lovasz_softmax_loss,
    ohem_cross_entropy,
    weighted_cross_entropy,
)

Loss = Callable[[Tensor, Tensor], Tensor]
Batch = tuple[Tensor, Tensor]
WEIGHTS = torch.tensor([0.5, 2.0, 0.1, 1.0, 3.0, 0.7])
LOSSES: dict[str, Loss] = {
    "cross_entropy": weighted_cross_entropy,
    "smoothed": partial(weighted_cross_entropy, class_weights=WEIGHTS[:4], label_smoothing=0.2),
    "focal": partial(focal_loss, gamma=2.0, class_weights=WEIGHTS[:4]),
    "focal below 1": partial(focal_loss, gamma=0.5),
    "dice": dice_loss,
    "lovasz": lovasz_softmax_loss,
    "lovasz per image": partial(lovasz_softmax_loss, per_image=True),
    "ohem": partial(ohem_cross_entropy, threshold=0.5, min_share=0.3, class_weights=WEIGHTS[:4]),
}
every_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def draw(
    seed: int,
    shape: tuple[int, int, int, int],
    void: float = 0.3,
    scale: float = 3.0,
    dtype: torch.dtype = torch.float32,
) -> Batch:
    """Logits (B, C, H, W) that lie channels last, and targets (B, H, W) uint8 with a share of void."""
    random = np.random.default_rng(seed)
    logits = torch.from_numpy(random.normal(size=shape) * scale).to(dtype)
    targets = random.integers(0, shape[1], (shape[0], *shape[2:]), dtype=np.uint8)
    targets[random.random(targets.shape) < void] = 255
    return logits.contiguous(memory_format=torch.channels_last), torch.from_numpy(targets)


batches = st.builds(
    draw,
    st.integers(0, 2**32 - 1),
    st.tuples(st.integers(1, 3), st.integers(2, 6), st.integers(1, 5), st.integers(1, 5)),
    st.sampled_from([0.0, 0.3, 0.9, 1.0]),
    st.sampled_from([0.1, 3.0, 30.0]),
)
some = settings(deadline=None, max_examples=60)


def pixels(logits: Tensor, targets: Tensor) -> list[tuple[np.ndarray, int]]:
    """Log-probabilities (C,) in float64 and the class of every known pixel."""
    found = []
    for image, labels in zip(logits.double().numpy(), targets.numpy(), strict=True):
        for y, x in np.ndindex(labels.shape):
            if labels[y, x] != 255:
                values = image[:, y, x] - image[:, y, x].max()
                found.append((values - math.log(np.exp(values).sum()), int(labels[y, x])))
    return found


def mean(losses: list[float], weights: list[float]) -> float:
    return sum(losses) / sum(weights) if losses else 0.0


def assert_near(loss: Tensor, expected: float) -> None:
    assert loss.shape == ()
    assert loss.item() == pytest.approx(expected, rel=1e-4, abs=1e-6)


@some
@given(batches, st.sampled_from([0.0, 0.1, 0.7]), st.booleans())
def test_cross_entropy_is_that_of_the_library(batch: Batch, smoothing: float, weighted: bool) -> None:
    """Fault: a mean over pixels where it is one over weights; smoothing that forgets the weights; void."""
    logits, targets = batch
    weights = WEIGHTS[: logits.shape[1]] if weighted else None
    loss = weighted_cross_entropy(logits, targets, weights, smoothing)
    if (targets == 255).all():
        assert_near(loss, 0)
        return
    expected = F.cross_entropy(logits, targets.long(), weights, ignore_index=255, label_smoothing=smoothing)
    torch.testing.assert_close(loss, expected, rtol=1e-5, atol=1e-6)


def test_plain_cross_entropy_is_the_one_that_validation_uses_bit_for_bit() -> None:
    batch = draw(3, (2, 34, 9, 7))
    assert torch.equal(weighted_cross_entropy(*batch), cross_entropy(*batch))


@some
@given(batches, st.sampled_from([0.0, 0.5, 1.0, 2.0, 5.0]))
def test_focal_loss_by_definition(batch: Batch, gamma: float) -> None:
    """Fault: p for 1 - p, the power of the wrong thing, or a mean over all pixels."""
    rows = pixels(*batch)
    losses = [-float(WEIGHTS[c]) * (1 - math.exp(log[c])) ** gamma * log[c] for log, c in rows]
    weights = WEIGHTS[: batch[0].shape[1]]
    assert_near(focal_loss(*batch, gamma, weights), mean(losses, [float(WEIGHTS[c]) for _, c in rows]))


def test_focal_loss_by_hand() -> None:
    """p = 1/4: (3/4)^2 log 4; with gamma 0 it is cross-entropy."""
    logits, targets = torch.zeros(1, 4, 1, 1), torch.zeros(1, 1, 1, dtype=torch.uint8)
    assert_near(focal_loss(logits, targets, 2.0), 0.5625 * math.log(4))
    batch = draw(0, (2, 4, 3, 3))
    torch.testing.assert_close(focal_loss(*batch, 0.0), weighted_cross_entropy(*batch))


@pytest.mark.parametrize("gamma", [0.0, 0.1, 0.5, 1.0, 2.0])
def test_focal_loss_of_a_certain_pixel_has_a_finite_gradient(gamma: float) -> None:
    """Fault: the slope of (1 - p)^gamma at p = 1, infinite below gamma 1, times log 1."""
    logits = torch.tensor([200.0, 0.0]).view(1, 2, 1, 1).requires_grad_()
    loss = focal_loss(logits, torch.zeros(1, 1, 1, dtype=torch.uint8), gamma)
    loss.backward()
    assert logits.grad is not None
    assert loss.item() == 0
    assert logits.grad.abs().max() < 1e-6


@some
@given(batches)
def test_dice_loss_by_definition(batch: Batch) -> None:
    """Fault: classes that do not occur; void in the sum of p^2; p for p^2; a mean over all classes."""
    rows = pixels(*batch)
    losses = []
    for label in {c for _, c in rows}:
        p = [math.exp(log[label]) for log, _ in rows]
        g = [float(c == label) for _, c in rows]
        both = sum(a * b for a, b in zip(p, g, strict=True))
        losses.append(1 - 2 * both / (sum(a * a for a in p) + sum(b * b for b in g)))
    assert_near(dice_loss(*batch), mean(losses, [1.0] * len(losses)))


def jaccard_loss(wrong: set[int], truth: set[int]) -> float:
    """1 - IoU of a class whose pixels are `truth` where the pixels `wrong` are: the set function itself."""
    predicted = truth ^ wrong
    return 1 - len(predicted & truth) / len(predicted | truth)


def lovasz(rows: list[tuple[np.ndarray, int]]) -> float:
    """The Lovász extension from its definition, by sets: of errors m_1 >= m_2 >= ..., the sum of
    m_i (J({1..i}) - J({1..i-1}))."""
    losses = []
    for label in {c for _, c in rows}:
        truth = {i for i, (_, c) in enumerate(rows) if c == label}
        errors = [abs((i in truth) - math.exp(log[label])) for i, (log, _) in enumerate(rows)]
        order = sorted(range(len(rows)), key=lambda i: -errors[i])
        before = [set(order[:i]) for i in range(len(rows) + 1)]
        losses.append(
            sum(
                errors[i] * (jaccard_loss(before[n + 1], truth) - jaccard_loss(before[n], truth))
                for n, i in enumerate(order)
            )
        )
    return sum(losses) / len(losses)


@some
@given(batches, st.booleans())
def test_lovasz_softmax_by_definition(batch: Batch, per_image: bool) -> None:
    """Fault: errors sorted the wrong way; intersection for union; images without labels in the mean."""
    whole = [batch] if not per_image else [(a[None], b[None]) for a, b in zip(*batch, strict=True)]
    losses = [lovasz(rows) for each in whole if (rows := pixels(*each))]
    assert_near(lovasz_softmax_loss(*batch, per_image), mean(losses, [1.0] * len(losses)))


def test_lovasz_softmax_of_hard_choices_is_one_minus_mean_iou() -> None:
    """Classes 0 0 1 1 1 seen as 0 1 1 1 0: IoU 1/3 and 2/4."""
    seen, targets = torch.tensor([0, 1, 1, 1, 0]), torch.tensor([[[0, 0, 1, 1, 1]]], dtype=torch.uint8)
    logits = (F.one_hot(seen, 2).float() * 100).T.view(1, 2, 1, 5)
    assert_near(lovasz_softmax_loss(logits, targets), 1 - (1 / 3 + 1 / 2) / 2)


def test_lovasz_softmax_keeps_its_digits_over_a_million_pixels() -> None:
    """Fault: two Jaccard losses that agree in all of float32's digits are subtracted from each other."""
    logits, targets = draw(1, (1, 2, 1000, 1200), void=0)
    parts = []
    for dtype in (torch.float32, torch.float64):
        leaf = logits.detach().to(dtype).requires_grad_()
        lovasz_softmax_loss(leaf, targets).backward()
        assert leaf.grad is not None
        parts.append(leaf.grad.double())
    assert (parts[0] - parts[1]).norm() < 1e-4 * parts[1].norm()


@some
@given(batches, st.sampled_from([0.2, 0.7, 0.95]), st.sampled_from([0.05, 0.5, 1.0]))
def test_ohem_by_definition(batch: Batch, threshold: float, share: float) -> None:
    """Fault: easy pixels kept, a share of all pixels and not of the known, or the threshold forgotten."""
    rows = sorted(((-log[c], c) for log, c in pixels(*batch)), reverse=True)
    least = math.ceil(share * len(rows))
    kept = [row for n, row in enumerate(rows) if n < least or math.exp(-row[0]) < threshold]
    # in float32 two losses may be one: which of the two pixels is kept is open then
    assume(len(kept) in (0, len(rows)) or kept[-1][0] - rows[len(kept)][0] > 1e-5)
    losses = [float(WEIGHTS[c]) * loss for loss, c in kept]
    weights = WEIGHTS[: batch[0].shape[1]]
    expected = mean(losses, [float(WEIGHTS[c]) for _, c in kept])
    assert_near(ohem_cross_entropy(*batch, threshold, share, weights), expected)


def test_ohem_of_all_pixels_is_cross_entropy() -> None:
    batch = draw(5, (2, 4, 3, 3))
    torch.testing.assert_close(ohem_cross_entropy(*batch, 0.7, 1.0), weighted_cross_entropy(*batch))


@every_loss
def test_gradients_agree_with_differences(loss: Loss) -> None:
    """Fault: a detached part, or one with a gradient that should have none."""
    logits, targets = draw(7, (2, 4, 3, 2), dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda x: loss(x, targets), logits.requires_grad_())


@every_loss
def test_where_all_is_void_loss_and_gradient_are_0(loss: Loss) -> None:
    """Fault: 0 / 0 in the loss, or hidden behind a mask and back in the gradient."""
    logits = draw(0, (2, 4, 3, 3))[0].requires_grad_()
    value = loss(logits, torch.full((2, 3, 3), 255, dtype=torch.uint8))
    value.backward()
    assert value.item() == 0
    assert value.dtype == torch.float32
    assert logits.grad is not None
    assert (logits.grad == 0).all()


@every_loss
@some
@given(seed=st.integers(0, 1000))
def test_void_pixels_never_count(loss: Loss, seed: int) -> None:
    """Fault: void as class 0, 254 or the last; logits of void that reach a sum, or get a gradient."""
    logits, targets = draw(seed, (2, 4, 4, 3), void=0.4)
    void = (targets == 255)[:, None]
    leaf = logits.clone().requires_grad_()
    value = loss(leaf, targets)
    value.backward()
    assert leaf.grad is not None
    assert not leaf.grad[void.expand_as(leaf)].any()
    torch.testing.assert_close(loss(logits.masked_fill(void, 77.0), targets), value)


@every_loss
def test_under_autocast_the_loss_is_still_float32(loss: Loss) -> None:
    """Fault: probabilities or sums of a million pixels with the 8 bits of bfloat16."""
    logits, targets = draw(2, (2, 4, 40, 30))
    half = logits.bfloat16().requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = loss(half, targets)
    value.backward()
    assert value.dtype == torch.float32
    assert torch.equal(value, loss(half.detach().float(), targets))
    assert half.grad is not None
    assert half.grad.dtype == torch.bfloat16


@every_loss
@some
@given(seed=st.integers(0, 1000))
def test_a_step_against_the_gradient_makes_it_smaller(loss: Loss, seed: int) -> None:
    logits, targets = draw(seed, (1, 4, 4, 4), scale=1.0, dtype=torch.float64)
    value = loss(logits.requires_grad_(), targets)
    (gradient,) = torch.autograd.grad(value, logits)
    assert loss(logits.detach() - 1e-4 * gradient, targets) < value.detach()


def test_weights_of_0_count_nothing() -> None:
    """Fault: 0 / 0 where the only classes that are there weigh nothing, and with smoothing x / 0."""
    logits, targets = draw(0, (1, 3, 2, 2), void=0)[0], torch.ones(1, 2, 2, dtype=torch.uint8)
    weights = torch.tensor([1.0, 0.0, 1.0])
    for loss in (
        weighted_cross_entropy(logits, targets, weights, 0.1),
        focal_loss(logits, targets, 2.0, weights),
        ohem_cross_entropy(logits, targets, 0.7, 0.5, weights),
    ):
        assert loss.item() == 0


@every_loss
def test_shapes_that_do_not_fit_are_refused(loss: Loss) -> None:
    logits, targets = draw(0, (2, 4, 3, 5))
    with pytest.raises(ValueError, match=r"^logits \(2, 4, 3, 5\) and targets \(2, 5, 3\) are not"):
        loss(logits, targets.transpose(1, 2))
