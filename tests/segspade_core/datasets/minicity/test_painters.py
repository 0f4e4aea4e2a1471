"""Vehicles and people: the size that their depth asks for, the right label, one instance each."""

from __future__ import annotations

import json

import numpy as np
import pytest

from segspade_core.datasets.minicity.camera import Camera
from segspade_core.datasets.minicity.canvas import GROUND, Canvas
from segspade_core.datasets.minicity.people import paint_person, paint_rider
from segspade_core.datasets.minicity.vehicles import VEHICLES, paint_vehicle
from segspade_core.labels import by_name

CAMERA = Camera.for_size(256, 512)
FACINGS = ("away", "towards", "across")


def empty_street(lamps_lit: bool = False) -> Canvas:
    canvas = Canvas(CAMERA, lamps_lit)
    road = canvas.surface("road", GROUND)
    canvas.fill(road, [(-200, 0, 1), (200, 0, 1), (200, 0, 300), (-200, 0, 300)], (100, 100, 100))
    return canvas


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def ids(canvas: Canvas, column: int) -> np.ndarray:
    """(H, W) label ids (column 0) or instance ids (column 1)."""
    return canvas.table()[:, column].astype(int)[canvas.surfaces()]


def rows_of(mask: np.ndarray) -> tuple[int, int]:
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[0]), int(rows[-1]) + 1


@pytest.mark.parametrize("facing", FACINGS)
@pytest.mark.parametrize("kind", VEHICLES)
def test_a_vehicle_is_one_instance_of_its_label(kind: str, facing: str) -> None:
    canvas = empty_street()
    paint_vehicle(canvas, kind, 2.0, 15.0, facing, rng())
    label = by_name[kind].id
    assert [row[:2] for row in canvas.rows[2:]] == [(label, label * 1000)]
    assert set(np.unique(ids(canvas, 1))) == {by_name["sky"].id, by_name["road"].id, label * 1000}


@pytest.mark.parametrize("z", [14.0, 28.0, 56.0])
@pytest.mark.parametrize("facing", ["away", "towards"])
@pytest.mark.parametrize("kind", ["car", "truck", "bus", "trailer", "motorcycle", "bicycle"])
def test_height_in_pixels_follows_depth(kind: str, facing: str, z: float) -> None:
    canvas = empty_street()
    paint_vehicle(canvas, kind, 0.0, z, facing, rng(3))
    top, foot = rows_of(ids(canvas, 0) == by_name[kind].id)
    ground, underside = CAMERA.project([[0.0, 0.0, z], [0.0, 0.45, z]])[:, 1]
    assert underside - 1.5 <= foot <= ground + 1.5
    # roofs slope back and a truck's cabin is lower than its box: smaller, never larger
    expected = CAMERA.focal_px * VEHICLES[kind].height / z
    assert 0.7 * expected - 2 <= foot - top <= 1.08 * expected + 2


@pytest.mark.parametrize("z", [8.0, 20.0, 60.0])
@pytest.mark.parametrize("seed", range(4))
def test_height_of_a_person(z: float, seed: int) -> None:
    canvas = empty_street()
    paint_person(canvas, 1.0, z, rng(seed), height_m=1.8)
    top, foot = rows_of(ids(canvas, 0) == by_name["person"].id)
    assert foot - top == pytest.approx(CAMERA.focal_px * 1.8 / z, abs=1.6)
    assert foot == pytest.approx(CAMERA.project([1.0, 0.0, z])[1], abs=1.6)


@pytest.mark.parametrize("facing", FACINGS)
@pytest.mark.parametrize("kind", ["bicycle", "motorcycle"])
def test_a_rider_sits_on_what_it_rides(kind: str, facing: str) -> None:
    canvas = empty_street()
    paint_rider(canvas, kind, -2.0, 10.0, facing, rng())
    assert [row[0] for row in canvas.rows[2:]] == [by_name[kind].id, by_name["rider"].id]
    labels = ids(canvas, 0)
    rider, ridden = labels == by_name["rider"].id, labels == by_name[kind].id
    assert rider.sum() > 100
    assert ridden.sum() > 60
    assert rows_of(rider)[0] < rows_of(ridden)[0]  # the head is highest
    assert rows_of(rider)[1] < rows_of(ridden)[1]  # the wheels are lowest
    middle = np.flatnonzero(rider.any(axis=0)).mean() - np.flatnonzero(ridden.any(axis=0)).mean()
    assert abs(middle) < 8


def test_near_hides_far() -> None:
    canvas = empty_street()
    paint_vehicle(canvas, "bus", 0.0, 30.0, "away", rng())
    paint_vehicle(canvas, "car", 0.0, 8.0, "away", rng())
    paint_person(canvas, -0.9, 6.0, rng())
    labels = ids(canvas, 0)
    u, v = CAMERA.project([[-0.9, 0.9, 6.0], [0.5, 0.6, 8.0], [0.0, 2.7, 30.0]]).astype(int).T
    assert labels[v, u].tolist() == [by_name[name].id for name in ("person", "car", "bus")]


@pytest.mark.parametrize("x", [-4.0, 4.0])
def test_the_side_towards_the_camera_is_seen(x: float) -> None:
    canvas = empty_street()
    paint_vehicle(canvas, "bus", x, 12.0, "away", rng())
    columns = np.flatnonzero((ids(canvas, 0) == by_name["bus"].id).any(axis=0))
    near_end = CAMERA.project([[x - 1.275, 1.0, 12.0], [x + 1.275, 1.0, 12.0]])[:, 0]
    beyond = near_end[0] - columns.min() if x > 0 else columns.max() - near_end[1]
    assert beyond > 20


def drawn(seed: int) -> tuple[bytes, bytes, str]:
    canvas = empty_street()
    generator = rng(seed)
    for number, kind in enumerate(VEHICLES):
        paint_vehicle(canvas, kind, 3.0 * number - 9, 40.0 - number, FACINGS[number % 3], generator)
    paint_rider(canvas, "bicycle", 2.0, 12.0, "across", generator)
    paint_person(canvas, -2.0, 9.0, generator)
    return canvas.colour_image.tobytes(), canvas.surfaces().tobytes(), json.dumps(canvas.polygons())


def test_the_same_rng_draws_the_same_bytes() -> None:
    assert drawn(5) == drawn(5)
    assert drawn(5)[0] != drawn(6)[0]


@pytest.mark.parametrize("kind", ["car", "truck", "bus", "train", "motorcycle"])
def test_lamps_only_when_they_are_lit(kind: str) -> None:
    for lamps_lit in (False, True):
        for facing in ("towards", "away"):
            canvas = empty_street(lamps_lit)
            paint_vehicle(canvas, kind, -2.0, 12.0, facing, rng())
            glow = np.asarray(canvas.glow_image)
            assert glow.any() == lamps_lit
            assert len(canvas.lamps) == (2 if lamps_lit and kind == "car" and facing == "towards" else 0)


def test_details_stay_on_their_surface() -> None:
    """What is coloured and what is labelled is the same region: nothing sticks out unlabelled."""
    for kind in VEHICLES:
        for facing in FACINGS:
            plain, canvas = empty_street(), empty_street()
            paint_vehicle(canvas, kind, 3.0, 9.0, facing, rng(2))
            changed = np.asarray(canvas.colour_image) != np.asarray(plain.colour_image)
            unlabelled = changed.any(axis=2) & (np.asarray(canvas.surface_image) < 2)
            assert unlabelled.sum() <= 12, (kind, facing)


def test_far_and_near_limits_are_painted_too() -> None:
    """Fault: something right before the camera, or at the end of the street, is not drawn at all."""
    for kind in VEHICLES:
        for z in (0.9, 140.0):
            canvas = empty_street()
            paint_vehicle(canvas, kind, 0.0, z, "towards", rng())
            assert (np.asarray(canvas.surface_image) >= 2).any(), (kind, z)


def test_a_given_colour_is_the_body_colour() -> None:
    canvas = empty_street()
    paint_vehicle(canvas, "train", 0.0, 12.0, "towards", rng(), colour=(40, 98, 138))
    colours = np.asarray(canvas.colour_image).reshape(-1, 3)
    assert (colours == [37, 92, 129]).all(axis=1).sum() > 1000


def test_unknown_kinds_and_facings_are_refused() -> None:
    with pytest.raises(ValueError, match="no vehicle 'boat'; known: car, truck"):
        paint_vehicle(empty_street(), "boat", 0.0, 9.0, "away", rng())
    with pytest.raises(ValueError, match="faces 'up'"):
        paint_vehicle(empty_street(), "car", 0.0, 9.0, "up", rng())
    with pytest.raises(ValueError, match="nobody rides a 'car'"):
        paint_rider(empty_street(), "car", 0.0, 9.0, "away", rng())
