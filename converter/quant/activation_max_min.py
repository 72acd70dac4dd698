"""MAX_MIN: the range of activations is from the least to the greatest value that calibration saw."""

from __future__ import annotations

from converter.quant.calibration import Statistics


def max_min(seen: Statistics) -> tuple[float, float]:
    return seen.low, seen.high
