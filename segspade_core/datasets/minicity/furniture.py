"""What stands on pavements: lamps, lights, signs, cabinets, bins; barriers along them; bridges above."""

from __future__ import annotations

from typing import Any

import numpy as np

from segspade_core.datasets.minicity.canvas import ALONG, FACING, Canvas
from segspade_core.datasets.minicity.street import Side, Street

_STEEL = (112, 114, 116)


def box(x: float, z: float, wide: float, low: float, high: float) -> list[tuple[float, float, float]]:
    """A rectangle that faces the camera, its middle at x."""
    return [(x - wide / 2, low, z), (x - wide / 2, high, z), (x + wide / 2, high, z), (x + wide / 2, low, z)]


def disc(x: float, y: float, z: float, radius: float, corners: int = 14) -> list[tuple[float, float, float]]:
    """A round plate that faces the camera; few corners make a triangle or a stop sign."""
    angles = np.linspace(0, 2 * np.pi, corners, endpoint=False) + np.pi / 2
    return [(x + radius * float(np.cos(a)), y + radius * float(np.sin(a)), z) for a in angles]


def paint_lamp(canvas: Canvas, x: float, z: float) -> None:
    """A street lamp that leans over the carriageway."""
    pole = canvas.surface("pole", FACING, z, "metal")
    inward = -1.0 if x > 0 else 1.0
    canvas.fill(pole, box(x, z, 0.16, 0, 7.0), _STEEL)
    arm = [(x, 6.85, z), (x, 7.0, z), (x + 1.7 * inward, 7.25, z), (x + 1.7 * inward, 7.1, z)]
    canvas.fill(pole, arm, _STEEL)
    head = [
        (x + 1.1 * inward, 7.0, z),
        (x + 1.1 * inward, 7.2, z),
        (x + 1.9 * inward, 7.35, z),
        (x + 1.9 * inward, 7.05, z),
    ]
    canvas.fill(
        pole, head, (250, 226, 180) if canvas.lamps_lit else (190, 192, 194), 255 if canvas.lamps_lit else 0
    )
    if canvas.lamps_lit:
        canvas.lamps.append((x + 1.5 * inward, 7.0, z))


def paint_traffic_light(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """A signal head on a pole; one of its three lights is on."""
    pole = canvas.surface("pole", FACING, z + 0.05, "metal")
    canvas.fill(pole, box(x, z, 0.13, 0, 3.0), _STEEL)
    light = canvas.surface("traffic light", FACING, z, "plain")
    canvas.fill(light, box(x, z, 0.46, 2.3, 3.55), (34, 36, 36))
    on = int(rng.integers(3))
    for place, (lit, dark) in enumerate(
        (((255, 60, 40), (90, 30, 26)), ((255, 190, 50), (92, 74, 30)), ((70, 240, 130), (26, 80, 48)))
    ):
        canvas.mark(
            disc(x, 3.32 - 0.4 * place, z, 0.16), lit if place == on else dark, 230 if place == on else 0
        )


def paint_sign(canvas: Canvas, x: float, z: float, rng: np.random.Generator) -> None:
    """A traffic sign on a pole: prohibition, warning, right of way, parking or a direction board."""
    poles = 2 if rng.random() < 0.15 else 1
    if poles == 2:
        group = canvas.surface("polegroup", FACING, z + 0.05, "metal")
        for dx in (-0.25, 0.0, 0.25):
            canvas.fill(group, box(x + dx, z, 0.09, 0, 3.0), _STEEL)
    else:
        pole = canvas.surface("pole", FACING, z + 0.05, "metal")
        canvas.fill(pole, box(x, z, 0.09, 0, 2.6), _STEEL)
    sign = canvas.surface("traffic sign", FACING, z, "plain")
    kind = int(rng.integers(5))
    if kind == 0:
        canvas.fill(sign, disc(x, 2.6, z, 0.42), (196, 32, 36))
        canvas.mark(disc(x, 2.6, z, 0.3), (236, 234, 228))
        canvas.mark(box(x, z, 0.3, 2.53, 2.67), (50, 50, 54))
    elif kind == 1:
        canvas.fill(sign, disc(x, 2.5, z, 0.5, 3), (200, 36, 38))
        canvas.mark(disc(x, 2.48, z, 0.32, 3), (240, 238, 230))
    elif kind == 2:
        canvas.fill(sign, disc(x, 2.6, z, 0.46, 4), (238, 236, 230))
        canvas.mark(disc(x, 2.6, z, 0.34, 4), (240, 190, 40))
    elif kind == 3:
        canvas.fill(sign, box(x, z, 0.66, 2.2, 2.9), (36, 84, 166))
        canvas.mark(box(x, z, 0.26, 2.35, 2.75), (236, 236, 234))
    else:
        canvas.fill(sign, box(x, z, 1.7, 2.5, 3.1), (242, 208, 60) if rng.random() < 0.5 else (44, 92, 160))
        for line in (2.66, 2.86):
            canvas.mark(box(x, z, 1.2, line, line + 0.09), (40, 40, 44))


def paint_static(canvas: Canvas, kind: str, x: float, z: float, rng: np.random.Generator) -> None:
    """A cabinet, a bin or a row of bollards (static), or a hand cart that someone left (dynamic)."""
    canvas.shadow([(x - 0.5, 0, z), (x + 0.5, 0, z), (x + 0.6, 0, z + 0.8), (x - 0.4, 0, z + 0.8)], light=150)
    if kind == "cart":
        cart = canvas.surface("dynamic", FACING, z, "cloth")
        colour = ((60, 120, 190), (180, 60, 60), (220, 160, 60))[int(rng.integers(3))]
        canvas.fill(
            cart, [(x - 0.5, 0.35, z), (x - 0.6, 0.95, z), (x + 0.6, 0.95, z), (x + 0.5, 0.35, z)], colour
        )
        for dx in (-0.36, 0.36):
            canvas.fill(cart, disc(x + dx, 0.22, z, 0.22, 10), (40, 40, 42))
        return
    static = canvas.surface("static", FACING, z, "metal")
    if kind == "cabinet":
        canvas.fill(static, box(x, z, 1.1, 0, 1.35), (158, 162, 156))
        canvas.mark(box(x, z, 0.03, 0.1, 1.25), (104, 108, 104))
    elif kind == "bin":
        colour = ((64, 84, 70), (96, 98, 100), (210, 120, 40))[int(rng.integers(3))]
        canvas.fill(static, box(x, z, 0.5, 0.1, 1.05), colour)
        canvas.mark(box(x, z, 0.36, 0.75, 0.88), (34, 36, 36))
    else:
        for step in range(4, -1, -1):
            canvas.fill(static, box(x, z + step * 1.6, 0.16, 0, 0.95), (70, 72, 74))


def paint_barrier(canvas: Canvas, street: Street, side: Side) -> None:
    """Fence, wall or guard rail along the far edge of the pavement, open where a street crosses."""
    if not side.barrier:
        return
    x = side.x(side.front_m - 0.15)
    spans = [(0.85, 110.0)]
    if street.crossing is not None:
        spans = [(0.85, street.crossing[0] - 1), (street.crossing[1] + 1, 110.0)]
    light = street.facade_light(side.sign)
    for near, far in reversed(spans):
        if side.barrier == "wall":
            wall = canvas.surface("wall", ALONG, x, "stone", light)
            canvas.fill(wall, _along(x, near, far, 0, 1.7), street.style.wall)
            canvas.mark(_along(x, near, far, 1.55, 1.7), tuple(int(c * 0.8) for c in street.style.wall))
        elif side.barrier == "fence":
            # labelled as a solid face, as people annotate fences
            fence = canvas.surface("fence", ALONG, x, "boards", light)
            paint = street.style.fence
            canvas.fill(fence, _along(x, near, far, 0, 1.4), tuple(int(c * 0.55 + 40) for c in paint))
            posts = np.arange(near, min(far, 45), 0.45)
            for z in posts:
                canvas.mark(_along(x, float(z), float(z) + 0.16, 0, 1.45), paint)
            canvas.mark(_along(x, near, far, 1.15, 1.28), paint)
        else:
            rail = canvas.surface("guard rail", ALONG, x, "metal", light)
            canvas.fill(rail, _along(x, near, far, 0.38, 0.8), (176, 178, 180))
            canvas.mark(_along(x, near, far, 0.54, 0.62), (120, 122, 126))
            for z in np.arange(near, min(far, 70), 3.0)[::-1]:
                canvas.fill(rail, box(x, float(z), 0.14, 0, 0.8), (132, 134, 136))


def _along(x: float, near: float, far: float, low: float, high: float) -> Any:
    return np.array([(x, low, near), (x, high, near), (x, high, far), (x, low, far)], np.float64)


def paint_bridge(canvas: Canvas, z: float) -> None:
    """A bridge across the street: deck, parapet and the piers it stands on."""
    bridge = canvas.surface("bridge", FACING, z, "concrete", 0.9)
    for x in (-16.0, 12.0):
        canvas.fill(bridge, box(x, z, 2.4, 0, 5.4), (150, 146, 140))
    under = canvas.surface("bridge", FACING, z + 4.0, "plain", 0.35)
    canvas.fill(under, [(-70, 5.2, z), (70, 5.2, z), (70, 5.2, z + 8), (-70, 5.2, z + 8)], (90, 88, 86))
    canvas.fill(bridge, box(0, z, 140, 5.2, 6.6), (164, 160, 152))
    canvas.mark(box(0, z, 140, 6.35, 6.6), (186, 182, 174))
    canvas.shadow([(-70, 0, z), (70, 0, z), (70, 0, z + 8), (-70, 0, z + 8)], light=110)
