"""Boxes in a vehicle's own axes: only the faces that the camera sees are drawn, details lie on the faces."""

from __future__ import annotations

from math import cos, pi, sin
from typing import NamedTuple

from segspade_core.datasets.minicity.camera import NEAREST_M
from segspade_core.datasets.minicity.canvas import Canvas
from segspade_core.datasets.minicity.style import Colour

Point = tuple[float, float, float]
Face = list[
    Point
]  # low left, low right, high right, high left; sides run from the vehicle's front to its back
Flat = tuple[tuple[float, float], ...]  # an outline within a plane that stands upright: (sideways, up)
FACINGS = ("away", "towards", "across")
# how much light the faces catch: the sky lights what lies flat
SHADES = {"top": 1.12, "front": 0.94, "back": 0.94, "left": 0.8, "right": 0.8}
DETAILED_PX = 14.0
_TURNS = tuple((cos(pi * step / 6), sin(pi * step / 6)) for step in range(12))


class Size(NamedTuple):
    """Outer size of a vehicle in metres."""

    width: float
    height: float
    length: float


class Base(NamedTuple):
    """A rectangle in a vehicle's axes: from side to side, and from front to back (0 is the front end)."""

    left: float
    right: float
    front: float
    back: float


class Solid:
    """One vehicle on a canvas: turns its axes (across, up, along from the front) into the world's."""

    def __init__(self, canvas: Canvas, surface: int, x: float, z: float, size: Size, turn: str) -> None:
        """`turn` is 'away', 'towards', 'leftward' or 'rightward'; (x, z) is the middle of the near end."""
        if turn not in ("away", "towards", "leftward", "rightward"):
            raise ValueError(f"a vehicle faces {turn!r}; known: {', '.join(FACINGS)}")
        self.canvas = canvas
        self.surface = surface
        self.size = size
        # smaller than this, panes and handles are less than a pixel
        self.is_near = canvas.camera.focal_px * size.height / z >= DETAILED_PX
        half, middle = size.length / 2, z + size.width / 2
        # x and z of the origin, then how they change across and along
        self._frame = {
            "towards": (x, z, 1.0, 0.0, 0.0, 1.0),
            "away": (x, z + size.length, -1.0, 0.0, 0.0, -1.0),
            "leftward": (x - half, middle, 0.0, 1.0, -1.0, 0.0),
            "rightward": (x + half, middle, 0.0, -1.0, 1.0, 0.0),
        }[turn]
        self._quads: list[Face] = []
        self._colours: list[Colour] = []
        self._glows: list[int] = []

    def world(self, across: float, up: float, along: float) -> Point:
        """A point of the vehicle in the world, metres."""
        x, z, x_across, x_along, z_across, z_along = self._frame
        return (x + x_across * across + x_along * along, up, z + z_across * across + z_along * along)

    def block(self, low: Base, low_m: float, high: Base, high_m: float, colour: Colour) -> dict[str, Face]:
        """Fill what is seen of a box that may narrow upwards; returns its visible faces by name."""
        self.flush()
        points = [
            self.world(across, up, along)
            for base, up in ((low, low_m), (high, high_m))
            for across, along in (
                (base.left, base.front),
                (base.right, base.front),
                (base.right, base.back),
                (base.left, base.back),
            )
        ]
        seen = {}
        for name, order in (
            ("top", (4, 5, 6, 7)),
            ("left", (3, 0, 4, 7)),
            ("right", (1, 2, 6, 5)),
            ("back", (2, 3, 7, 6)),
            ("front", (0, 1, 5, 4)),
        ):
            face = [points[n] for n in order]
            if self._is_seen(face):
                self.canvas.fill(self.surface, face, tinted(colour, SHADES[name]))
                seen[name] = [face[1], face[0], face[3], face[2]] if name == "left" else face
        return seen

    def detail(
        self, face: Face, place: tuple[float, float, float, float], colour: Colour, glow: int = 0
    ) -> None:
        """Colour a part (low u, low v, high u, high v) of a face; u along its foot, v up, in [0, 1]."""
        u0, v0, u1, v1 = place
        self._quads.append([_on(face, u0, v0), _on(face, u1, v0), _on(face, u1, v1), _on(face, u0, v1)])
        self._colours.append(colour)
        self._glows.append(glow)

    def details(
        self,
        face: Face,
        count: int,
        u0: float,
        v0: float,
        u1: float,
        v1: float,
        colour: Colour,
        glow: int = 0,
    ) -> None:
        """A band of `count` panes, a fifth of each left free."""
        step = (u1 - u0) / count
        for number in range(count):
            u = u0 + number * step
            self.detail(face, (u + 0.1 * step, v0, u + 0.9 * step, v1), colour, glow)

    def flush(self) -> None:
        """Draw the details so far; whatever is filled next lies over them."""
        if self._quads:
            self.canvas.marks(self._quads, list(self._colours), list(self._glows))  # type: ignore[arg-type]
            self._quads.clear()
            self._colours.clear()
            self._glows.clear()

    def disc(self, across: float, up: float, along: float, radius: float, colour: Colour) -> None:
        """Fill a wheel seen from the side."""
        self.flush()
        rim = [self.world(across, up + radius * s, along + radius * c) for c, s in _TURNS]
        self.canvas.fill(self.surface, rim, colour)

    def hub(self, across: float, up: float, along: float, radius: float, colour: Colour) -> None:
        """Colour the middle of a wheel."""
        self.canvas.mark(
            [self.world(across, up + radius * s, along + radius * c) for c, s in _TURNS[::2]], colour
        )

    def shadow(self, light: int = 110) -> None:
        """Darken the ground below, a little to one side."""
        width, _, length = self.size
        ends = (
            (-width / 2, -0.1),
            (width / 2 + 0.25, -0.1),
            (width / 2 + 0.25, length),
            (-width / 2, length),
        )
        self.canvas.shadow([self.world(a, 0.0, b) for a, b in ends], light)

    def _is_seen(self, face: Face) -> bool:
        """Whether its outside is towards the camera: it then runs counter-clockwise."""
        height = self.canvas.camera.height_m
        flat = [(x / max(z, NEAREST_M), (y - height) / max(z, NEAREST_M)) for x, y, z in face]
        area = sum(
            flat[n - 1][0] * flat[n][1] - flat[n][0] * flat[n - 1][1] for n in range(len(flat))
        )  # twice the area
        return area > 1e-9


def bar(start: tuple[float, float], end: tuple[float, float], wide: float, tip: float = 1.0) -> Flat:
    """Outline of a straight limb or tube, `wide` at its start and `tip` times that at its end."""
    a, b = end[0] - start[0], end[1] - start[1]
    scale = wide / 2 / (a * a + b * b) ** 0.5
    da, db = -b * scale, a * scale
    return (
        (start[0] - da, start[1] - db),
        (start[0] + da, start[1] + db),
        (end[0] + da * tip, end[1] + db * tip),
        (end[0] - da * tip, end[1] - db * tip),
    )


def tinted(colour: Colour, factor: float) -> Colour:
    """A colour made lighter or darker, still within 0..255."""
    red, green, blue = (min(255, max(0, int(part * factor))) for part in colour)
    return red, green, blue


def _on(face: Face, u: float, v: float) -> Point:
    (ax, ay, az), (bx, by, bz), (cx, cy, cz), (dx, dy, dz) = face
    a, b, c, d = (1 - u) * (1 - v), u * (1 - v), u * v, (1 - u) * v
    return (
        a * ax + b * bx + c * cx + d * dx,
        a * ay + b * by + c * cy + d * dy,
        a * az + b * bz + c * cz + d * dz,
    )
