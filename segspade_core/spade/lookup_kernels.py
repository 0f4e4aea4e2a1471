"""Numba kernels of the sparse training form; see kernels.py for how they are compiled."""

from __future__ import annotations

from typing import Any

from segspade_core.spade.kernels import _compiled


@_compiled
def modulate(x: Any, table: Any, of_code: Any, pixels: Any, out: Any) -> None:
    """out = x * (1 + gamma) + beta, both summed of the pixel's row of the table and the sample's of the code.

    Args:
        x, out: (B, P, C) float32.
        table: (N, 2C) float32, gamma beside beta.
        of_code: (B, 2C) float32.
        pixels: (B, P) int32 rows of the table.
    """
    batch, count, channels = x.shape
    for b in range(batch):
        more = of_code[b]
        for p in range(count):
            row = table[pixels[b, p]]
            for c in range(channels):
                scale = row[c] + more[c] + 1
                out[b, p, c] = x[b, p, c] * scale + (row[channels + c] + more[channels + c])


@_compiled
def modulate_backward(
    towards: Any, x: Any, table: Any, of_code: Any, pixels: Any, of_x: Any, of_table: Any
) -> None:
    """Gradients of `modulate` for x, written, and for the table, added to."""
    batch, count, channels = x.shape
    for b in range(batch):
        more = of_code[b]
        for p in range(count):
            row, sums = table[pixels[b, p]], of_table[pixels[b, p]]
            for c in range(channels):
                g = towards[b, p, c]
                of_x[b, p, c] = g * (row[c] + more[c] + 1)
                sums[c] += g * x[b, p, c]
                sums[channels + c] += g


@_compiled
def sum_taps(products: Any, taps: Any, bias: Any, out: Any) -> None:
    """out[n] = bias + the sum over t of products[taps[n, t], t].

    Args:
        products: (M, 9, C) float32.
        taps: (N, 9) int32 below M.
        bias: (C,) float32.
        out: (N, C) float32, written.
    """
    channels = out.shape[1]
    for n in range(out.shape[0]):
        row = out[n]
        for c in range(channels):
            row[c] = bias[c]
        for t in range(taps.shape[1]):
            product = products[taps[n, t], t]
            for c in range(channels):
                row[c] += product[c]


@_compiled
def sum_taps_backward(towards: Any, taps: Any, of_products: Any) -> None:
    """The gradient of `sum_taps` for the products, added to."""
    channels = towards.shape[1]
    for n in range(towards.shape[0]):
        g = towards[n]
        for t in range(taps.shape[1]):
            sums = of_products[taps[n, t], t]
            for c in range(channels):
                sums[c] += g[c]
