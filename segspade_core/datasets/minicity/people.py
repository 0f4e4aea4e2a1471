"""Painter of people: those who walk, and those who ride."""

from __future__ import annotations

from collections.abc import Callable
from math import cos, pi, sin
from typing import NamedTuple

import numpy as np

from segspade_core.datasets.minicity.canvas import FACING, Canvas
from segspade_core.datasets.minicity.cycles import CYCLES, paint_cycle
from segspade_core.datasets.minicity.solid import DETAILED_PX, Flat, Solid, bar, tinted
from segspade_core.datasets.minicity.style import Colour

SKIN: tuple[Colour, ...] = ((238, 200, 172), (222, 178, 146), (190, 140, 106), (142, 98, 70), (96, 64, 48))
HAIR: tuple[Colour, ...] = ((30, 24, 22), (66, 44, 30), (120, 84, 48), (206, 172, 110), (168, 166, 164))
# bright jackets, but also the grey of walls, the green of hedges, the beige of plaster
COATS: tuple[Colour, ...] = (
    (28, 28, 32), (58, 60, 66), (120, 122, 126), (224, 222, 216), (38, 54, 92), (86, 116, 158), (168, 36, 40),
    (202, 98, 48), (74, 94, 62), (112, 132, 88), (190, 166, 128),
    (122, 84, 58), (214, 182, 74), (148, 96, 132),
)  # fmt: skip
TROUSERS: tuple[Colour, ...] = (
    (26, 26, 30), (44, 56, 86), (70, 84, 116), (92, 90, 88), (138, 124, 100), (60, 50, 44), (176, 172, 164),
)  # fmt: skip
HELMETS: tuple[Colour, ...] = ((236, 236, 234), (30, 30, 32), (186, 36, 34), (44, 86, 156), (226, 190, 60))
SHOES: tuple[Colour, ...] = ((24, 22, 22), (74, 52, 38), (214, 212, 208))
_OCTAGON = [(cos(n * pi / 4 + pi / 8), sin(n * pi / 4 + pi / 8)) for n in range(8)]
Part = Callable[[Flat, Colour], None]  # fills an outline


class Look(NamedTuple):
    """What somebody wears, and how they look."""

    skin: Colour
    hair: Colour
    coat: Colour
    legs: Colour
    shoes: Colour
    helmet: Colour


def paint_person(
    canvas: Canvas, x: float, z: float, rng: np.random.Generator, height_m: float | None = None
) -> None:
    """Paint somebody who stands or walks at (x, 0, z); 1.55 to 1.9 m tall unless said."""
    tall = 1.55 + 0.35 * rng.random() if height_m is None else height_m
    surface = canvas.surface("person", FACING, at_m=z, material="cloth", whole=True)
    ground = ((-0.25, -0.08), (0.35, -0.08), (0.5, 0.35), (-0.1, 0.35))
    canvas.shadow([(x + a, 0.0, z + b) for a, b in ground], 140)
    look = _look(rng)
    scale = tall if rng.random() < 0.5 else -tall

    def part(outline: Flat, colour: Colour) -> None:
        canvas.fill(surface, [(x + scale * a, up * tall, z) for a, up in outline], colour)

    pose = _walker if rng.random() < 0.45 else _upright
    if canvas.camera.focal_px * tall / z < DETAILED_PX:
        pose = _distant
    pose(part, look, rng)


def paint_rider(canvas: Canvas, kind: str, x: float, z: float, facing: str, rng: np.random.Generator) -> None:
    """Paint a 'bicycle' or 'motorcycle' and the rider on it: two instances; places as in paint_vehicle."""
    if kind not in CYCLES:
        raise ValueError(f"nobody rides a {kind!r}; known: {', '.join(CYCLES)}")
    turn = facing
    if facing == "across":
        turn = "leftward" if rng.random() < 0.5 else "rightward"
    solid = paint_cycle(canvas, kind, x, z, turn, rng)
    surface = canvas.surface("rider", FACING, at_m=z, material="cloth", whole=True)
    look = _look(rng)
    has_helmet = kind == "motorcycle" or rng.random() < 0.6
    if facing == "across":
        _side_rider(_part(solid, surface, None), kind, look, has_helmet)
    else:
        _end_rider(
            _part(solid, surface, 0.0 if facing == "towards" else solid.size.length),
            kind,
            look,
            has_helmet,
            facing == "towards",
        )


def _part(solid: Solid, surface: int, along: float | None) -> Part:
    """Fill a rider's outline, in the plane along a cycle or (along given) in one across it."""

    def part(outline: Flat, colour: Colour) -> None:
        points = [
            solid.world(0.0, up, a) if along is None else solid.world(a, up, along) for a, up in outline
        ]
        solid.canvas.fill(surface, points, colour)

    return part


def _upright(part: Part, look: Look, rng: np.random.Generator) -> None:
    """Seen from the front or from behind, in heights; feet at (0, 0)."""
    seen_from_behind = rng.random() < 0.5
    step = 0.03 * rng.random()
    hem = 0.36 if rng.random() < 0.3 else 0.47  # of a long coat, or a jacket
    for side, lift in ((-1, 0.0), (1, step)):
        foot = 0.055 * side
        part(bar((0.05 * side, 0.5), (foot, 0.04 + lift), 0.1, 0.65), tinted(look.legs, 1 - 0.1 * (side > 0)))
        part(bar((foot, lift), (foot, lift + 0.045), 0.07, 0.85), look.shoes)
        swing = 0.155 + 0.03 * rng.random()
        part(bar((0.105 * side, 0.775), (swing * side, 0.46), 0.062, 0.7), tinted(look.coat, 0.84))
        part(bar((swing * side, 0.475), (swing * side, 0.42), 0.042), look.skin)
    part(((-0.1, hem), (0.1, hem), (0.095, 0.6), (0.13, 0.78), (0.06, 0.835), (-0.06, 0.835), (-0.13, 0.78),
          (-0.095, 0.6)), look.coat)  # fmt: skip
    bag = rng.random()
    if bag < 0.2 and seen_from_behind:
        part(((-0.08, 0.56), (0.08, 0.56), (0.09, 0.78), (-0.09, 0.78)), tinted(look.helmet, 0.7))  # rucksack
    elif bag < 0.35:
        part(((0.13, 0.24), (0.25, 0.24), (0.23, 0.4), (0.15, 0.4)), tinted(look.helmet, 0.8))
    elif not seen_from_behind:
        part(((-0.012, hem), (0.012, hem), (0.03, 0.83), (-0.03, 0.83)), tinted(look.coat, 0.6))  # open front
    part(bar((0.0, 0.82), (0.0, 0.88), 0.05), look.skin)
    part(_ellipse(0.0, 0.93, 0.056, 0.07), look.hair)
    if not seen_from_behind:
        part(_ellipse(0.0, 0.912, 0.046, 0.052), look.skin)


def _distant(part: Part, look: Look, rng: np.random.Generator) -> None:
    """A few pixels high."""
    stride = 0.05 + 0.05 * rng.random()
    part(((-stride, 0.0), (stride, 0.0), (0.08, 0.5), (-0.08, 0.5)), look.legs)
    part(((-0.13, 0.46), (0.13, 0.46), (0.12, 0.82), (-0.12, 0.82)), look.coat)
    part(((-0.05, 0.82), (0.05, 0.82), (0.05, 0.95), (-0.05, 0.95)), look.skin)
    part(((-0.055, 0.92), (0.055, 0.92), (0.04, 1.0), (-0.04, 1.0)), look.hair)


def _walker(part: Part, look: Look, rng: np.random.Generator) -> None:
    """Seen from the side, in mid-stride to the right, in heights."""
    stride = 0.07 + 0.08 * rng.random()
    for side, shade in ((-1, 0.78), (1, 1.0)):  # the far leg and arm first
        knee, ankle = (0.45 * side * stride + 0.03, 0.27), (side * stride, 0.04)
        part(bar((0.0, 0.52), knee, 0.11, 0.75), tinted(look.legs, shade))
        part(bar(knee, ankle, 0.08, 0.65), tinted(look.legs, shade))
        heel = ankle[0] - 0.035
        part(((heel, 0.0), (heel + 0.125, 0.0), (heel + 0.065, 0.05), (heel, 0.05)), look.shoes)
        hand = (-1.0 * side * stride, 0.46)
        if side > 0:
            part(
                ((-0.075, 0.46), (0.075, 0.46), (0.08, 0.7), (0.05, 0.83), (-0.05, 0.83), (-0.08, 0.72)),
                look.coat,
            )
        part(bar((0.0, 0.79), hand, 0.065, 0.7), tinted(look.coat, 0.72))
        part(bar((0.9 * hand[0], 0.48), (1.05 * hand[0], 0.42), 0.045), look.skin)
    if rng.random() < 0.35:
        part(
            ((-0.16, 0.54), (-0.06, 0.54), (-0.06, 0.78), (-0.14, 0.78)), tinted(look.helmet, 0.7)
        )  # rucksack
    part(bar((0.0, 0.82), (0.01, 0.88), 0.05), look.skin)
    part(_ellipse(0.0, 0.93, 0.06, 0.07), look.hair)
    part(_ellipse(0.022, 0.912, 0.042, 0.052), look.skin)


def _side_rider(part: Part, kind: str, look: Look, has_helmet: bool) -> None:
    """Seen from the side: (along the cycle from its front, up) in metres."""
    if kind == "bicycle":
        hip, chest, head, hand = (1.16, 1.02), (0.86, 1.48), (0.76, 1.7), (0.56, 1.07)
        knee, foot = (0.82, 0.8), (0.94, 0.28)
    else:
        hip, chest, head, hand = (1.26, 0.92), (1.04, 1.4), (0.96, 1.62), (0.74, 1.08)
        knee, foot = (0.86, 0.78), (1.12, 0.36)
    part(bar(hip, knee, 0.2, 0.8), look.legs)
    part(bar(knee, foot, 0.15, 0.7), tinted(look.legs, 0.88))
    part(((foot[0] - 0.17, foot[1] - 0.09), (foot[0] + 0.1, foot[1] - 0.09), (foot[0] + 0.07, foot[1] + 0.04),
          (foot[0] - 0.06, foot[1] + 0.03)), look.shoes)  # fmt: skip
    part(bar((hip[0] + 0.04, hip[1] - 0.1), chest, 0.3, 0.95), look.coat)
    elbow = ((chest[0] + hand[0]) / 2 + 0.08, (chest[1] + hand[1]) / 2 - 0.08)
    part(bar((chest[0], chest[1] - 0.04), elbow, 0.13), tinted(look.coat, 0.78))
    part(bar(elbow, hand, 0.11, 0.7), tinted(look.coat, 0.78))
    _head(part, head, look, has_helmet, kind, face=(head[0] - 0.04, head[1] - 0.03))


def _end_rider(part: Part, kind: str, look: Look, has_helmet: bool, front: bool) -> None:
    """Seen from the front or from behind: (across, up) in metres."""
    wide = 0.5 if kind == "motorcycle" else 0.42
    low = 0.9 if kind == "motorcycle" else 1.0
    foot = 0.34 if kind == "motorcycle" else 0.26
    for side in (-1, 1):
        knee = (0.22 * side, low - 0.24)
        part(bar((0.09 * side, low + 0.02), knee, 0.17, 0.8), look.legs)
        part(bar(knee, (0.19 * side, foot), 0.13, 0.75), tinted(look.legs, 0.85))
        part(bar((0.19 * side, foot + 0.04), (0.19 * side, foot - 0.07), 0.11), look.shoes)
        elbow = (0.36 * side, low + 0.28)
        part(bar((wide / 2 * side, low + 0.52), elbow, 0.13, 0.9), tinted(look.coat, 0.82))
        part(bar(elbow, (0.3 * side, low + 0.1), 0.11, 0.8), tinted(look.coat, 0.82))
    half = wide / 2
    part(((-0.17, low - 0.06), (0.17, low - 0.06), (half, low + 0.5), (0.1, low + 0.6), (-0.1, low + 0.6),
          (-half, low + 0.5)), look.coat)  # fmt: skip
    head = (0.0, low + 0.72)
    _head(part, head, look, has_helmet, kind, face=(0.0, head[1] - 0.04) if front else None)


def _head(
    part: Part,
    at: tuple[float, float],
    look: Look,
    has_helmet: bool,
    kind: str,
    face: tuple[float, float] | None,
) -> None:
    size = 0.15 if kind == "motorcycle" else 0.12
    part(bar((at[0], at[1] - 0.2), at, 0.1), look.skin)
    part(_ellipse(*at, size * 0.9, size * 1.05), look.helmet if has_helmet else look.hair)
    if face is not None:  # a visor, or a face below a helmet or hair
        visor = kind == "motorcycle"
        part(_ellipse(*face, 0.09, 0.05 if visor else 0.085), (36, 38, 44) if visor else look.skin)
    if face is not None and kind == "bicycle" and has_helmet:
        part(((at[0] - 0.12, at[1] + 0.03), (at[0] + 0.12, at[1] + 0.03), (at[0] + 0.08, at[1] + 0.12),
              (at[0] - 0.08, at[1] + 0.12)), look.helmet)  # fmt: skip


def _ellipse(a: float, up: float, half_wide: float, half_high: float) -> Flat:
    return tuple((a + half_wide * c, up + half_high * s) for c, s in _OCTAGON)


def _look(rng: np.random.Generator) -> Look:
    tables = (SKIN, HAIR, COATS, TROUSERS, SHOES, HELMETS)
    return Look(*(colours[int(rng.integers(len(colours)))] for colours in tables))
