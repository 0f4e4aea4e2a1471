"""Outlines of what was drawn, for the polygons file."""

from __future__ import annotations

from collections.abc import Sequence

Point = tuple[float, float]


def convex_hull(points: Sequence[Point]) -> list[Point]:
    """Convex hull, counter-clockwise (Andrew's monotone chain, 1979)."""
    ordered = sorted(set(points))
    if len(ordered) < 3:
        return ordered
    return _chain(ordered)[:-1] + _chain(ordered[::-1])[:-1]


def _chain(points: list[Point]) -> list[Point]:
    chain: list[Point] = []
    for point in points:
        while len(chain) >= 2 and _turn(chain[-2], chain[-1], point) <= 0:
            chain.pop()
        chain.append(point)
    return chain


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def clip_to_frame(polygon: list[Point], width: int, height: int) -> list[list[int]]:
    """The part of a polygon inside the image, in whole pixels (Sutherland and Hodgman, 1974)."""
    for axis, limit, sign in ((0, 0.0, 1), (0, width - 1.0, -1), (1, 0.0, 1), (1, height - 1.0, -1)):
        polygon = _clip(polygon, axis, limit, sign)
    whole = [[round(u), round(v)] for u, v in polygon]
    return [point for number, point in enumerate(whole) if point != whole[number - 1]]


def _clip(polygon: list[Point], axis: int, limit: float, sign: int) -> list[Point]:
    kept: list[Point] = []
    for number, end in enumerate(polygon):
        start = polygon[number - 1]
        before, after = sign * (start[axis] - limit), sign * (end[axis] - limit)
        if (before < 0) != (after < 0):
            part = before / (before - after)
            kept.append((start[0] + part * (end[0] - start[0]), start[1] + part * (end[1] - start[1])))
        if after >= 0:
            kept.append(end)
    return kept
