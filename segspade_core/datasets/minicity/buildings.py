"""Rows of houses with windows, doors and shops, and what closes the street far away."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.minicity.canvas import ALONG, FACING, Canvas
from segspade_core.datasets.minicity.street import FAR_M, Side, Street
from segspade_core.datasets.minicity.style import Colour, Style

_GLASS: tuple[Colour, ...] = ((74, 88, 104), (92, 108, 124), (58, 68, 82), (120, 138, 152))
_LIT: tuple[Colour, ...] = ((255, 214, 140), (255, 232, 180), (240, 196, 120))
_SHOPS: tuple[Colour, ...] = ((150, 40, 40), (40, 84, 140), (44, 110, 70), (190, 150, 50), (60, 60, 66))


@dataclass(frozen=True)
class House:
    """One house: its front runs from `near` to `far` along the street."""

    near: float
    far: float
    height: float
    depth: float
    floors: int
    colour: Colour
    is_shop: bool


def paint_buildings(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """The skyline, then each side's houses far to near."""
    _skyline(canvas, street, rng)
    rows = [(side, house) for side in street.sides for house in _row(street, side, rng)]
    for side, house in sorted(rows, key=lambda row: -row[1].near):
        _paint(canvas, street, side, house, rng)


def _row(street: Street, side: Side, rng: np.random.Generator) -> list[House]:
    style = street.style
    houses = []
    z = float(rng.uniform(-6, 0))
    while z < FAR_M:
        far = z + float(rng.uniform(9, 20))
        if street.crossing is not None and z < street.crossing[1] + 2 and far > street.crossing[0] - 2:
            if z < street.crossing[0] - 8:
                far = street.crossing[0] - 2
            else:
                z = street.crossing[1] + 2
                continue
        floors = int(rng.integers(style.floors[0], style.floors[1] + 1))
        # in front of a park a house is the exception, and stands back
        if side.kind == "buildings" and rng.random() < 0.94:
            colour = style.facades[int(rng.integers(len(style.facades)))]
            tone = float(rng.uniform(0.85, 1.12))
            painted = (int(colour[0] * tone), int(colour[1] * tone), int(colour[2] * tone))
            height = floors * style.floor_m + 0.8
            is_shop = bool(rng.random() < 0.35)
            houses.append(House(z, far, height, float(rng.uniform(9, 14)), floors, painted, is_shop))
        z = far + (0.0 if rng.random() < 0.75 else float(rng.uniform(1.5, 4)))
    return houses


def _paint(canvas: Canvas, street: Street, side: Side, house: House, rng: np.random.Generator) -> None:
    style = street.style
    x, back = side.x(side.front_m), side.x(side.front_m + house.depth)
    near, far, top = max(house.near, 0.85), house.far, house.height
    if far <= near + 0.3:
        return
    rise = {"flat": 0.0, "pitched": 0.32, "steep": 0.62}[style.roof] * house.depth
    front_light = street.facade_light(side.sign)
    if house.near > 1.5:
        # the gable, seen where the row has a gap
        gable = canvas.surface("building", FACING, near, style.facade_material, 0.82)
        ridge = [((x + back) / 2, top + rise, near)] if rise else []
        canvas.fill(
            gable, [(x, 0, near), (x, top, near), *ridge, (back, top, near), (back, 0, near)], house.colour
        )
        _windows(canvas, style, house, rng, "FACING", near, (min(x, back), max(x, back)))
    if rise:
        roof = canvas.surface("building", ALONG, side.x(side.front_m + 1), "tiles", front_light)
        middle = (x + back) / 2
        slope = [(x, top, near), (middle, top + rise, near), (middle, top + rise, far), (x, top, far)]
        canvas.fill(roof, slope, style.roof_colour)
    front = canvas.surface("building", ALONG, x, style.facade_material, front_light)
    canvas.fill(front, [(x, 0, near), (x, top, near), (x, top, far), (x, 0, far)], house.colour)
    base = tuple(int(c * 0.72) for c in house.colour)
    canvas.mark([(x, 0, near), (x, 0.6, near), (x, 0.6, far), (x, 0, far)], base)
    canvas.mark([(x, top - 0.35, near), (x, top, near), (x, top, far), (x, top - 0.35, far)], style.frame)
    _windows(canvas, style, house, rng, "ALONG", x, (house.near, far))
    _ground_floor(canvas, style, house, rng, x)


def _quads(plane: str, at: float, along: Any, wide: Any, low: Any, high: Any) -> npt.NDArray[np.float64]:
    """(n, 4, 3) rectangles on a plane from positions along it and heights, each (n,)."""
    first = np.broadcast_to(along, np.shape(low)).astype(np.float64)
    second = first + wide
    fixed = np.full_like(first, at)
    order = (lambda a, y: (fixed, y, a)) if plane == "ALONG" else (lambda a, y: (a, y, fixed))
    corners = [order(first, low), order(second, low), order(second, high), order(first, high)]
    return np.stack([np.stack(corner, axis=-1) for corner in corners], axis=1)


def _windows(
    canvas: Canvas, style: Style, house: House, rng: np.random.Generator,
    plane: str, at: float, span: tuple[float, float],
) -> None:  # fmt: skip
    width, height = style.window
    count = int((span[1] - span[0] - 0.8) / style.window_step_m)
    along = span[0] + 0.4 + style.window_step_m * (np.arange(count) + 0.5) - width / 2
    distance = along if plane == "ALONG" else np.full(count, at)
    # nearer than the camera, or thinner than half a pixel, is not worth a polygon
    reach = np.sqrt(canvas.camera.focal_px * abs(at) * width / 0.6) if plane == "ALONG" else 70.0
    along = along[(distance > 0.9) & (distance < reach)]
    floors = np.arange(1 if plane == "ALONG" else 0, house.floors)
    if not along.size or not floors.size:
        return
    sill = floors * style.floor_m + 1.0
    low, start = (grid.ravel() for grid in np.meshgrid(sill, along))
    if style.shutters is not None:
        outer = _quads(plane, at, start - width * 0.42, width * 1.84, low, low + height)
        canvas.marks(outer, [style.shutters])
    canvas.marks(_quads(plane, at, start - 0.1, width + 0.2, low - 0.12, low + height + 0.1), [style.frame])
    picks = rng.integers(0, 12, len(low))
    lit = (picks < 4) & canvas.lamps_lit
    colours = [
        _LIT[pick % 3] if is_lit else _GLASS[pick % 4] for pick, is_lit in zip(picks, lit, strict=True)
    ]
    glows = [200 if is_lit else 0 for is_lit in lit]
    canvas.marks(_quads(plane, at, start, width, low, low + height), colours, glows)
    bars = _quads(plane, at, start + width / 2 - 0.05, 0.1, low, low + height)
    near = bars[:, 0, 2] < 30
    if near.any():
        canvas.marks(bars[near], [style.frame])


def _ground_floor(canvas: Canvas, style: Style, house: House, rng: np.random.Generator, x: float) -> None:
    """Doors, and shops with a sign above the glass."""
    near, far = max(house.near, 0.9), house.far
    glow = 170 if canvas.lamps_lit and rng.random() < 0.7 else 0
    if house.is_shop:
        sign = _SHOPS[int(rng.integers(len(_SHOPS)))]
        high = min(3.3, style.floor_m + 0.2)
        canvas.mark(
            [(x, high - 0.6, near), (x, high, near), (x, high, far), (x, high - 0.6, far)], sign, glow // 2
        )
        along = np.arange(house.near + 0.6, far - 2.6, 3.2)
        along = along[along > 0.9]
        if along.size:
            low = np.full(along.shape, 0.6)
            glass = (255, 226, 170) if glow else (86, 100, 112)
            canvas.marks(_quads("ALONG", x, along, 2.6, low, low + high - 1.4), [glass], [glow] * len(along))
    door = house.near + float(rng.uniform(1, max(1.2, far - house.near - 2)))
    if door > 0.9:
        low = np.zeros(1)
        canvas.marks(_quads("ALONG", x, np.array([door]), 1.5, low, low + 2.5), [style.frame])
        colour = _SHOPS[int(rng.integers(len(_SHOPS)))]
        dark = (int(colour[0] * 0.7), int(colour[1] * 0.7), int(colour[2] * 0.7))
        canvas.marks(_quads("ALONG", x, np.array([door + 0.15]), 1.2, low, low + 2.35), [dark])


def _skyline(canvas: Canvas, street: Street, rng: np.random.Generator) -> None:
    """Far houses, trees and hills behind everything; they close the view down the street."""
    woods = canvas.surface("vegetation", FACING, 260.0, "foliage", 0.9)
    x = -320.0
    leaves = street.style.leaves[0]
    while x < 320:
        wide, high = float(rng.uniform(18, 60)), float(rng.uniform(6, 20))
        edge = [(x + wide * t, high * np.sin(np.pi * t) ** 0.6, 260.0) for t in np.linspace(0, 1, 9)]
        canvas.fill(woods, [*edge, (x + wide, 0, 260.0), (x, 0, 260.0)], leaves)
        x += wide * 0.6
    far = canvas.surface("building", FACING, 200.0, street.style.facade_material, 0.85)
    for _ in range(int(rng.integers(8, 16))):
        x, wide = float(rng.uniform(-160, 140)), float(rng.uniform(9, 24))
        high = float(rng.uniform(0.6, 1.3)) * street.style.floors[1] * street.style.floor_m
        facade = street.style.facades[int(rng.integers(len(street.style.facades)))]
        canvas.fill(far, [(x, 0, 200), (x, high, 200), (x + wide, high, 200), (x + wide, 0, 200)], facade)
