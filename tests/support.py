"""What tests share: where data lies and how answers are compared."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
DATA = ROOT / "tests" / "data"
# The full corpus of models, too large for the repository; tests that need it are marked `corpus`.
CORPUS = Path(os.environ.get("LITE_RUNTIME_CORPUS", ROOT.parent / "shared" / "corpus"))


def recorded(npz: Path) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Inputs and outputs of a recording (arrays ``in0, in1, ...`` and ``out00, out01, ...``), in order."""
    with np.load(npz) as arrays:
        inputs = [arrays[f"in{i}"] for i in range(sum(name.startswith("in") for name in arrays))]
        outputs = [arrays[f"out{i:02d}"] for i in range(sum(name.startswith("out") for name in arrays))]
    return inputs, outputs


def assert_close(actual: np.ndarray, expected: np.ndarray, tolerance: float = 1e-4, what: str = "") -> None:
    """The largest error is at most ``tolerance`` times the largest magnitude expected; shapes agree."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    assert actual.shape == expected.shape, f"{what}: shape {actual.shape}, expected {expected.shape}"
    if expected.size == 0:
        return
    assert np.isfinite(actual).all() or not np.isfinite(expected).all(), f"{what}: not finite"
    error = np.abs(actual.astype(np.float64) - expected.astype(np.float64)).max()
    bound = tolerance * np.abs(expected.astype(np.float64)).max()
    assert error <= bound, f"{what}: error {error:.3g}, allowed {bound:.3g}"
