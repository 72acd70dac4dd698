"""HQQ: half-quadratic quantisation (Badri and Shaji, 2023): the zero point is fitted to a robust norm of the error.

The error is split into one part that is small but dense, which the zero point takes up, and a few large errors, which
an l_p norm with p < 1 lets alone. Both are found in turn. No data are needed.
"""

from __future__ import annotations

import numpy as np

from converter.quant.ranges import Grid, between, extremes, rounded

_P = 0.7
_BETA, _BETA_GROWTH = 10.0, 1.01
_ITERATIONS = 20


def hqq(rows: np.ndarray, bits: int) -> Grid:
    start = between(*extremes(rows), bits)
    if rows.shape[1] == 0:
        return start
    # In units of the row's size: the norm's strength must not depend on it.
    size = np.sqrt(np.square(rows).mean(axis=1, keepdims=True))
    size = np.where(size > 0, size, 1.0)
    w = rows / size
    scale, zero = start.scale / size, start.zero
    best_zero, least = zero, np.full_like(zero, np.inf)
    beta = _BETA
    for _ in range(_ITERATIONS):
        q = rounded(w, Grid(scale, zero), bits)
        error = w - (q - zero) * scale
        norm = (np.abs(error) ** _P).mean(axis=1, keepdims=True)
        better = norm < least
        if not better.any():
            break
        best_zero, least = np.where(better, zero, best_zero), np.minimum(norm, least)
        zero = (q - (w - _shrunk(error, beta)) / scale).mean(axis=1, keepdims=True)
        beta *= _BETA_GROWTH
    return Grid(start.scale, best_zero)


def _shrunk(x: np.ndarray, beta: float) -> np.ndarray:
    """The step of the l_p norm: small values become 0, large ones stay almost as they are."""
    size = np.abs(x)
    with np.errstate(divide="ignore"):
        kept = np.maximum(size - np.where(size > 0, size, np.inf) ** (_P - 1) / beta, 0)
    result: np.ndarray = np.sign(x) * kept
    return result
