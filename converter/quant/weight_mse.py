"""MSE: the range, a part of that from the least to the greatest value, that rounds with the least squared error.

Values outside are clipped: with few bits, finer steps for the many are worth more than the few largest values.
"""

from __future__ import annotations

import numpy as np

from converter.quant.ranges import Grid, between, extremes, rounded

_PARTS = np.geomspace(1.0, 0.3, 25)
# With this many bits clipping cannot gain anything worth its time.
_ENOUGH_BITS = 12


def mse(rows: np.ndarray, bits: int) -> Grid:
    low, high = extremes(rows)
    best = between(low, high, bits)
    if bits >= _ENOUGH_BITS:
        return best
    least = _squared_error(rows, best, bits)
    for part in _PARTS[1:]:
        grid = between(part * low, part * high, bits)
        error = _squared_error(rows, grid, bits)
        better = error < least
        best = Grid(np.where(better, grid.scale, best.scale), np.where(better, grid.zero, best.zero))
        least = np.minimum(error, least)
    return best


def _squared_error(rows: np.ndarray, grid: Grid, bits: int) -> np.ndarray:
    difference = (rounded(rows, grid, bits) - grid.zero) * grid.scale - rows
    squares: np.ndarray = np.einsum("ij,ij->i", difference, difference)[:, None]
    return squares
