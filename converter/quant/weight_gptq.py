"""GPTQ (Frantar and others, 2022): rounding that makes up for its own errors, for the inputs of calibration.

A weight's columns are rounded one after another; what rounding one of them does to the product's results is taken up by
those that are still to come. How well they can is in the inputs' second moments.
"""

from __future__ import annotations

import numpy as np

from converter.quant.ranges import Grid, limits

_DAMPING = 0.01  # of the mean square of the inputs, added to each
_BLOCK = 128
# Inverting the moments takes the third power of this.
MAX_COLUMNS = 5000


class Compensation:
    """Rounds rows of a weight for inputs with these second moments.

    ``moments`` is [columns, columns], a sum of outer products of inputs in the order of the weight's columns.
    """

    def __init__(self, moments: np.ndarray) -> None:
        h = moments.astype(np.float64)
        diagonal = np.diag(h).copy()
        mean = diagonal.mean() if diagonal.any() else 1.0
        # An input that is always 0 tells nothing: its weights are rounded by themselves.
        h[np.diag_indices_from(h)] += _DAMPING * mean + np.where(diagonal > 0, 0, mean)
        # The inputs that matter most are rounded first, while there are many others to make up for them.
        self._order = np.argsort(-diagonal, kind="stable")
        ordered = h[np.ix_(self._order, self._order)]
        self._upper = np.linalg.cholesky(np.linalg.inv(ordered)).T

    def rounded(self, rows: np.ndarray, grid: Grid, bits: int) -> np.ndarray:
        """Like ``ranges.rounded``. ``grid`` has a scale and zero per row, or per row and column."""
        low, high = limits(bits)
        w = rows[:, self._order]
        scale = np.broadcast_to(grid.scale, rows.shape)[:, self._order]
        zero = np.broadcast_to(grid.zero, rows.shape)[:, self._order]
        q = np.empty(rows.shape)
        columns = rows.shape[1]
        for start in range(0, columns, _BLOCK):
            end = min(start + _BLOCK, columns)
            errors = np.empty((len(rows), end - start))
            for j in range(start, end):
                q[:, j] = np.clip(np.rint(w[:, j] / scale[:, j] + zero[:, j]), low, high)
                error = (w[:, j] - (q[:, j] - zero[:, j]) * scale[:, j]) / self._upper[j, j]
                w[:, j + 1 : end] -= np.outer(error, self._upper[j, j + 1 : end])
                errors[:, j - start] = error
            w[:, end:] -= errors @ self._upper[start:end, end:]
        result = np.empty_like(q)
        result[:, self._order] = q
        return result
