"""Differentiable augmentation: alike for all that belongs together, and drawn from the paper's ranges."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from segspade_core.labels import IGNORE_ID
from segspade_core.spade.discriminators.diff_augment import Change, augment_scene, change_colours, draw_change
from segspade_core.spade.discriminators.scene import Scene

ALL = ("colour", "translation", "cutout")
NUM_LABELS = 30


def scene(batch: int = 3, size: tuple[int, int] = (24, 40), seed: int = 0) -> Scene:
    """Photographs whose red says the label, of semantics that say it too."""
    torch.manual_seed(seed)
    label_ids = torch.randint(0, NUM_LABELS, (batch, *size), dtype=torch.uint8)
    semantics = torch.nn.functional.one_hot(label_ids.long(), NUM_LABELS).permute(0, 3, 1, 2).float()
    real = torch.rand(batch, 3, *size) + 0.1
    real[:, 0] = (label_ids + 1) / NUM_LABELS
    return Scene(semantics, label_ids, real, real.clone().requires_grad_(), tuple(range(20, 20 + batch)))


def test_no_policy_changes_nothing() -> None:
    seen = scene()
    assert augment_scene(seen, ()) is seen


@pytest.mark.parametrize("policy", [("colour",), ("translation",), ("cutout",), ALL])
def test_photograph_and_painting_are_changed_alike(policy: tuple[str, ...]) -> None:
    """Fault: two draws, and the discriminator tells paintings by their change; only one of them changed."""
    seen = scene()
    changed = augment_scene(seen, policy)
    assert torch.equal(changed.real, changed.fake)
    assert not torch.equal(changed.real, seen.real)
    assert changed.fake.requires_grad


def test_a_sample_is_changed_by_its_own_seed() -> None:
    """Fault: one change for the batch; a draw that depends on the place, so on the number of processes."""
    seen = scene()
    together = augment_scene(seen, ALL)
    for index in range(3):
        part = slice(index, index + 1)
        names = ("semantics", "label_ids", "real", "fake", "seeds")
        alone = augment_scene(Scene(*(getattr(seen, name)[part] for name in names)), ALL)
        for name in names:
            torch.testing.assert_close(getattr(alone, name), getattr(together, name)[part])
    same = augment_scene(replace(seen, seeds=(5, 6, 5)), ("cutout",))
    assert torch.equal(same.label_ids[0] == IGNORE_ID, same.label_ids[2] == IGNORE_ID)
    assert not torch.equal(same.label_ids[0] == IGNORE_ID, same.label_ids[1] == IGNORE_ID)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_labels_and_semantics_move_with_the_picture(seed: int) -> None:
    """Fault: a shift the other way, of one axis only, by a pixel more; labels brought in that nobody gave."""
    seen = replace(scene(batch=1, size=(16, 24)), seeds=(seed,))
    change = draw_change(seed, (16, 24))
    moved = augment_scene(seen, ("translation",))
    assert moved.label_ids.dtype == torch.uint8
    for row in range(16):
        for column in range(24):
            y, x = row - change.down, column - change.right
            ids, red, one_hot = (
                moved.label_ids[0, row, column],
                moved.real[0, 0, row, column],
                moved.semantics[0, :, row, column],
            )
            if 0 <= y < 16 and 0 <= x < 24:
                assert ids == seen.label_ids[0, y, x]
                assert red == (ids + 1) / NUM_LABELS
                assert one_hot[int(ids)] == one_hot.sum() == 1
            else:
                assert ids == IGNORE_ID
                assert red == one_hot.sum() == 0


def test_a_hole_is_void_and_gets_no_gradient() -> None:
    """Fault: a discriminator asked for what it cannot see; a hole in the label map that others share."""
    seen = scene()
    before = seen.label_ids.clone()
    cut = augment_scene(seen, ("cutout",))
    hole = cut.label_ids == IGNORE_ID
    assert torch.equal(seen.label_ids, before)
    assert torch.equal(cut.semantics, seen.semantics)
    assert torch.equal((cut.real == 0).all(dim=1), hole)
    assert torch.equal(cut.label_ids[~hole], before[~hole])
    (towards,) = torch.autograd.grad(cut.fake.square().sum(), [seen.fake])
    assert torch.equal((towards == 0).all(dim=1), hole)


def test_draws_fill_the_ranges_of_the_paper() -> None:
    """Fault: a range cut short, one draw for both axes, a hole that never reaches the rim or is too large."""
    size = (64, 128)
    changes = [draw_change(seed, size) for seed in range(3000)]

    def spread(values: list[float]) -> tuple[float, float]:
        return min(values), max(values)

    assert spread([c.brightness for c in changes]) == pytest.approx((-0.5, 0.5), abs=0.01)
    assert spread([c.saturation for c in changes]) == pytest.approx((0, 2), abs=0.01)
    assert spread([c.contrast for c in changes]) == pytest.approx((0.5, 1.5), abs=0.01)
    assert spread([c.down for c in changes]) == (-8, 8)
    assert spread([c.right for c in changes]) == (-16, 16)
    assert abs(torch.corrcoef(torch.tensor([[c.down, c.right] for c in changes]).T.float())[0, 1]) < 0.1
    for axis, side in enumerate(size):
        holes = [change.hole[axis] for change in changes]
        lengths = [hole.stop - hole.start for hole in holes]
        assert spread(lengths) == (side // 4, side // 2)  # cut off at the rim, or whole
        assert {hole.start for hole in holes} == {0, *range(3 * side // 4 + 1)}
        # the middle lies anywhere, from rim to rim: half of all holes are whole
        assert sum(length == side // 2 for length in lengths) / 3000 == pytest.approx(0.5, abs=0.05)


def test_what_is_drawn_does_not_depend_on_the_policy() -> None:
    """Fault: translation that differs where colours change too, so that policies cannot be compared."""
    seen = scene()
    alone, both = (augment_scene(seen, policy) for policy in (("translation",), ("colour", "translation")))
    assert torch.equal(alone.label_ids, both.label_ids)


def coloured(brightness: float = 0, saturation: float = 1, contrast: float = 1) -> list[list[float]]:
    """Two pixels, red, green and blue each."""
    change = Change(brightness, saturation, contrast, 0, 0, (slice(0), slice(0)))
    picture: Tensor = torch.tensor([[[0.9, 0.3]], [[0.3, 0.0]], [[0.0, 0.0]]])
    return change_colours(picture, change)[:, 0].T.tolist()


def test_colours_by_hand() -> None:
    """Fault: contrast about each channel's mean; saturation about the picture's; another order; clamping."""
    # greys 0.4 and 0.1, mean of all 0.25
    assert coloured() == [pytest.approx([0.9, 0.3, 0.0]), pytest.approx([0.3, 0.0, 0.0])]
    assert coloured(brightness=0.25) == [pytest.approx([1.15, 0.55, 0.25]), pytest.approx([0.55, 0.25, 0.25])]
    assert coloured(saturation=2) == [pytest.approx([1.4, 0.2, -0.4]), pytest.approx([0.5, -0.1, -0.1])]
    assert coloured(contrast=1.5) == [
        pytest.approx([1.225, 0.325, -0.125]),
        pytest.approx([0.325, -0.125, -0.125]),
    ]
    # brightness 0.1: (1.0, .4, .1), (.4, .1, .1); saturation 0: .5, .2; contrast 0.5 about .35
    assert coloured(0.1, 0, 0.5) == [pytest.approx([0.425] * 3), pytest.approx([0.275] * 3)]
