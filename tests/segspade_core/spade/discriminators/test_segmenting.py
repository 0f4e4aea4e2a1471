"""The losses of a discriminator that labels pixels, against loops over pixels, and over several processes."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from segspade_core.labels import IGNORE_ID, VOID_IDS
from segspade_core.spade.discriminators import segmenting
from segspade_core.spade.discriminators.scene import Judgement, Scene
from segspade_core.spade.discriminators.segmenting import SegmentingDiscriminator, labelmix_mask

LABELS = 12
VOID = {*VOID_IDS, IGNORE_ID}


class Pixels(nn.Module):
    """Labels every pixel by its own colour, not linearly, or LabelMix would cost nothing."""

    def __init__(self, num_labels: int = LABELS) -> None:
        super().__init__()
        torch.manual_seed(3)
        self.first, self.last = nn.Conv2d(3, 8, 1), nn.Conv2d(8, num_labels + 1, 1)

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.last(torch.tanh(3 * self.first(images)))
        return logits


class Neighbourhoods(Pixels):
    """The same by what lies around a pixel, so that a mixed picture is not a mixture of pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, padding=1)


def scene(batch: int = 2, size: tuple[int, int] = (6, 7), seed: int = 0) -> Scene:
    """Pictures with void of every kind, much road, and a label that only one sample has."""
    torch.manual_seed(seed)
    label_ids = torch.randint(0, LABELS, (batch, *size)).to(torch.uint8)
    label_ids[:, :2] = 7
    label_ids[0, 5, 2:] = IGNORE_ID
    label_ids[-1][label_ids[-1] == 9] = 4
    real, fake = torch.rand(2, batch, 3, *size) * 2 - 1
    return Scene(
        torch.zeros(batch, 1, *size), label_ids, real, fake.requires_grad_(), (11, 12, 13, 14)[:batch]
    )


def log_probs(network: nn.Module, images: Tensor) -> list[Tensor]:
    return list(torch.log_softmax(network(images), 1))


@torch.no_grad()
def by_loops(network: nn.Module, seen: Scene) -> dict[str, float]:
    """Equations 1 and 3, pixel by pixel; class weights are the equation's over the number of classes."""
    batch, height, width = seen.label_ids.shape
    pixels = [
        (b, y, x, int(seen.label_ids[b, y, x]))
        for b in range(batch)
        for y in range(height)
        for x in range(width)
        if int(seen.label_ids[b, y, x]) not in VOID
    ]
    found = sorted({label for *_, label in pixels})
    counts = {label: sum(1 for *_, other in pixels if other == label) for label in found}
    alpha = {label: len(pixels) / count / len(found) for label, count in counts.items()}
    real, fake = log_probs(network, seen.real), log_probs(network, seen.fake)
    from_real = labelmix_mask(seen.label_ids, seen.seeds)
    whole_real, whole_fake = network(seen.real), network(seen.fake)
    mixed = network(from_real * seen.real + ~from_real * seen.fake)
    expected = from_real * whole_real + ~from_real * whole_fake

    def mean(values: list[float]) -> float:
        return math.fsum(values) / len(pixels)

    return {
        "discriminator_real": mean([-alpha[c] * float(real[b][c, y, x]) for b, y, x, c in pixels]),
        "discriminator_fake": mean([-float(fake[b][LABELS, y, x]) for b, y, x, c in pixels]),
        "adversarial": mean([-alpha[c] * float(fake[b][c, y, x]) for b, y, x, c in pixels]),
        "labelmix": mean([
            math.fsum(float(mixed[b, k, y, x] - expected[b, k, y, x]) ** 2 for k in range(LABELS + 1))
            / (LABELS + 1)
            for b, y, x, _ in pixels
        ]),
    }  # fmt: skip


def terms(judgement: Judgement) -> dict[str, Tensor]:
    return {**judgement.discriminator, **judgement.generator}


@pytest.mark.parametrize("network", [Pixels(), Neighbourhoods()])
def test_losses_are_those_of_loops_over_pixels(network: nn.Module) -> None:
    """Fault: frequent classes weighed more, void counted, real for fake, the class 'painted' misplaced."""
    seen = scene()
    computed = {
        name: term.item() for name, term in terms(SegmentingDiscriminator(network, LABELS)(seen)).items()
    }
    assert computed == pytest.approx(by_loops(network, seen), rel=1e-5)
    assert (
        computed["labelmix"] > 1e-3 if isinstance(network, Neighbourhoods) else computed["labelmix"] < 1e-12
    )


def test_void_pixels_are_asked_nothing() -> None:
    """Fault: void counted as label 0, as its own class, or only in the photograph."""
    seen = scene()
    seen = replace(seen, real=seen.real.requires_grad_())
    judgement = SegmentingDiscriminator(Pixels(), LABELS)(seen)
    void = sum(seen.label_ids == id for id in VOID).bool()
    for name, term in terms(judgement).items():
        if name == "labelmix":  # of pixels that are mixed one by one it is 0 anyway
            continue
        for picture in (seen.real, seen.fake):
            (towards,) = torch.autograd.grad(term, [picture], retain_graph=True, materialize_grads=True)
            changed = towards.abs().sum(dim=1) > 0
            assert not changed[void].any(), name
            assert changed[~void].all() or not changed.any(), name
    assert void.sum() > 8


def test_a_batch_of_void_costs_nothing() -> None:
    """Fault: 0 / 0, and the whole training is NaN."""
    seen = scene()
    seen = replace(seen, label_ids=torch.full_like(seen.label_ids, 2))
    judgement = SegmentingDiscriminator(Neighbourhoods(), LABELS)(seen)
    assert [term.item() for term in terms(judgement).values()] == [0, 0, 0, 0]
    (towards,) = torch.autograd.grad(judgement.generator["adversarial"], [seen.fake])
    assert not towards.any()


def test_255_labels_leave_room_for_paintings() -> None:
    """Fault: class 255, 'painted', taken for void's 255."""
    judgement = SegmentingDiscriminator(Pixels(255), 255)(scene())
    assert judgement.discriminator["discriminator_fake"] > 1


def test_a_label_comes_whole_from_one_picture() -> None:
    """Fault: pixels mixed by chance; one draw for all samples; a mask that depends on the sample's place."""
    label_ids = torch.arange(200, dtype=torch.uint8).repeat(4, 3, 1)  # each label in three places
    mask = labelmix_mask(label_ids, (5, 6, 7, 5))
    assert mask.shape == (4, 1, 3, 200)
    assert (mask == mask[:, :, :1]).all()
    assert torch.equal(mask[0], mask[3])
    assert 0.3 < (mask[0] != mask[1]).float().mean() < 0.7
    assert 0.3 < mask.float().mean() < 0.7
    assert torch.equal(labelmix_mask(label_ids[2:], (7, 5)), mask[2:])


def gradients(network: nn.Module, seen: Scene) -> dict[str, list[Tensor]]:
    """Of every term: for the weights, or for the painting."""
    judgement = SegmentingDiscriminator(network, LABELS)(seen)
    found = {
        name: list(torch.autograd.grad(term, list(network.parameters()), retain_graph=True))
        for name, term in judgement.discriminator.items()
    }
    found["adversarial"] = list(torch.autograd.grad(judgement.generator["adversarial"], [seen.fake]))
    return found


def test_two_processes_learn_what_one_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fault: class weights of each process alone, or a mean over its own known pixels, fewer in one here."""
    network, joined = Neighbourhoods(), scene(batch=4)
    joined.label_ids[:2, 3:] = 0
    expected = gradients(network, joined)
    halves = [
        Scene(*(getattr(joined, name)[part] for name in ("semantics", "label_ids", "real", "fake", "seeds")))
        for part in (slice(0, 2), slice(2, 4))
    ]
    halves = [replace(half, fake=half.fake.detach().requires_grad_()) for half in halves]
    counts = torch.tensor(
        [int((joined.label_ids == id).sum()) if id not in VOID else 0 for id in range(LABELS + 1)]
    )
    own = [(half.label_ids == 7).sum().item() for half in halves]
    seen = []

    def summed(value: Tensor) -> Tensor:
        seen.append(int(value[7]))
        assert not value.requires_grad
        return counts

    monkeypatch.setattr(segmenting, "summed", summed)
    monkeypatch.setattr(segmenting, "processes", lambda: 2)
    first, second = (gradients(network, half) for half in halves)
    assert seen == own
    for name in ("discriminator_real", "discriminator_fake", "labelmix"):
        averaged = [(a + b) / 2 for a, b in zip(first[name], second[name], strict=True)]
        torch.testing.assert_close(averaged, expected[name], rtol=1e-4, atol=1e-6)
    # the generator's gradient for a painting goes on to weights, whose gradients are averaged then
    towards = torch.cat([first["adversarial"][0], second["adversarial"][0]]) / 2
    torch.testing.assert_close(towards, expected["adversarial"][0], rtol=1e-4, atol=1e-7)


def test_only_the_network_is_saved() -> None:
    """Fault: the table of void ids in every checkpoint."""
    discriminator = SegmentingDiscriminator(Pixels(), LABELS)
    assert all(name.startswith("network.") for name in discriminator.state_dict())
