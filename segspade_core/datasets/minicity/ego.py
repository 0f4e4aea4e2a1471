"""The bonnet of the car that carries the camera."""

from __future__ import annotations

import numpy as np

from segspade_core.datasets.minicity.camera import Camera
from segspade_core.datasets.minicity.canvas import FACING, Canvas

_AT_M = 1.0


def paint_ego(canvas: Canvas, rng: np.random.Generator) -> None:
    """A curved bonnet along the lower edge with a highlight and, of some cars, a star on its tip."""
    camera = canvas.camera
    top = float(rng.uniform(0.87, 0.93))
    tone = int(rng.integers(26, 70))
    colour = (tone, tone + 2, tone + 6)
    u = np.linspace(-0.1, 1.1, 25)
    v = top + (1 - top) * 1.15 * np.abs(2 * u - 1) ** 2.6
    edge = [_from_pixel(camera, a * camera.width_px, b * camera.height_px) for a, b in zip(u, v, strict=True)]
    foot = [_from_pixel(camera, a * camera.width_px, 1.1 * camera.height_px) for a in (1.1, -0.1)]
    ego = canvas.surface("ego vehicle", FACING, _AT_M, "metal", whole=True)
    canvas.fill(ego, [*edge, *foot], colour)
    bright = (colour[0] + 46, colour[1] + 48, colour[2] + 50)
    for centre in (0.36, 0.64):
        streak = [
            (centre - 0.03, 1.0),
            (centre - 0.012, top + 0.025),
            (centre + 0.012, top + 0.025),
            (centre + 0.035, 1.0),
        ]
        canvas.mark(
            [_from_pixel(camera, a * camera.width_px, b * camera.height_px) for a, b in streak], bright
        )
    if rng.random() < 0.5:
        tip = [(0.495, top + 0.012), (0.5, top - 0.02), (0.505, top + 0.012)]
        canvas.fill(
            ego,
            [_from_pixel(camera, a * camera.width_px, b * camera.height_px) for a, b in tip],
            (190, 192, 196),
        )


def _from_pixel(camera: Camera, u: float, v: float) -> tuple[float, float, float]:
    """The point of the plane z = _AT_M that is seen at (u, v)."""
    x = (u - camera.centre_u) * _AT_M / camera.focal_px
    y = camera.height_m - (v - camera.horizon_v) * _AT_M / camera.focal_px
    return x, y, _AT_M
