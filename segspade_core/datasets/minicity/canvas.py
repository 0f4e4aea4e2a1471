"""Where painters draw: one image says which surface a pixel shows, one its colour, one its own light.

Labels and instances are looked up from the surface, so the maps and the photograph are one drawing. It is
made at twice the size; colour is averaged down (smooth edges), the surface is picked (exact ids).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from segspade_core.datasets.minicity.camera import Camera, Points
from segspade_core.datasets.minicity.outline import clip_to_frame, convex_hull
from segspade_core.datasets.minicity.texture import MATERIALS
from segspade_core.labels import by_id, by_name

OVERSAMPLING = 2
SKY, GROUND, FACING, ALONG = range(4)  # how a surface lies: decides the depth of its pixels


class Canvas:
    """Surfaces are made and filled far to near; what is filled later hides what was there."""

    def __init__(self, camera: Camera, lamps_lit: bool) -> None:
        self.camera = camera
        self.lamps_lit = lamps_lit
        size = (camera.width_px * OVERSAMPLING, camera.height_px * OVERSAMPLING)
        self.surface_image = Image.new("I", size, 0)
        self.colour_image = Image.new("RGB", size, (0, 0, 0))
        self.glow_image = Image.new("L", size, 0)
        self.shadow_image = Image.new("L", (camera.width_px, camera.height_px), 255)
        self._surface_draw = ImageDraw.Draw(self.surface_image)
        self._colour_draw = ImageDraw.Draw(self.colour_image)
        self._glow_draw = ImageDraw.Draw(self.glow_image)
        self._shadow_draw = ImageDraw.Draw(self.shadow_image)
        self.rows: list[tuple[int, int, int, float, int, float]] = []
        self.lamps: list[
            tuple[float, float, float]
        ] = []  # (x, y, z) of lamps that shine on their surroundings
        self._outlines: list[list[list[tuple[float, float]]]] = []
        self._whole: list[bool] = []
        self._instances: dict[int, int] = {}
        self.surface("sky", SKY)

    def surface(
        self,
        label: str,
        lies: int,
        at_m: float = 0.0,
        material: str = "plain",
        shade: float = 1.0,
        whole: bool = False,
    ) -> int:
        """A new surface, and a new instance of labels that have instances.

        Args:
            label: name in the label table.
            lies: SKY, GROUND, FACING (a plane z = at_m) or ALONG (a plane x = at_m).
            shade: how much of the light it catches.
            whole: its outline is the convex hull of all that is filled, not each polygon by itself.
        """
        id = by_name[label].id
        instance = id
        if by_name[label].has_instances:
            count = self._instances.get(id, 0)
            self._instances[id] = count + 1
            instance = id * 1000 + min(count, 999)
        self.rows.append((id, instance, lies, at_m, MATERIALS.index(material), shade))
        self._outlines.append([])
        self._whole.append(whole)
        return len(self.rows) - 1

    def fill(self, surface: int, points: Points | list[Any], colour: Any, glow: int = 0) -> None:
        """Fill a polygon of (n, 3) metres with a surface and its colour."""
        flat = self._pixels(points)
        self._surface_draw.polygon(flat, fill=surface)
        self._colour_draw.polygon(flat, fill=_rgb(colour))
        self._glow_draw.polygon(flat, fill=glow)
        self._outlines[surface].append([(u / OVERSAMPLING, v / OVERSAMPLING) for u, v in flat])

    def mark(self, points: Points | list[Any], colour: Any, glow: int = 0) -> None:
        """Colour a polygon of (n, 3) metres; the surface below stays what it is."""
        flat = self._pixels(points)
        self._colour_draw.polygon(flat, fill=_rgb(colour))
        if glow:
            self._glow_draw.polygon(flat, fill=glow)

    def marks(self, quads: Points, colours: list[Any], glows: list[int] | None = None) -> None:
        """Colour many polygons, (n, k, 3) metres, at once: what windows and stripes are made of."""
        pixels = self.camera.project(quads) * OVERSAMPLING
        limit = self.colour_image.size[0]
        for number, polygon in enumerate(pixels.tolist()):
            us = [point[0] for point in polygon]
            if max(us) < 0 or min(us) > limit:
                continue
            flat = [(u, v) for u, v in polygon]
            self._colour_draw.polygon(flat, fill=_rgb(colours[number % len(colours)]))
            if glows is not None and glows[number]:
                self._glow_draw.polygon(flat, fill=glows[number])

    def line(self, points: Points | list[Any], colour: Any, width_m: float) -> None:
        """Colour a line through (n, 3) metres, `width_m` thick at its mean depth."""
        points = np.asarray(points, np.float64)
        width = width_m * self.camera.focal_px * OVERSAMPLING / float(points[:, 2].mean())
        self._colour_draw.line(self._pixels(points), fill=_rgb(colour), width=max(1, round(width)))

    def shadow(self, points: Points | list[Any], light: int = 120) -> None:
        """Darken the ground within a polygon of (n, 3) metres to `light` / 255 of the sun."""
        flat = [(u, v) for u, v in self.camera.project(points).tolist()]
        self._shadow_draw.polygon(flat, fill=light)

    def table(self) -> npt.NDArray[np.float64]:
        """(surfaces, 6) label id, instance id, how it lies, where, material, shade."""
        return np.array(self.rows, np.float64)

    def surfaces(self) -> npt.NDArray[np.int32]:
        """(H, W) number of the surface that each pixel shows."""
        return np.ascontiguousarray(np.asarray(self.surface_image)[::OVERSAMPLING, ::OVERSAMPLING])

    def polygons(self) -> dict[str, Any]:
        """The drawing as Cityscapes writes it: far objects first, whatever comes later hides them."""
        height, width = self.camera.height_px, self.camera.width_px
        objects = [
            {"label": "sky", "polygon": [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]}
        ]
        for row, outlines, whole in zip(self.rows, self._outlines, self._whole, strict=True):
            parts = [convex_hull([point for part in outlines for point in part])] if whole else outlines
            for part in parts:
                polygon = clip_to_frame(part, width, height)
                if len(polygon) >= 3:
                    objects.append({"label": by_id[row[0]].name, "polygon": polygon})
        return {"imgHeight": height, "imgWidth": width, "objects": objects}

    def _pixels(self, points: Points | list[Any]) -> list[tuple[float, float]]:
        return [(u, v) for u, v in (self.camera.project(points) * OVERSAMPLING).tolist()]


def _rgb(colour: Any) -> tuple[int, int, int]:
    red, green, blue = colour
    return (
        min(255, max(0, int(red))),
        min(255, max(0, int(green))),
        min(255, max(0, int(blue))),
    )
