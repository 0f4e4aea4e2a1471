"""Cars and trucks."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.chassis import (
    BOX_COLOURS,
    CAR_COLOURS,
    CHROME,
    GLASS,
    PLATE,
    TRIM,
    lamps,
    one_of,
    sides,
    tyres,
    wheels,
)
from segspade_core.datasets.minicity.solid import Base, Face, Solid, tinted
from segspade_core.datasets.minicity.style import Colour


def paint_car(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """A body and a cabin that narrows upwards: saloon, hatchback, estate or van."""
    width, height, length = solid.size
    half = width / 2
    colour = one_of(rng, CAR_COLOURS) if colour is None else colour
    # where windscreen and rear window begin and end, in lengths: saloon, hatchback, estate, van
    bonnet, roof, tail, boot = (
        (0.24, 0.42, 0.70, 0.88),
        (0.22, 0.38, 0.84, 0.97),
        (0.24, 0.40, 0.92, 0.99),
        (0.12, 0.28, 0.96, 0.995),
    )[int(rng.integers(4))]
    shoulder = 0.6 * height
    axles = (0.18 * length, 0.8 * length)
    tyres(solid, 0.31, axles)
    if solid.is_near:
        _mirrors(solid, shoulder + 0.02, tinted(colour, 0.7))
    faces = solid.block(
        Base(-half, half, 0, length), 0.22,
        Base(-0.97 * half, 0.97 * half, 0.02 * length, 0.985 * length), shoulder, colour,
    )  # fmt: skip
    _car_body(solid, faces, colour)
    wheels(solid, faces, 0.32, axles)
    cabin = solid.block(
        Base(-0.92 * half, 0.92 * half, bonnet * length, boot * length), shoulder,
        Base(-0.74 * half, 0.74 * half, roof * length, tail * length), height, colour,
    )  # fmt: skip
    sheen = tinted(GLASS, 0.8 + 0.9 * rng.random())
    for end in ("front", "back"):
        if end in cabin:
            solid.detail(cabin[end], (0.06, 0.1, 0.94, 0.88), sheen)
    for side in sides(cabin):
        solid.detail(side, (0.08, 0.1, 0.5, 0.86), tinted(sheen, 0.9))
        solid.detail(side, (0.54, 0.1, 0.9, 0.86), tinted(sheen, 0.9))


def _car_body(solid: Solid, faces: dict[str, Face], colour: Colour) -> None:
    for end in ("front", "back"):
        if end in faces:
            face = faces[end]
            lamps(solid, face, end, 0.02, 0.2, 0.52, 0.84)
            if not solid.is_near:
                continue
            solid.detail(face, (0.02, 0.0, 0.98, 0.22), TRIM)
            if end == "front":
                solid.detail(face, (0.26, 0.5, 0.74, 0.74), TRIM)  # grille
            else:
                solid.detail(face, (0.06, 0.82, 0.94, 0.86), tinted(colour, 0.55))  # gap of the boot lid
            solid.detail(face, (0.36, 0.28, 0.64, 0.44), PLATE)
    for side in sides(faces) if solid.is_near else ():
        for seam in (0.36, 0.57, 0.76):
            solid.detail(side, (seam, 0.12, seam + 0.008, 0.98), tinted(colour, 0.45))
        solid.detail(side, (0.2, 0.0, 0.78, 0.1), TRIM)


def _mirrors(solid: Solid, low_m: float, colour: Colour) -> None:
    """Before the body, which hides the one on its far side."""
    half, along = solid.size.width / 2, 0.3 * solid.size.length
    for side in (-half, half):
        corners = ((side, low_m), (1.12 * side, low_m), (1.12 * side, low_m + 0.13), (side, low_m + 0.13))
        solid.canvas.fill(solid.surface, [solid.world(a, up, along) for a, up in corners], colour)


def paint_truck(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """A cabin and a box; `colour` is the box's."""
    box = one_of(rng, BOX_COLOURS) if colour is None else colour
    cab = one_of(rng, CAR_COLOURS)
    axles = (1.3, solid.size.length - 2.9, solid.size.length - 1.7)
    tyres(solid, 0.5, axles)
    cabin_is_near = solid.world(0.0, 0.0, 0.0)[2] < solid.world(0.0, 0.0, 1.0)[2]
    if not cabin_is_near:
        _cabin(solid, cab, axles[0])
    _load(solid, box, axles)
    if cabin_is_near:
        _cabin(solid, cab, axles[0])


def _load(solid: Solid, box: Colour, axles: tuple[float, ...]) -> None:
    width, height, length = solid.size
    half = width / 2
    frame = Base(-0.9 * half, 0.9 * half, 0.2, length - 0.1)
    chassis = solid.block(frame, 0.5, frame, 0.95, TRIM)
    base = Base(-half, half, 2.4, length)
    faces = solid.block(base, 0.95, base, height, box)
    if "back" in faces:
        solid.detail(faces["back"], (0.49, 0.02, 0.51, 0.97), tinted(box, 0.5))
        solid.detail(faces["back"], (0.04, 0.95, 0.96, 0.97), tinted(box, 0.6))
        for u in (0.3, 0.68) if solid.is_near else ():
            solid.detail(faces["back"], (u, 0.05, u + 0.02, 0.95), CHROME)  # lock rods
    for side in sides(faces) if solid.is_near else ():
        solid.detail(side, (0.0, 0.0, 1.0, 0.04), tinted(box, 0.55))
        solid.detail(side, (0.15, 0.4, 0.7, 0.62), tinted(box, 0.62))  # its owner's name
    if "back" in chassis:
        solid.detail(chassis["back"], (0.38, 0.35, 0.62, 0.7), PLATE)
        lamps(solid, chassis["back"], "back", 0.03, 0.2, 0.4, 0.85)
    wheels(solid, faces, 0.5, axles)


def _cabin(solid: Solid, cab: Colour, axle: float) -> None:
    half, top = solid.size.width / 2, 0.8 * solid.size.height
    faces = solid.block(
        Base(-0.96 * half, 0.96 * half, 0, 2.2),
        0.45,
        Base(-0.94 * half, 0.94 * half, 0.12, 2.2),
        top,
        cab,
    )
    if "front" in faces:
        front = faces["front"]
        solid.detail(front, (0.06, 0.52, 0.94, 0.9), GLASS)
        solid.detail(front, (0.2, 0.2, 0.8, 0.46), TRIM)
        solid.detail(front, (0.0, 0.0, 1.0, 0.14), tinted(cab, 0.6))
        solid.detail(front, (0.4, 0.03, 0.6, 0.1), PLATE)
        lamps(solid, front, "front", 0.03, 0.17, 0.16, 0.28)
    for side in sides(faces):
        solid.detail(side, (0.12, 0.54, 0.7, 0.88), GLASS)
        solid.detail(side, (0.74, 0.1, 0.76, 0.92), tinted(cab, 0.5))
    wheels(solid, faces, 0.5, (axle,))
