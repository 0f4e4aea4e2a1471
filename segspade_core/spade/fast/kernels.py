"""Numba kernels of the fast generator: modulation, and the transforms of tiled convolutions.

They work on images laid out (rows, columns, channels). Every one that has much to do takes a range `first` to
`last` of its outermost axis, so that a few threads can share it; see `segspade_core.compiled` for how
they are compiled.

Source of the tile transforms: Lavin and Gray, "Fast Algorithms for Convolutional Neural Networks", CVPR 2016,
section 4.1, F(2x2, 3x3).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segspade_core.compiled import compiled


@compiled
def modulate(
    first: int, last: int, x: Any, doubled: int, numbers: Any, table: Any, of_code: Any, slope: float,
    sample: int, top: int, left: int, out: Any,
) -> None:  # fmt: skip
    """act(x * scale + shift) of a part of a picture, where x may have half the sides; zeros outside of it.

    Args:
        x: (B, h >> doubled, w >> doubled, C) float32.
        doubled: 1 if every pixel of x stands for 2x2, else 0.
        numbers: (B, h, w) int32: the row of the table at every pixel.
        table: (N, 2C) float32: scale, then shift.
        of_code: (B, 2C) float32, added to every sample's rows; or (0, 2C) for nothing.
        slope: of the leaky ReLU; 1 for no activation.
        sample, top, left: where `out` lies in the batch; it may reach beyond the picture.
        out: (rows, columns, C) float32; rows `first` to `last` are written.
    """
    channels = x.shape[3]
    height, width = numbers.shape[1], numbers.shape[2]
    for row in range(first, last):
        y = top + row
        for column in range(out.shape[1]):
            z = left + column
            pixel = out[row, column]
            if y < 0 or y >= height or z < 0 or z >= width:
                pixel[:] = 0
                continue
            parent = x[sample, y >> doubled, z >> doubled]
            entry = table[numbers[sample, y, z]]
            scale, shift = entry[:channels], entry[channels:]
            if len(of_code):
                more_scale, more_shift = of_code[sample, :channels], of_code[sample, channels:]
                for c in range(channels):
                    value = parent[c] * (scale[c] + more_scale[c]) + (shift[c] + more_shift[c])
                    pixel[c] = value if value > 0 else slope * value
            else:
                for c in range(channels):
                    value = parent[c] * scale[c] + shift[c]
                    pixel[c] = value if value > 0 else slope * value


@compiled
def into_tiles(first: int, last: int, pixels: Any, out: Any) -> None:
    """Transform the 4x4 tiles of an image, which overlap by two pixels: B^T d B.

    Args:
        pixels: (2R + 2, 2X + 2, C) float32.
        out: (4, 4, R * X, C) float32; the tiles of tile rows `first` to `last` are written.
    """
    tiles = pixels.shape[1] // 2 - 1
    # across first: a ring of the four image rows that a row of tiles needs, of which the next shares two
    across = np.empty((4, 4, tiles, pixels.shape[2]), np.float32)
    for row in range(first, last):
        for y in range(2 * row if row == first else 2 * row + 2, 2 * row + 4):
            line, ring = pixels[y], across[y % 4]
            for tile in range(tiles):
                a, b, c, d = line[2 * tile], line[2 * tile + 1], line[2 * tile + 2], line[2 * tile + 3]
                _subtract(a, c, ring[0, tile])
                _add(b, c, ring[1, tile])
                _subtract(c, b, ring[2, tile])
                _subtract(b, d, ring[3, tile])
        done = slice(row * tiles, row * tiles + tiles)
        for j in range(4):
            e, f = across[2 * row % 4, j].ravel(), across[(2 * row + 1) % 4, j].ravel()
            g, h = across[(2 * row + 2) % 4, j].ravel(), across[(2 * row + 3) % 4, j].ravel()
            _subtract(e, g, out[0, j, done].ravel())
            _add(f, g, out[1, j, done].ravel())
            _subtract(g, f, out[2, j, done].ravel())
            _subtract(f, h, out[3, j, done].ravel())


@compiled
def from_tiles(
    first: int, last: int, products: Any, bias: Any, add: bool, sample: int, top: int, left: int, out: Any
) -> None:
    """Transform products of tiles back, A^T m A, and write (or add) them with a bias to a part of a picture.

    Args:
        products: (4, 4, R, X, C) float32.
        bias: (C,) float32.
        add: to what is there, instead of writing over it.
        sample, top, left: where the part begins.
        out: (B, h, w, C) float32; two pixel rows for each of the tile rows `first` to `last`.
    """
    tiles = products.shape[3]
    down = np.empty((2, 4, tiles, products.shape[4]), np.float32)
    for row in range(first, last):
        for j in range(4):
            a, b = products[0, j, row].ravel(), products[1, j, row].ravel()
            c, d = products[2, j, row].ravel(), products[3, j, row].ravel()
            _add_three(a, b, c, down[0, j].ravel())
            _subtract_two(b, c, d, down[1, j].ravel())
        for i in range(2):
            line = out[sample, top + 2 * row + i]
            for tile in range(tiles):
                e, f, g, h = down[i, 0, tile], down[i, 1, tile], down[i, 2, tile], down[i, 3, tile]
                left_pixel, right_pixel = line[left + 2 * tile], line[left + 2 * tile + 1]
                if add:
                    for c in range(bias.size):
                        left_pixel[c] += bias[c] + (e[c] + f[c] + g[c])
                    for c in range(bias.size):
                        right_pixel[c] += bias[c] + (f[c] - g[c] - h[c])
                else:
                    for c in range(bias.size):
                        left_pixel[c] = bias[c] + (e[c] + f[c] + g[c])
                    for c in range(bias.size):
                        right_pixel[c] = bias[c] + (f[c] - g[c] - h[c])


@compiled
def _add(a: Any, b: Any, out: Any) -> None:
    for n in range(out.size):
        out[n] = a[n] + b[n]


@compiled
def _subtract(a: Any, b: Any, out: Any) -> None:
    for n in range(out.size):
        out[n] = a[n] - b[n]


@compiled
def _add_three(a: Any, b: Any, c: Any, out: Any) -> None:
    for n in range(out.size):
        out[n] = a[n] + b[n] + c[n]


@compiled
def _subtract_two(a: Any, b: Any, c: Any, out: Any) -> None:
    for n in range(out.size):
        out[n] = a[n] - b[n] - c[n]
