"""Painting whole splits: every picture depends on its own map and code alone, whichever way it is painted."""

from __future__ import annotations

from typing import Literal

import numpy as np
import pytest
import torch

from segspade_core.config import GeneratorArchitecture
from segspade_core.errors import InputError
from segspade_core.spade.code import code_dim
from segspade_core.spade.generator import SpadeGenerator
from segspade_core.spade.painting import Painter, synthesize, to_uint8
from segspade_core.spade.semantics import instance_edges, instances_from_labels, one_hot_semantics

MAPS = np.random.default_rng(1).integers(0, 35, (3, 16, 24), dtype=np.uint8)
MAPS[0, :8] = 26
METHODS = ["dense", "fast"]
Method = Literal["dense", "fast"]


def tiny(edges: bool = True, steered: bool = False) -> SpadeGenerator:
    torch.manual_seed(0)
    architecture = GeneratorArchitecture(width=3, hidden=4, upsamplings=3, instance_edges=edges)
    if steered:
        known = {"style_dim": 4, "cities": ("bonn", "ulm"), "times_of_day": ("day", "night")}
        architecture = architecture.model_copy(update=known)
    generator = SpadeGenerator(architecture)
    with torch.no_grad():
        generator.conv_img.weight.mul_(5)
        for module in generator.modules():
            if isinstance(module, torch.nn.BatchNorm2d):  # as after a training
                module.running_mean.uniform_(-0.1, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return generator


def painter(method: Method = "dense", edges: bool = True, steered: bool = False) -> Painter:
    return Painter(tiny(edges, steered), method=method)


def run_plainly(generator: SpadeGenerator, codes: torch.Tensor | None = None) -> np.ndarray:
    """(N, H, W, 3) float64, rounded to whole numbers 0..255."""
    instances = np.stack([instances_from_labels(label_ids) for label_ids in MAPS])
    edges = instance_edges(torch.from_numpy(instances))
    with torch.no_grad():
        images = generator.eval()(one_hot_semantics(torch.from_numpy(MAPS), edges, 35), codes)
    return np.rint((images.permute(0, 2, 3, 1).double().numpy() + 1) / 2 * 255)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("steered", [False, True])
def test_agrees_with_the_network_run_plainly(method: Method, steered: bool) -> None:
    """Fault: training mode, another range than (x + 1) / 2 * 255, truncation, channels first, no code or
    another map's."""
    generator = tiny(steered=steered).train()
    codes = torch.randn(3, code_dim(generator.architecture)) if steered else None
    images = synthesize(Painter(generator, method=method), MAPS, None, codes)
    assert generator.training, "the caller's network was changed"
    difference = images - run_plainly(generator, codes)
    assert np.abs(difference).max() <= 1  # rounding of values that lie half way
    assert (difference != 0).mean() < 0.01
    assert images.std() > 10


@pytest.mark.parametrize("method", METHODS)
def test_no_code_is_the_mean_code_and_a_code_is_seen(method: Method) -> None:
    """Fault: the code is not handed on."""
    generator = tiny(steered=True)
    mean = generator.code_book(None, {}, 3).detach()
    paint = Painter(generator, method=method)
    images = synthesize(paint, MAPS)
    np.testing.assert_array_equal(synthesize(paint, MAPS, None, mean), images)
    assert (synthesize(paint, MAPS, None, mean + 1) != images).mean() > 0.2


def test_bf16_is_close_and_not_the_same() -> None:
    """Fault: the precision is not handed on."""
    generator = tiny()
    exact = synthesize(Painter(generator, method="dense"), MAPS).astype(int)
    rough = synthesize(Painter(generator, method="dense", precision="bf16"), MAPS)
    assert 0 < np.abs(rough - exact).mean() < 4


@pytest.mark.parametrize("method", METHODS)
def test_neighbours_do_not_matter(method: Method) -> None:
    """Fault: statistics of the batch, or tables that remember what was painted before."""
    paint = painter(method)
    images = synthesize(paint, MAPS)
    np.testing.assert_array_equal(synthesize(painter(method), MAPS[2:]), images[2:])
    np.testing.assert_array_equal(synthesize(paint, MAPS), images)


def test_no_instances_means_connected_components() -> None:
    paint = painter()
    found = np.stack([instances_from_labels(label_ids) for label_ids in MAPS])
    images = synthesize(paint, MAPS)
    np.testing.assert_array_equal(synthesize(paint, MAPS, found), images)
    one = found.copy()
    one[0, 2:5, 3:9] = 26500  # one more car in front of the other
    assert (synthesize(paint, MAPS, one)[0] != images[0]).any()
    plain = painter(edges=False)
    np.testing.assert_array_equal(synthesize(plain, MAPS, one), synthesize(plain, MAPS))


@pytest.mark.parametrize("method", METHODS)
def test_void_looks_like_unlabeled_and_an_unknown_id_is_named(method: Method) -> None:
    """Fault: 255 is an index error deep in a kernel; 35 is painted as something else."""
    paint = painter(method)
    maps = np.full((1, 8, 8), 7, np.uint8)
    pictures = []
    for void in (0, 255):
        maps[0, 4:] = void
        pictures.append(synthesize(paint, maps))
    assert (pictures[0] == pictures[1]).all()
    maps[0, 4:] = 35
    with pytest.raises(InputError, match="hold the ids 35; this generator knows 0 to 34"):
        synthesize(paint, maps)


@pytest.mark.parametrize("method", METHODS)
def test_pixels_that_are_not_finite_are_not_handed_out(method: Method) -> None:
    """Fault: NaN becomes some colour, and the pictures of a whole run are of that."""
    generator = tiny()
    generator.state_dict()["up_0.conv_s.weight_u"].zero_()
    with pytest.raises(InputError) as caught:
        synthesize(Painter(generator, method=method), MAPS)
    assert str(caught.value) == (
        "the generator painted numbers that are not finite: its weights are damaged, or too large to compute "
        "with; take an earlier checkpoint of it"
    )


def test_minus_one_is_0_and_one_is_255() -> None:
    values = torch.tensor([-1.0, -0.999, 0.0, 0.5, 1.0, 1.01])
    assert to_uint8(values).tolist() == [0, 0, 128, 191, 255, 255]


def test_no_maps_give_no_pictures() -> None:
    assert synthesize(painter(), MAPS[:0]).shape == (0, 16, 24, 3)


def test_what_does_not_fit_is_named() -> None:
    with pytest.raises(InputError, match="label maps of 16x20 do not suit"):
        synthesize(painter(), MAPS[:, :, :20])
    with pytest.raises(InputError, match=r"^label_ids have shape \(16, 24\); expected \(N, H, W\)$"):
        synthesize(painter(), MAPS[0])
    with pytest.raises(
        InputError,
        match=r"^label_ids are a numpy array of shape \(3, 16, 24\) and uint8; one map \(H, W\) is",
    ):
        painter().paint(MAPS)
    with pytest.raises(InputError, match=r"instance_ids have shape \(2, 16, 24\), label_ids \(3, 16, 24\)"):
        synthesize(painter(), MAPS, np.zeros((2, 16, 24), np.int32))
