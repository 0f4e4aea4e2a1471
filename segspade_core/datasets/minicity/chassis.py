"""What vehicles share: colours, lamps, lit windows, wheels."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.solid import Face, Solid
from segspade_core.datasets.minicity.style import Colour

# near to what is around: a road, a facade, the sky, a hedge; so the colour does not give the label away
CAR_COLOURS: tuple[Colour, ...] = (
    (236, 236, 234), (206, 208, 210), (168, 172, 176), (116, 120, 124),
    (74, 76, 80), (28, 28, 30), (40, 40, 44),
    (30, 52, 104), (70, 110, 160), (142, 178, 206), (150, 28, 30),
    (196, 44, 36), (52, 84, 58), (120, 132, 98),
    (190, 168, 120), (224, 178, 60), (124, 78, 52), (96, 96, 100), (132, 128, 122),
)  # fmt: skip
BOX_COLOURS: tuple[Colour, ...] = (
    (232, 232, 228), (210, 204, 190), (176, 176, 174), (60, 96, 148),
    (178, 66, 52), (92, 128, 96), (216, 182, 84),
)  # fmt: skip
BUS_COLOURS: tuple[Colour, ...] = (
    (228, 196, 64), (196, 54, 46), (232, 232, 230), (58, 108, 164),
    (86, 142, 98), (150, 152, 156), (206, 140, 70),
)  # fmt: skip
GLASS: Colour = (52, 62, 72)
TYRE: Colour = (30, 30, 32)
TRIM: Colour = (44, 44, 48)
CHROME: Colour = (172, 174, 178)
PLATE: Colour = (232, 230, 214)


def lamps(solid: Solid, face: Face, end: str, u0: float, u1: float, v0: float, v1: float) -> None:
    """Two head lamps or two tail lamps, mirrored; they glow when the street's lamps do."""
    lit = solid.canvas.lamps_lit
    if end == "front":
        colour, glow = ((255, 246, 218), 255) if lit else ((226, 230, 232), 0)
    else:
        colour, glow = ((255, 36, 26), 210) if lit else ((168, 24, 24), 0)
    for left, right in ((u0, u1), (1 - u1, 1 - u0)):
        solid.detail(face, (left, v0, right, v1), colour, glow)


def panes(solid: Solid) -> tuple[Colour, int]:
    """Colour and glow of the windows of what has a light inside."""
    return ((236, 214, 160), 120) if solid.canvas.lamps_lit else (GLASS, 0)


def tyres(solid: Solid, radius: float, axles: tuple[float, ...]) -> None:
    """Tyres of the near axle seen from the end; the body, filled later, hides their upper part."""
    half = solid.size.width / 2
    along = min(axles, key=lambda axle: solid.world(0.0, 0.0, axle)[2])
    pairs = ((-0.98, -0.62), (0.62, 0.98)) if solid.is_near else ((-0.95, 0.95),)
    for left, right in pairs:
        corners = ((left, 0.0), (right, 0.0), (right, radius), (left, radius))
        solid.canvas.fill(solid.surface, [solid.world(half * a, up, along) for a, up in corners], TYRE)


def wheels(solid: Solid, faces: dict[str, Face], radius: float, axles: tuple[float, ...]) -> None:
    """Wheels on the side that is seen."""
    for name, across in (("left", -0.5), ("right", 0.5)):
        if name in faces:
            for along in axles:
                solid.disc(across * solid.size.width, radius, along, radius, TYRE)
                if solid.is_near:
                    solid.hub(across * solid.size.width, radius, along, 0.62 * radius, CHROME)


def sides(faces: dict[str, Face]) -> list[Face]:
    """The sides that are seen: one at most."""
    return [faces[name] for name in ("left", "right") if name in faces]


def one_of(rng: np.random.Generator, colours: tuple[Colour, ...]) -> Colour:
    """One colour of a table."""
    return colours[int(rng.integers(len(colours)))]
