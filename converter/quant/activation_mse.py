"""MSE: the range that quantises the values seen in calibration with the least squared error, clipping included."""

from __future__ import annotations

import numpy as np

from converter.quant.calibration import Statistics

_LEVELS = 255
_PARTS = np.geomspace(1.0, 0.02, 60)
_ROUNDS = 2


def mse(seen: Statistics) -> tuple[float, float]:
    """Each end in turn is moved towards 0 as far as that pays."""
    used = np.flatnonzero(seen.counts)
    x, weight = seen.centers[used], seen.counts[used].astype(np.float64)
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    for _ in range(_ROUNDS):
        high = min((part * high for part in _PARTS), key=lambda end: _squared_error(x, weight, low, end))
        low = min((part * low for part in _PARTS), key=lambda end: _squared_error(x, weight, end, high))
    return low, high


def _squared_error(x: np.ndarray, weight: np.ndarray, low: float, high: float) -> float:
    """Values inside are off by a step's rounding, on average its square / 12; those outside by how far they are."""
    beyond = x - np.clip(x, low, high)
    inside = weight[beyond == 0].sum() * ((high - low) / _LEVELS) ** 2 / 12
    return float(inside + (weight * np.square(beyond)).sum())
