"""KL: the range whose quantised values are distributed most like the real ones (Migacz, 2017).

Ranges are parts of the one from the least to the greatest value. Of each, the values outside move to its ends; the
Kullback-Leibler divergence says how much the distribution over 255 levels tells less than that over the histogram.
"""

from __future__ import annotations

import numpy as np

from converter.quant.calibration import BINS, Statistics

_LEVELS = 255
_CANDIDATES = 112
_LEAST = 1e-10
# Of all values, in one part of the histogram.
_SPIKE = 0.02


def kl(seen: Statistics) -> tuple[float, float]:
    if seen.counts.sum() == 0:
        return seen.low, seen.high
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    width = (seen.high - seen.low) / BINS
    counts = _without_spikes(seen.counts)
    best, least = 1.0, np.inf
    for part in np.linspace(1.0, _LEVELS / BINS, _CANDIDATES):
        first = max(0, round((part * low - seen.low) / width))
        last = min(BINS, round((part * high - seen.low) / width))
        if last - first < _LEVELS:
            break
        divergence = _divergence(counts, first, last)
        if divergence < least:
            best, least = float(part), divergence
    return best * low, best * high


def _without_spikes(counts: np.ndarray) -> np.ndarray:
    """Single values that are very frequent, such as the 0 of a RELU, say nothing about the range: they count no more
    than the most frequent of the other parts of the histogram."""
    spikes = counts > _SPIKE * counts.sum()
    limited: np.ndarray = np.minimum(counts, max(1, counts[~spikes].max(initial=0)))
    return limited


def _divergence(counts: np.ndarray, first: int, last: int) -> float:
    inside = counts[first:last].astype(np.float64)
    real = inside.copy()
    real[0] += counts[:first].sum()
    real[-1] += counts[last:].sum()
    starts = np.arange(_LEVELS) * len(inside) // _LEVELS
    level = np.repeat(np.arange(_LEVELS), np.diff(starts, append=len(inside)))
    # Each level's count is spread over those of its parts that occur.
    occurs = (inside > 0).astype(np.float64)
    each = np.add.reduceat(inside, starts) / np.maximum(np.add.reduceat(occurs, starts), 1)
    coarse = each[level] * occurs
    p, q = real / real.sum(), coarse / max(coarse.sum(), 1.0)
    at = p > 0
    return float((p[at] * np.log(p[at] / np.maximum(q[at], _LEAST))).sum())
