"""Painter of vehicles: boxes in perspective with windows, lamps and wheels."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.canvas import FACING, Canvas
from segspade_core.datasets.minicity.cars import paint_car, paint_truck
from segspade_core.datasets.minicity.coaches import paint_bus, paint_tram
from segspade_core.datasets.minicity.cycles import CYCLES, paint_cycle
from segspade_core.datasets.minicity.solid import Size, Solid
from segspade_core.datasets.minicity.style import Colour
from segspade_core.datasets.minicity.towed import paint_caravan, paint_trailer

VEHICLES: dict[str, Size] = {
    "car": Size(1.8, 1.5, 4.4),
    "truck": Size(2.5, 3.5, 8.5),
    "bus": Size(2.55, 3.1, 12.0),
    "caravan": Size(2.2, 2.6, 5.5),
    "trailer": Size(1.9, 1.8, 3.6),
    "train": Size(2.6, 3.5, 28.0),
    **CYCLES,
}
_PAINTERS = {
    "car": paint_car,
    "truck": paint_truck,
    "bus": paint_bus,
    "caravan": paint_caravan,
    "trailer": paint_trailer,
    "train": paint_tram,
}


def paint_vehicle(
    canvas: Canvas,
    kind: str,
    x: float,
    z: float,
    facing: str,
    rng: np.random.Generator,
    colour: Colour | None = None,
) -> None:
    """Paint one vehicle, one instance.

    Args:
        kind: a label name in VEHICLES.
        x: metres right of the camera, of the middle of its near end.
        z: metres ahead of the camera, of its near end; at least 0.9.
        facing: 'away' (its back is seen), 'towards' (its front) or 'across' (its side, either way round).
        colour: of its body; drawn from the rng when None.
    """
    if kind not in VEHICLES:
        raise ValueError(f"no vehicle {kind!r}; known: {', '.join(VEHICLES)}")
    turn = facing
    if facing == "across":
        turn = "leftward" if rng.random() < 0.5 else "rightward"
    if kind in CYCLES:
        paint_cycle(canvas, kind, x, z, turn, rng, colour)
        return
    width, height, length = VEHICLES[kind]
    if kind != "train":  # they differ in size, but never stand out of the room that a street leaves them
        height *= 0.94 + 0.12 * rng.random()
        length *= 0.86 + 0.14 * rng.random()
        width *= 0.94 + 0.06 * rng.random()
    surface = canvas.surface(
        kind, FACING, at_m=z, material="cloth" if kind == "trailer" else "metal", whole=True
    )
    solid = Solid(canvas, surface, x, z, Size(width, height, length), turn)
    solid.shadow()
    _PAINTERS[kind](solid, rng, colour)
    solid.flush()
    if kind == "car" and turn == "towards" and canvas.lamps_lit:
        canvas.lamps += [solid.world(side * 0.35 * width, 0.62, 0.0) for side in (-1, 1)]
