"""Numba kernels that number label patches and look up what was made of each, compiled where they run.

No compiler is needed to install them. All keep the innermost loop over channels, which LLVM vectorises.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from segspade_core.compiled import compiled


@compiled
def number_rows(rows: Any, weights: Any, slots: Any, known: Any, count: int, numbers: Any) -> int:
    """Give equal rows equal numbers, by a hash table with open addressing.

    Args:
        rows: (N, K) int16.
        weights: (K,) uint64, odd and random: the hash is the sum of their products with a row.
        slots: (2**m,) int32, more than N + count: the number at each hash, -1 where there is none.
        known: (>= count + N, K) int16: the rows that are numbered, in order; new ones are appended.
        count: how many are known.
        numbers: (N,) int32, written.

    Returns:
        How many are known now.
    """
    width = rows.shape[1]
    mask = np.uint64(slots.size - 1)
    for n in range(rows.shape[0]):
        row = rows[n]
        mixed = np.uint64(0)
        for k in range(width):
            mixed += np.uint64(row[k]) * weights[k]
        slot = (mixed ^ (mixed >> np.uint64(32))) & mask
        while True:
            number = slots[slot]
            if number < 0:
                number = count
                slots[slot] = number
                known[number] = row
                count += 1
                break
            same = True
            for k in range(width):
                same &= known[number, k] == row[k]
            if same:
                break
            slot = (slot + np.uint64(1)) & mask
        numbers[n] = number
    return count


@compiled
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


@compiled
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


@compiled
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


@compiled
def sum_taps_backward(towards: Any, taps: Any, of_products: Any) -> None:
    """The gradient of `sum_taps` for the products, added to."""
    channels = towards.shape[1]
    for n in range(towards.shape[0]):
        g = towards[n]
        for t in range(taps.shape[1]):
            sums = of_products[taps[n, t], t]
            for c in range(channels):
                sums[c] += g[c]
