"""Painting whole splits: every picture depends on its own map alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.generator import Generator
from segspade_core.spade.painting import synthesize, to_uint8
from segspade_core.spade.semantics import build_semantics, instance_edges, instances_from_labels

MAPS = np.random.default_rng(1).integers(0, 36, (3, 16, 24), dtype=np.uint8)
MAPS[0, :8] = 26


def tiny(edges: bool = True) -> Generator:
    torch.manual_seed(0)
    generator = Generator(GeneratorArchitecture(width=3, hidden=4, upsamplings=3, instance_edges=edges))
    with torch.no_grad():
        generator.conv_img.weight.mul_(5)
    return generator


def test_agrees_with_the_network_run_plainly() -> None:
    """Fault: training mode, another range than (x + 1) / 2 * 255, truncation, channels first."""
    generator = tiny().eval()
    instances = np.stack([instances_from_labels(label_ids) for label_ids in MAPS])
    edges = instance_edges(torch.from_numpy(instances))
    with torch.no_grad():
        images = generator(build_semantics(torch.from_numpy(MAPS), edges, 35))
    expected = np.rint((images.permute(0, 2, 3, 1).double().numpy() + 1) / 2 * 255)
    difference = synthesize(generator.train(), MAPS) - expected
    assert generator.training, "the caller's network was changed"
    assert np.abs(difference).max() <= 1  # rounding of values that lie half way
    assert (difference != 0).mean() < 0.01


def test_neither_neighbours_nor_batch_size_matter() -> None:
    generator = tiny()
    images = synthesize(generator, MAPS)
    np.testing.assert_array_equal(synthesize(generator, MAPS, batch=2), images)
    np.testing.assert_array_equal(synthesize(generator, MAPS[2:]), images[2:])
    np.testing.assert_array_equal(synthesize(generator, MAPS), images)


def test_no_instances_means_connected_components() -> None:
    generator = tiny()
    found = np.stack([instances_from_labels(label_ids) for label_ids in MAPS])
    images = synthesize(generator, MAPS)
    np.testing.assert_array_equal(synthesize(generator, MAPS, found), images)
    one = found.copy()
    one[0, 2:5, 3:9] = 26500  # one more car in front of the other
    assert (synthesize(generator, MAPS, one)[0] != images[0]).any()
    np.testing.assert_array_equal(synthesize(tiny(False), MAPS, one), synthesize(tiny(False), MAPS))


def test_void_and_unknown_ids_look_like_unlabeled() -> None:
    maps = np.full((1, 8, 8), 7, np.uint8)
    pictures = []
    for void in (0, 2, 3, 255, 200, 35):
        maps[0, 4:] = void
        pictures.append(synthesize(tiny(), maps))
    assert all((picture == pictures[0]).all() for picture in pictures)


def test_minus_one_is_0_and_one_is_255() -> None:
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.01])
    assert to_uint8(values).tolist() == [0, 0, 128, 191, 255, 255]


def test_no_maps_give_no_pictures() -> None:
    assert synthesize(tiny(), MAPS[:0]).shape == (0, 16, 24, 3)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="label maps of 16x20 do not suit"):
        synthesize(tiny(), MAPS[:, :, :20])
    with pytest.raises(InputError, match=r"instance_ids have shape \(2, 16, 24\), label_ids \(3, 16, 24\)"):
        synthesize(tiny(), MAPS, np.zeros((2, 16, 24), np.int32))
