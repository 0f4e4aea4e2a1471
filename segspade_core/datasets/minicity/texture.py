"""Material textures: square tiles of 512 texels, 40 texels to the metre, drawn once per process."""

from __future__ import annotations

from functools import cache

import numpy as np
import numpy.typing as npt

SIDE = 512
TEXELS_PER_M = 40
# name → how strongly it changes brightness
STRENGTH = {
    "plain": 0.10,
    "asphalt": 0.42,
    "slabs": 0.40,
    "cobbles": 0.55,
    "grass": 0.75,
    "plaster": 0.26,
    "brick": 0.55,
    "stone": 0.42,
    "boards": 0.38,
    "concrete": 0.22,
    "foliage": 1.15,
    "metal": 0.10,
    "cloth": 0.30,
    "tiles": 0.45,
}
MATERIALS = tuple(STRENGTH)
Tile = npt.NDArray[np.float32]


def noise(rng: np.random.Generator, cells: int, side: int = SIDE) -> Tile:
    """(side, side) smooth noise in [-1, 1] that repeats without a seam; `cells` bumps along a side."""
    grid = rng.random((cells, cells)).astype(np.float32) * 2 - 1
    place = np.arange(side, dtype=np.float32) * np.float32(cells / side)
    low = place.astype(np.int64)
    part = place - low
    part = part * part * (3 - 2 * part)
    high = (low + 1) % cells
    rows = grid[low] * (1 - part)[:, None] + grid[high] * part[:, None]
    return rows[:, low] * (1 - part) + rows[:, high] * part


def _layers(rng: np.random.Generator, *layers: tuple[int, float]) -> Tile:
    return sum((noise(rng, cells) * np.float32(weight) for cells, weight in layers), np.zeros(1, np.float32))


def _courses(rng: np.random.Generator, height: int, length: int, joint: int, shift: bool) -> Tile:
    """Bricks or slabs: each its own brightness, dark joints between; vertical axis first."""
    v, u = np.indices((SIDE, SIDE))
    row = v // height
    along = (u + (row % 2) * (length // 2) * shift) % SIDE
    each = rng.random((SIDE // height + 1, SIDE // length + 1)).astype(np.float32) * 1.1 - 0.45
    tile = each[row, along // length]
    tile[(v % height < joint) | (along % length < joint)] = -1.0
    return tile


@cache
def tiles() -> npt.NDArray[np.float32]:
    """(materials, 512, 512) brightness factors around 1, rows along the vertical (or along z)."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([20260, 7])))
    grain = _layers(rng, (512, 0.35), (256, 0.3), (128, 0.2))
    made = {
        "plain": _layers(rng, (256, 0.5), (64, 0.5)),
        "asphalt": grain + _layers(rng, (64, 0.2), (16, 0.25), (5, 0.4)),
        "slabs": 0.6 * _courses(rng, 32, 32, 2, False) + 0.7 * grain,
        "cobbles": 0.8 * _courses(rng, 8, 8, 2, True) + 0.4 * grain,
        "grass": grain + _layers(rng, (64, 0.35), (12, 0.35)),
        "plaster": 0.6 * grain + _layers(rng, (24, 0.5), (6, 0.6)),
        "brick": _courses(rng, 8, 16, 2, True) + 0.3 * grain,
        "stone": 0.8 * _courses(rng, 32, 64, 2, True) + 0.5 * grain,
        "boards": 0.8 * _courses(rng, 8, 256, 1, True) + 0.3 * grain,
        "concrete": 0.4 * grain + _layers(rng, (10, 0.7)) + 0.3 * _courses(rng, 128, 128, 2, False),
        "foliage": _layers(rng, (256, 0.3), (128, 0.35), (48, 0.55), (16, 0.45)),
        "metal": _layers(rng, (64, 0.4), (16, 0.6)),
        "cloth": _layers(rng, (128, 0.5), (32, 0.6)),
        "tiles": 0.8 * _courses(rng, 16, 8, 2, True) + 0.3 * grain,
    }
    strength = np.array(list(STRENGTH.values()), np.float32)[:, None, None]
    stack = np.stack([made[name] for name in MATERIALS])
    return (1 + strength * np.clip(stack, -1, 1) * np.float32(0.6)).astype(np.float32)


@cache
def clouds() -> Tile:
    """(512, 512) cloud cover in [0, 1]."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([20260, 8])))
    return np.clip(_layers(rng, (4, 0.6), (9, 0.4), (20, 0.25), (48, 0.12)) + np.float32(0.25), 0, 1)


@cache
def sensor() -> npt.NDArray[np.float32]:
    """(65536 * 3 + …,) noise of a camera chip: mean 0, deviation about 1, read at any offset."""
    rng = np.random.Generator(np.random.PCG64(np.random.SeedSequence([20260, 9])))
    return (rng.random((3, 1 << 20)).sum(axis=0) * 2 - 3).astype(np.float32)
