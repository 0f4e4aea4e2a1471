"""Bicycles and motorcycles, ridden or not."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.canvas import FACING, Canvas
from segspade_core.datasets.minicity.solid import Flat, Size, Solid, bar, tinted
from segspade_core.datasets.minicity.style import Colour

CYCLES: dict[str, Size] = {"motorcycle": Size(0.8, 1.2, 2.1), "bicycle": Size(0.6, 1.1, 1.75)}
COLOURS: tuple[Colour, ...] = (
    (32, 32, 34), (150, 30, 32), (36, 66, 120), (214, 216, 218),
    (66, 110, 74), (220, 150, 40), (110, 114, 118),
)  # fmt: skip
TYRE: Colour = (34, 34, 36)
STEEL: Colour = (176, 178, 182)
SEAT: Colour = (26, 24, 24)


def paint_cycle(
    canvas: Canvas,
    kind: str,
    x: float,
    z: float,
    turn: str,
    rng: np.random.Generator,
    colour: Colour | None = None,
) -> Solid:
    """Paint one bicycle or motorcycle; `turn` as in Solid. Returns its axes, for a rider."""
    surface = canvas.surface(kind, FACING, at_m=z, material="metal", whole=True)
    solid = Solid(canvas, surface, x, z, CYCLES[kind], turn)
    solid.shadow(150)
    colour = COLOURS[int(rng.integers(len(COLOURS)))] if colour is None else colour
    if turn in ("leftward", "rightward"):
        (_bicycle_side if kind == "bicycle" else _motorcycle_side)(solid, colour)
    else:
        (_bicycle_end if kind == "bicycle" else _motorcycle_end)(solid, colour, turn == "towards")
    return solid


def _side(solid: Solid, outline: Flat, colour: Colour) -> None:
    solid.canvas.fill(solid.surface, [solid.world(0.0, up, along) for along, up in outline], colour)


def _bar(
    solid: Solid, start: tuple[float, float], end: tuple[float, float], wide: float, colour: Colour
) -> None:
    """A tube of the frame, seen from the side."""
    _side(solid, bar(start, end, wide), colour)


def _wheel(solid: Solid, along: float, radius: float, inner: Colour, spokes: Colour) -> None:
    """A filled disc: annotators take the whole wheel, air between the spokes and all."""
    solid.disc(0.0, radius, along, radius, TYRE)
    if not solid.is_near:
        return
    rim = radius * 0.82
    turns = [n * 2 * np.pi / 10 for n in range(10)]
    ring = [solid.world(0.0, radius + rim * np.sin(t), along + rim * np.cos(t)) for t in turns]
    solid.canvas.mark(ring, inner)
    for n in (0, 1, 2, 3):
        ends = [
            solid.world(0.0, radius + s * rim * np.sin(turns[n]), along + s * rim * np.cos(turns[n]))
            for s in (-1, 1)
        ]
        solid.canvas.line(ends, spokes, 0.012)


def _bicycle_side(solid: Solid, colour: Colour) -> None:
    front, back, radius = (0.34, 0.34), (1.41, 0.34), 0.34
    for along, _ in (front, back):
        _wheel(solid, along, radius, (92, 92, 94), (150, 150, 152))
    head, seat, crank = (0.56, 0.86), (1.16, 0.84), (0.95, 0.32)
    tubes = ((front, head), (head, crank), (crank, seat), (seat, back), (back, crank), (head, seat))
    for start, end in tubes if solid.is_near else tubes[:4]:
        _bar(solid, start, end, 0.06, colour)
    if not solid.is_near:
        _bar(solid, (0.5, 0.98), (1.3, 0.98), 0.08, SEAT)
        return
    _bar(solid, head, (0.58, 1.02), 0.045, STEEL)
    _bar(solid, (0.46, 1.07), (0.7, 1.02), 0.06, SEAT)
    _bar(solid, seat, (1.19, 0.96), 0.04, STEEL)
    _side(solid, ((1.02, 0.96), (1.34, 0.95), (1.36, 1.03), (1.04, 1.0)), SEAT)
    _bar(solid, (1.2, 0.72), (1.68, 0.72), 0.045, TYRE)  # carrier
    solid.disc(0.0, 0.32, 0.95, 0.1, STEEL)  # chain wheel


def _motorcycle_side(solid: Solid, colour: Colour) -> None:
    for along in (0.33, 1.74):
        _wheel(solid, along, 0.33, (66, 66, 68), STEEL)
    _bar(solid, (0.33, 0.33), (0.66, 1.0), 0.09, STEEL)  # fork
    _side(solid, ((0.7, 0.28), (1.4, 0.26), (1.5, 0.6), (0.66, 0.72)), (58, 58, 62))  # engine
    _bar(solid, (1.1, 0.3), (2.0, 0.4), 0.1, STEEL)  # exhaust
    _side(solid, ((0.62, 0.78), (1.14, 0.7), (1.12, 0.94), (0.76, 1.02)), colour)  # tank
    _side(solid, ((0.36, 0.7), (0.66, 0.66), (0.72, 1.0), (0.58, 1.2), (0.42, 0.94)), colour)  # fairing
    _side(solid, ((1.04, 0.68), (1.9, 0.78), (2.05, 0.92), (1.5, 0.84), (1.04, 0.86)), SEAT)
    _side(solid, ((1.44, 0.62), (2.05, 0.72), (2.08, 0.84), (1.5, 0.78)), tinted(colour, 0.8))
    _bar(solid, (0.6, 1.08), (0.84, 1.06), 0.06, SEAT)
    lit = 255 if solid.canvas.lamps_lit else 0
    solid.canvas.mark(
        [solid.world(0.0, u, a) for a, u in ((0.4, 0.8), (0.5, 0.8), (0.52, 0.95), (0.44, 0.93))],
        (255, 244, 214),
        lit,
    )


def _end(
    solid: Solid, near: bool, half: float, low: float, high: float, colour: Colour, top: float = 1.0
) -> None:
    """A part seen from the end: `half` wide to each side at its foot, times `top` at its head."""
    along = 0.0 if near else solid.size.length
    corners = ((-half, low), (half, low), (half * top, high), (-half * top, high))
    solid.canvas.fill(solid.surface, [solid.world(a, up, along) for a, up in corners], colour)


def _end_lamp(solid: Solid, front: bool, half: float, low: float, high: float) -> None:
    lit = solid.canvas.lamps_lit
    colour = (
        ((255, 246, 218) if lit else (226, 230, 232)) if front else ((255, 36, 26) if lit else (168, 24, 24))
    )
    along = 0.0 if front else solid.size.length
    corners = ((-half, low), (half, low), (half, high), (-half, high))
    solid.canvas.mark([solid.world(a, up, along) for a, up in corners], colour, 230 if lit else 0)


def _bicycle_end(solid: Solid, colour: Colour, front: bool) -> None:
    _end(solid, front, 0.045, 0.0, 0.68, TYRE)
    _end(solid, front, 0.06, 0.64, 1.04, colour, 0.6)
    _end(solid, front, 0.14, 0.28, 0.33, TYRE)  # pedals
    _end(solid, front, 0.3, 1.03, 1.1, SEAT)  # handlebar
    if not front:
        _end(solid, front, 0.11, 0.94, 1.02, SEAT)
    _end_lamp(solid, front, 0.05, 0.78, 0.88)


def _motorcycle_end(solid: Solid, colour: Colour, front: bool) -> None:
    _end(solid, front, 0.1, 0.0, 0.66, TYRE)
    _end(solid, front, 0.24, 0.26, 0.6, (58, 58, 62))  # engine, foot rests
    _end(solid, front, 0.1, 0.0, 0.5, TYRE)
    _end(solid, front, 0.2, 0.56, 0.98, colour, 1.2 if front else 0.8)
    _end(solid, front, 0.4, 0.98, 1.06, SEAT)
    if front:
        _end(solid, front, 0.2, 1.04, 1.2, (96, 112, 124), 0.7)  # screen
    _end_lamp(solid, front, 0.12, 0.76, 0.92)
    if not front:
        corners = ((-0.11, 0.52), (0.11, 0.52), (0.11, 0.66), (-0.11, 0.66))
        solid.canvas.mark([solid.world(a, up, solid.size.length) for a, up in corners], (232, 230, 214))
