"""REMOVAL_OUTLIER: samples whose least or greatest value lies far from that of the others do not widen the range.

Far is beyond Tukey's fence, 1.5 times the distance between the quartiles, of the samples' extremes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from converter.quant.calibration import Statistics

_FENCE = 1.5
# Quartiles of fewer samples say nothing.
_LEAST_SAMPLES = 4


def removal_outlier(seen: Statistics) -> tuple[float, float]:
    return -_greatest([-low for low in seen.lows]), _greatest(seen.highs)


def _greatest(values: Sequence[float]) -> float:
    if len(values) < _LEAST_SAMPLES:
        return max(values)
    first, third = np.percentile(values, (25, 75))
    fence = third + _FENCE * (third - first)
    return float(max(v for v in values if v <= fence))
