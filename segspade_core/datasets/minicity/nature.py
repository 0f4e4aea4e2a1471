"""Trees and hedges."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from segspade_core.datasets.minicity.canvas import FACING, Canvas
from segspade_core.datasets.minicity.style import Style

Points = npt.NDArray[np.float64]


def blob(x: float, y: float, z: float, wide: float, high: float, rng: np.random.Generator) -> Points:
    """(n, 3) a bumpy oval around (x, y) in the plane z."""
    count = 18 if z < 30 else 11
    angle = np.linspace(0, 2 * np.pi, count, endpoint=False)
    reach = 1 + rng.uniform(-0.16, 0.16, count)
    return np.stack(
        [x + wide * reach * np.cos(angle), y + high * reach * np.sin(angle), np.full(count, z)], axis=-1
    )


def paint_tree(
    canvas: Canvas, style: Style, x: float, z: float, rng: np.random.Generator, light: float
) -> None:
    """A tree in the manner of the city: round, a cone, or tall and narrow."""
    tree = canvas.surface("vegetation", FACING, z, "foliage", light, whole=True)
    leaf = style.leaves[int(rng.integers(len(style.leaves)))]
    tone = float(rng.uniform(0.85, 1.15))
    leaves = (int(leaf[0] * tone), int(leaf[1] * tone), int(leaf[2] * tone))
    dark = (int(leaves[0] * 0.7), int(leaves[1] * 0.72), int(leaves[2] * 0.7))
    size = float(rng.uniform(0.8, 1.3))
    trunk = 0.14 * size
    canvas.shadow(blob_on_ground(x, z, 1.6 * size), light=150)
    canvas.fill(
        tree, [(x - trunk, 0, z), (x - trunk, 3.4, z), (x + trunk, 3.4, z), (x + trunk, 0, z)], (84, 66, 52)
    )
    if style.tree == "cone":
        high = 7.5 * size
        for part in range(4):
            low = 0.9 + part * high / 5
            wide = (1.9 - 0.42 * part) * size
            tip = low + high / 2.6
            fill = dark if part % 2 else leaves
            canvas.fill(tree, [(x - wide, low, z), (x, tip, z), (x + wide, low, z), (x, low - 0.35, z)], fill)
        return
    if style.tree == "tall":
        canvas.fill(tree, blob(x, 4.6 * size, z, 0.95 * size, 3.8 * size, rng), dark)
        canvas.fill(tree, blob(x - 0.15, 4.9 * size, z, 0.7 * size, 3.2 * size, rng), leaves)
        return
    crown = 4.7 * size
    canvas.fill(tree, blob(x, crown, z, 2.3 * size, 1.9 * size, rng), dark)
    for _ in range(5 if z < 40 else 2):
        dx, dy = float(rng.uniform(-1.3, 1.3)) * size, float(rng.uniform(-0.6, 1.2)) * size
        canvas.fill(tree, blob(x + dx, crown + dy, z, 1.1 * size, 0.95 * size, rng), leaves)


def paint_hedge(
    canvas: Canvas, style: Style, x: float, z: float, rng: np.random.Generator, light: float
) -> None:
    """A hedge or a row of bushes along the street."""
    hedge = canvas.surface("vegetation", FACING, z, "foliage", light, whole=True)
    leaves = style.leaves[int(rng.integers(len(style.leaves)))]
    for step in range(4, -1, -1):
        canvas.fill(hedge, blob(x, 0.55, z + step * 0.9, 0.7, 0.65, rng), leaves)


def blob_on_ground(x: float, z: float, reach: float) -> Points:
    """(12, 3) a round spot on the ground."""
    angle = np.linspace(0, 2 * np.pi, 12, endpoint=False)
    zs = np.maximum(z + 0.7 * reach * np.sin(angle), 0.9)
    return np.stack([x + reach * np.cos(angle), np.zeros(12), zs], axis=-1)
