"""Mixed bits (bit_num=0): a step per weight for a stated noise, and an entropy code instead of a number of bits."""

from __future__ import annotations

import numpy as np

from converter.quant import entropy


def entropy_coded(w: np.ndarray, noise: float) -> np.ndarray | None:
    """The weight's FSE bytes, or None where it has too many different values, or is all zeros.

    ``noise`` is the rounding error's standard deviation as a part of the weights' own: a step of sqrt(12) * noise *
    their standard deviation gives it. Each step's values stand for their mean.
    """
    flat = w.reshape(-1).astype(np.float64)
    step = np.sqrt(12) * noise * flat.std()
    if not step > np.finfo(np.float32).tiny or np.abs(flat).max() / step > 1 << 20:
        return None
    found, indices = np.unique(np.rint(flat / step).astype(np.int64), return_inverse=True)
    if not 2 <= len(found) <= entropy.MAX_SYMBOLS:
        return None
    means = np.bincount(indices, flat) / np.bincount(indices)
    return np.frombuffer(entropy.encode(indices, means.astype(np.float32)), np.uint8)
