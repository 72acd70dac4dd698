"""PERCENTILE: the range leaves out a stated part of all values, half of it at each end."""

from __future__ import annotations

import numpy as np

from converter.quant.calibration import BINS, Statistics


def percentile(seen: Statistics, part: float = 99.99) -> tuple[float, float]:
    """The range that holds ``part`` per cent of the values. An end at 0, as of a RELU, leaves out nothing there."""
    total = int(seen.counts.sum())
    if total == 0:
        return seen.low, seen.high
    outside = total * (100 - part) / 200
    below = np.cumsum(seen.counts)
    first = int(np.searchsorted(below, outside, side="right"))
    last = int(np.searchsorted(below, total - outside, side="left"))
    width = (seen.high - seen.low) / BINS
    return seen.low + first * width, seen.low + min(last + 1, BINS) * width
