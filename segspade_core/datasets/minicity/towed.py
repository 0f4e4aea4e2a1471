"""Caravans and trailers."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.chassis import (
    BOX_COLOURS,
    CAR_COLOURS,
    PLATE,
    TRIM,
    lamps,
    one_of,
    panes,
    sides,
    tyres,
    wheels,
)
from segspade_core.datasets.minicity.solid import Base, Solid, tinted
from segspade_core.datasets.minicity.style import Colour


def paint_caravan(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """White, rounded, few windows, a stripe."""
    width, height, length = solid.size
    half = width / 2
    colour = (
        ((240, 240, 236), (232, 226, 212), (222, 224, 226))[int(rng.integers(3))]
        if colour is None
        else colour
    )
    stripe = one_of(rng, CAR_COLOURS)
    glass, glow = panes(solid)
    tyres(solid, 0.3, (0.56 * length,))
    hitch = Base(-0.06, 0.06, 0.0, 1.0)
    solid.block(hitch, 0.42, hitch, 0.52, TRIM)
    belt = Base(-half, half, 0.9, length)
    low = solid.block(belt._replace(front=1.3, back=length - 0.25), 0.3, belt, 0.42 * height, colour)
    for name in low:
        if name != "top":
            solid.detail(low[name], (0.0, 0.55, 1.0, 0.75), stripe)
    wheels(solid, low, 0.3, (0.56 * length,))
    high = solid.block(
        belt, 0.42 * height, Base(-0.9 * half, 0.9 * half, 1.7, length - 0.35), 0.93 * height, colour
    )
    for name in high:
        if name in ("front", "back"):
            solid.detail(high[name], (0.16, 0.22, 0.84, 0.74), glass, glow)
    for side in sides(high):
        solid.detail(side, (0.14, 0.3, 0.42, 0.74), glass, glow)
        solid.detail(side, (0.62, -0.0, 0.64, 0.9), tinted(colour, 0.6))  # door
        solid.detail(side, (0.78, 0.0, 0.8, 0.9), tinted(colour, 0.6))
    crown = Base(-0.9 * half, 0.9 * half, 1.7, length - 0.35)
    solid.block(
        crown, 0.93 * height, Base(-0.6 * half, 0.6 * half, 2.2, length - 0.8), height, tinted(colour, 0.95)
    )
    if "back" in low:
        lamps(solid, low["back"], "back", 0.04, 0.15, 0.15, 0.45)
        solid.detail(low["back"], (0.38, 0.12, 0.62, 0.38), PLATE)


def paint_trailer(solid: Solid, rng: np.random.Generator, colour: Colour | None) -> None:
    """A low tub under a tarpaulin."""
    width, height, length = solid.size
    half = width / 2
    sheet = one_of(rng, BOX_COLOURS + CAR_COLOURS) if colour is None else colour
    axles = (0.62 * length,)
    tyres(solid, 0.33, axles)
    hitch = Base(-0.06, 0.06, 0.0, 1.0)
    solid.block(hitch, 0.42, hitch, 0.52, TRIM)
    base = Base(-half, half, 0.9, length)
    tub = solid.block(base, 0.42, base, 0.85, (150, 154, 158))
    for name in tub:
        if name != "top":
            solid.detail(tub[name], (0.0, 0.9, 1.0, 1.0), TRIM)
            solid.detail(tub[name], (0.0, 0.44, 1.0, 0.5), (104, 108, 112))
    if "back" in tub:
        lamps(solid, tub["back"], "back", 0.02, 0.16, 0.06, 0.36)
        solid.detail(tub["back"], (0.36, 0.06, 0.64, 0.34), PLATE)
    wheels(solid, tub, 0.33, axles)
    ridge = Base(-0.62 * half, 0.62 * half, 1.05, length - 0.12)
    cover = solid.block(base, 0.85, ridge, height, sheet)
    for name, face in cover.items():
        folds = 3 if name in ("front", "back") else 5
        for number in range(1, folds if solid.is_near else 1):
            u = number / folds
            solid.detail(face, (u, 0.0, u + 0.015, 1.0), tinted(sheet, 0.62))
