"""Weights to integers and back: the range of values, rounding, and the correction of what it shifts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.ir.graph import QuantParam

# Rows are quantised this many elements at a time, in double precision.
_BLOCK = 1 << 20
_LEAST_SCALE = float(np.finfo(np.float32).tiny)
_ZERO_IS_A_POINT = 5  # bits
# A mean correction must lower the squared error of its channel by this part. With 8 bits, which the format need not
# store, it takes room of its own in the file.
_MEAN_WORTH, _MEAN_WORTH_8 = 0.02, 0.25


@dataclass(frozen=True)
class Quantized:
    """``q`` has the weight's shape; ``zero_points`` broadcast to it; one of ``params`` per channel, or one."""

    q: np.ndarray
    zero_points: np.ndarray
    params: list[QuantParam]


@dataclass(frozen=True)
class Grid:
    """What each row's integers stand for, (q - zero) * scale; arrays [rows, 1]. ``zero`` may be a fraction."""

    scale: np.ndarray
    zero: np.ndarray


# The grid for each of some rows, with so many bits.
Strategy = Callable[[np.ndarray, int], Grid]
# The integers of rows on their grids.
Rounding = Callable[[np.ndarray, Grid, int], np.ndarray]


def rounded(rows: np.ndarray, grid: Grid, bits: int) -> np.ndarray:
    """Each value by itself, to the nearest."""
    low, high = limits(bits)
    q: np.ndarray = np.clip(np.rint(rows / grid.scale + grid.zero), low, high)
    return q


def quantize(
    w: np.ndarray, axis: int | None, bits: int, strategy: Strategy, correct: bool, rounding: Rounding = rounded
) -> Quantized:
    """Quantises a weight.

    Args:
        w: float32, finite.
        axis: of the channels; None: one set of parameters for all.
        bits: 1 to 16.
        correct: correct scale and mean of each channel for what rounding shifts.
    """
    moved = w.reshape(1, -1) if axis is None else np.moveaxis(w, axis, 0)
    rows = moved.reshape(moved.shape[0], -1)
    q = np.empty(rows.shape, np.int8 if bits <= 8 else np.int16)
    params: list[QuantParam] = []
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        block = rows[start : start + step].astype(np.float64)
        grid = strategy(block, bits)
        integers = rounding(block, grid, bits)
        q[start : start + step] = integers
        params += parameters(block, integers, grid, bits, correct)
    zeros = np.array([p.zero_point for p in params], np.int32)
    if axis is None:
        return Quantized(q.reshape(w.shape), zeros, params)
    shape = [1] * w.ndim
    shape[axis] = len(params)
    whole = np.ascontiguousarray(np.moveaxis(q.reshape(moved.shape), 0, axis))
    return Quantized(whole, zeros.reshape(shape), params)


def limits(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def parameters(rows: np.ndarray, q: np.ndarray, grid: Grid, bits: int, correct: bool) -> list[QuantParam]:
    """The parameters to store: whole zero points, and what remains of them as a mean correction.

    With ``correct``, scale and mean are those of the least squared error for the integers as they are.
    """
    zero = np.rint(grid.zero)
    scale, mean = grid.scale, (zero - grid.zero) * grid.scale
    if correct and rows.shape[1] > 0:
        worth = _MEAN_WORTH_8 if bits == 8 else _MEAN_WORTH
        scale, mean = _fitted(rows, q - zero, scale, mean, worth)
    return [
        QuantParam(float(s), int(z), bits, mean_corr=float(np.float32(m)))
        for s, z, m in zip(scale[:, 0], zero[:, 0], mean[:, 0])
    ]


def _fitted(
    w: np.ndarray, d: np.ndarray, scale: np.ndarray, mean: np.ndarray, worth: float
) -> tuple[np.ndarray, np.ndarray]:
    """scale and mean with the least |w - (d * scale + mean)|; mean 0 where that is not worse by ``worth``."""

    def error(s: np.ndarray, m: np.ndarray) -> np.ndarray:
        squares: np.ndarray = np.square(w - (d * s + m)).sum(axis=1, keepdims=True)
        return squares

    def ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
        found = np.divide(over, under, out=np.zeros_like(over), where=under > 0)
        return np.where(np.isfinite(found) & (found > _LEAST_SCALE), found, scale)

    through_zero = ratio((w * d).sum(axis=1, keepdims=True), np.square(d).sum(axis=1, keepdims=True))
    w_mean, d_mean = w.mean(axis=1, keepdims=True), d.mean(axis=1, keepdims=True)
    free = ratio(
        ((w - w_mean) * (d - d_mean)).sum(axis=1, keepdims=True), np.square(d - d_mean).sum(axis=1, keepdims=True)
    )
    shift = w_mean - d_mean * free
    zero = np.zeros_like(mean)
    best_scale, best_mean, best = through_zero, zero, error(through_zero, zero)
    for s, m in ((free, shift), (scale, mean)):
        better = error(s, m) < best * (1 - worth)
        best_scale, best_mean = np.where(better, s, best_scale), np.where(better, m, best_mean)
        best = error(best_scale, best_mean)
    return best_scale, best_mean


def max_min(rows: np.ndarray, bits: int) -> Grid:
    """From the least to the greatest value, 0 among them."""
    return between(*extremes(rows), bits)


def extremes(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return rows.min(axis=1, keepdims=True, initial=0), rows.max(axis=1, keepdims=True, initial=0)


def between(low: np.ndarray, high: np.ndarray, bits: int) -> Grid:
    """The grid whose first and last points are ``low`` and ``high``; from 5 bits on moved so that 0 is a point.

    With fewer bits, the half step at an end that this may cost is more than it is worth.
    """
    least, _ = limits(bits)
    scale = (high - low) / ((1 << bits) - 1)
    scale = np.where(scale > _LEAST_SCALE, scale, np.where(high > low, _LEAST_SCALE, 1.0))
    zero = np.clip(least - low / scale, *limits(bits))
    return Grid(scale, zero if bits < _ZERO_IS_A_POINT else np.rint(zero))
