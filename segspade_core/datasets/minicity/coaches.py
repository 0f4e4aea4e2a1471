"""Buses and trams: boxes with bands of windows, lit from inside at night."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from segspade_core.datasets.minicity.chassis import (
    BUS_COLOURS,
    PLATE,
    TRIM,
    lamps,
    one_of,
    panes,
    sides,
    tyres,
    wheels,
)
from segspade_core.datasets.minicity.solid import Base, Face, Solid, tinted
from segspade_core.datasets.minicity.style import Colour


def paint_bus(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """Windows, doors, where it goes."""
    width, height, length = solid.size
    half = width / 2
    colour = one_of(rng, BUS_COLOURS) if colour is None else colour
    glass, glow = panes(solid)
    axles = (0.2 * length, 0.74 * length)
    tyres(solid, 0.46, axles)
    base = Base(-half, half, 0, length)
    faces = solid.block(base, 0.26, base._replace(front=0.1), height, colour)
    for side in sides(faces):
        count = 8 if solid.is_near else 3
        solid.detail(side, (0.0, 0.0, 1.0, 0.1), TRIM)
        solid.details(side, count, 0.01, 0.44, 0.98, 0.84, glass, glow)
        for door in (0.06, 0.5) if solid.is_near else ():
            solid.detail(side, (door, 0.04, door + 0.09, 0.82), tinted(glass, 0.75), glow // 2)
            solid.detail(side, (door + 0.043, 0.04, door + 0.047, 0.82), tinted(colour, 0.5))
    if "front" in faces:
        solid.detail(faces["front"], (0.05, 0.34, 0.95, 0.82), glass, glow // 2)
        solid.detail(faces["front"], (0.49, 0.34, 0.51, 0.82), TRIM)
    if "back" in faces:
        solid.detail(faces["back"], (0.1, 0.5, 0.9, 0.82), glass, glow)
        solid.detail(faces["back"], (0.24, 0.16, 0.76, 0.36), tinted(colour, 0.6))  # engine
    for end in ("front", "back"):
        if end in faces:
            solid.detail(faces[end], (0.0, 0.0, 1.0, 0.08), TRIM)
            solid.detail(faces[end], (0.4, 0.09, 0.6, 0.14), PLATE)
            solid.detail(faces[end], (0.2, 0.86, 0.8, 0.95), (24, 24, 24))  # where it goes
            solid.detail(faces[end], (0.32, 0.885, 0.68, 0.925), (255, 170, 40), 190 * solid.canvas.lamps_lit)
            lamps(solid, faces[end], end, 0.03, 0.17, 0.12, 0.24)
    wheels(solid, faces, 0.46, axles)


def paint_tram(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """Three cars on one pair of rails, one instance."""
    width, height, length = solid.size
    half = width / 2
    colour = one_of(rng, BUS_COLOURS) if colour is None else colour
    glass, glow = panes(solid)
    ends = (0.0, length / 3, 2 * length / 3, length)
    cars = list(pairwise(ends))
    is_back = solid.world(0, 0, 0)[2] > solid.world(0, 0, 1)[2]  # the near car is painted last
    foot = Base(-0.8 * half, 0.8 * half, 0.4, length - 0.4)
    solid.block(foot, 0.08, foot, 0.4, TRIM)
    for number, (front, back) in enumerate(cars if is_back else cars[::-1]):
        last = number == len(cars) - 1
        base = Base(-half, half, front + 0.2, back - 0.2)
        nose = base._replace(
            front=front + (0.7 if front == 0 else 0.2), back=back - (0.7 if back == length else 0.2)
        )
        faces = solid.block(base, 0.3, nose, height - 0.25, colour)
        for side in sides(faces):
            solid.details(side, 5 if solid.is_near else 2, 0.03, 0.44, 0.97, 0.84, glass, glow)
            solid.detail(side, (0.0, 0.28, 1.0, 0.34), (240, 240, 236))
            if solid.is_near:
                solid.detail(side, (0.42, 0.06, 0.58, 0.86), tinted(glass, 0.7), glow // 2)
        for end in ("front", "back"):
            if end in faces and last:
                _tram_face(solid, faces[end], end, glass, glow // 2)
        solid.flush()
        rail = Base(-0.5 * half, 0.5 * half, front + 1.5, back - 1.5)
        solid.block(rail, height - 0.25, rail, height, (120, 122, 126))  # what stands on its roof


def _tram_face(solid: Solid, face: Face, end: str, glass: Colour, glow: int) -> None:
    solid.detail(face, (0.08, 0.38, 0.92, 0.82), glass, glow)
    solid.detail(face, (0.0, 0.26, 1.0, 0.32), (240, 240, 236))
    solid.detail(face, (0.25, 0.86, 0.75, 0.96), (24, 24, 24))
    solid.detail(face, (0.36, 0.88, 0.64, 0.94), (255, 170, 40), 190 * solid.canvas.lamps_lit)
    solid.detail(face, (0.1, 0.0, 0.9, 0.1), TRIM)
    lamps(solid, face, end, 0.08, 0.22, 0.13, 0.22)
