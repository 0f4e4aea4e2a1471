"""The ground: carriageway with its markings, parking strips, tracks, pavements and what lies beyond."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.minicity.canvas import GROUND, Canvas
from segspade_core.datasets.minicity.street import Side, Street

NEAR_M, HORIZON_M = 0.8, 400.0
_WHITE, _WORN = (222, 222, 216), (186, 186, 180)
Quad = npt.NDArray[np.float64]


def strip(x_from: float, x_to: float, z_from: float = NEAR_M, z_to: float = HORIZON_M) -> Quad:
    """(4, 3) a rectangle on the ground."""
    return np.array([(x_from, 0, z_from), (x_to, 0, z_from), (x_to, 0, z_to), (x_from, 0, z_to)], np.float64)


def paint_ground(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Everything flat, with the shadows that buildings cast on it."""
    style = street.style
    for side in street.sides:
        _beyond(canvas, street, side)
    pavement = canvas.surface("sidewalk", GROUND, material=style.pavement_material)
    for side in street.sides:
        canvas.fill(pavement, strip(side.x(side.kerb_m), side.x(side.front_m)), style.pavement)
    road = canvas.surface("road", GROUND, material="asphalt")
    canvas.fill(road, strip(-street.left.kerb_m, street.right.kerb_m), style.road)
    if street.crossing is not None:
        canvas.fill(road, strip(-80, 80, *street.crossing), style.road)
    _patches(canvas, street, rng)
    for side in street.sides:
        _edge(canvas, street, side)
    _tracks(canvas, street)
    _markings(canvas, street)
    _building_shadow(canvas, street, rng)


def _beyond(canvas: Canvas, street: Street, side: Side) -> None:
    if side.kind == "buildings":
        yard = canvas.surface("ground", GROUND, material="cobbles")
        canvas.fill(yard, strip(side.x(side.front_m), side.x(90)), (126, 118, 108))
    else:
        grass = canvas.surface("terrain", GROUND, material="grass")
        canvas.fill(grass, strip(side.x(side.front_m), side.x(90)), street.style.terrain)


def _edge(canvas: Canvas, street: Street, side: Side) -> None:
    """Parking strip, kerb stones."""
    pieces = [(NEAR_M, HORIZON_M)]
    if street.crossing is not None:
        pieces = [(NEAR_M, street.crossing[0] - 5), (street.crossing[1] + 5, HORIZON_M)]
    if side.parking_m:
        parking = canvas.surface("parking", GROUND, material="cobbles")
        tint = tuple(
            int(0.55 * a + 0.45 * b) for a, b in zip(street.style.road, (150, 134, 122), strict=True)
        )
        for z_from, z_to in pieces:
            inner = side.x(side.kerb_m - side.parking_m)
            canvas.fill(parking, strip(inner, side.x(side.kerb_m), z_from, z_to), tint)
    for z_from, z_to in pieces:
        canvas.mark(strip(side.x(side.kerb_m), side.x(side.kerb_m + 0.18), z_from, z_to), (176, 174, 168))


def _tracks(canvas: Canvas, street: Street) -> None:
    if street.tram_x is None:
        return
    bed = canvas.surface("rail track", GROUND, material="slabs")
    middle = street.tram_x
    canvas.fill(bed, strip(middle - 1.45, middle + 1.45), (132, 124, 114))
    for x in (-0.72, 0.72):
        canvas.mark(strip(middle + x - 0.06, middle + x + 0.06), (92, 88, 90))


def _markings(canvas: Canvas, street: Street) -> None:
    centre = -1.75
    quads: list[Quad] = []
    for z in np.arange(1.5, 90, 7.0):
        if not street.is_crossing(float(z) + 1.5, 3):
            quads.append(strip(centre - 0.07, centre + 0.07, z, z + 3.2))
    for side in street.sides:
        if not side.parking_m:
            edge = side.kerb_m - 0.35
            end = street.crossing[0] - 5 if street.crossing is not None else HORIZON_M
            quads.append(strip(side.x(edge - 0.06), side.x(edge + 0.06), NEAR_M, end))
    if street.crossing is not None:
        start = street.crossing[0]
        quads.append(strip(-1.6, street.right.kerb_m - 0.3, start - 5.6, start - 5.1))
        left = -street.left.kerb_m + 0.4
        while left < street.right.kerb_m - 0.5:
            quads.append(strip(left, left + 0.5, start - 4.6, start - 1.8))
            left += 1.0
    canvas.marks(np.array(quads), [_WHITE, _WORN])


def _patches(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Mended asphalt and manholes: the road is not of one colour."""
    left, right = -street.left.kerb_m, street.right.kerb_m
    quads, colours = [], []
    for _ in range(int(rng.integers(2, 7))):
        x, z = float(rng.uniform(left, right - 1)), float(rng.uniform(3, 45))
        wide, long = float(rng.uniform(0.5, 2.2)), float(rng.uniform(1, 9))
        quads.append(strip(x, min(x + wide, right), z, z + long))
        factor = float(rng.uniform(0.78, 1.15))
        colours.append(tuple(int(c * factor) for c in street.style.road))
    for _ in range(int(rng.integers(0, 3))):
        x, z = float(rng.uniform(-4, 1)), float(rng.uniform(4, 20))
        quads.append(strip(x, x + 0.6, z, z + 0.6))
        colours.append((70, 70, 72))
    canvas.marks(np.array(quads), colours)


def _building_shadow(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """The shadow of the sunny side's row of houses."""
    side: Any = street.right if street.sun > 0 else street.left
    if not street.is_clear or side.kind != "buildings":
        return
    reach = float(rng.uniform(1.5, 9.0))
    edge = side.x(side.front_m - reach)
    z = NEAR_M
    while z < 120:
        # eaves of different heights make a stepped edge
        length, step = float(rng.uniform(8, 20)), float(rng.uniform(-1.0, 1.0))
        if not street.is_crossing(z + length / 2, 2):
            canvas.shadow(strip(edge + step, side.x(side.front_m), z, z + length), light=138)
        z += length
