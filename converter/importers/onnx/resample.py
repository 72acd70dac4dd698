"""The arithmetic of ONNX Resize along one axis: which input elements an output element is made of."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Axis:
    """Resizing one axis of ``length`` elements to ``result`` elements.

    ``scale`` is what the model states, which need not be result / length. ``crop`` is the part of the input,
    in relative coordinates, that tf_crop_and_resize looks at.
    """

    length: int
    result: int
    scale: float
    crop: tuple[float, float] = (0.0, 1.0)


def coordinates(axis: Axis, mode: str) -> np.ndarray:
    """Where, in the input, each output element lies; raises KeyError for an unknown mode."""
    return _MODES[mode](axis, np.arange(axis.result, dtype=np.float64))


def _align_corners(axis: Axis, x: np.ndarray) -> np.ndarray:
    return x * (axis.length - 1) / (axis.result - 1) if axis.result > 1 else x * 0.0


def _crop(axis: Axis, x: np.ndarray) -> np.ndarray:
    start, end = axis.crop
    if axis.result == 1:
        return x * 0.0 + 0.5 * (start + end) * (axis.length - 1)
    return start * (axis.length - 1) + x * (end - start) * (axis.length - 1) / (axis.result - 1)


def _half_pixel_symmetric(axis: Axis, x: np.ndarray) -> np.ndarray:
    adjustment = axis.result / (axis.scale * axis.length)
    return axis.length / 2 * (1 - adjustment) + (x + 0.5) / axis.scale - 0.5


_MODES: dict[str, Callable[[Axis, np.ndarray], np.ndarray]] = {
    "half_pixel": lambda axis, x: (x + 0.5) / axis.scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda axis, x: (x + 0.5) / axis.scale - 0.5 if axis.result > 1 else x * 0.0,
    "align_corners": _align_corners,
    "asymmetric": lambda axis, x: x / axis.scale,
    "tf_crop_and_resize": _crop,
    "tf_half_pixel_for_nn": lambda axis, x: (x + 0.5) / axis.scale,
}

_ROUNDINGS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "round_prefer_floor": lambda x: np.ceil(x - 0.5),
    "round_prefer_ceil": lambda x: np.floor(x + 0.5),
    "floor": np.floor,
    "ceil": np.ceil,
}


def nearest(axis: Axis, mode: str, rounding: str) -> np.ndarray:
    """The input element that each output element copies; raises KeyError for unknown modes."""
    found = _ROUNDINGS[rounding](coordinates(axis, mode))
    return np.asarray(np.clip(found, 0, axis.length - 1), np.int32)


def weights(
    axis: Axis, mode: str, *, cubic: bool, coefficient: float, antialias: bool, exclude_outside: bool
) -> np.ndarray:
    """The matrix [length, result] that x is multiplied with.

    Elements beyond an end count as the end, or not at all with ``exclude_outside``. Antialiasing widens the
    filter by 1 / scale where the axis shrinks.
    """
    stretch = min(axis.scale, 1.0) if antialias else 1.0
    reach = math.ceil((2 if cubic else 1) / stretch)
    matrix = np.zeros((axis.length, axis.result))
    for column, x in enumerate(coordinates(axis, mode)):
        places = np.arange(math.floor(x) - reach, math.floor(x) + reach + 2)
        distance = np.abs(places - x) * stretch
        share = _cubic(distance, coefficient) if cubic else np.clip(1 - distance, 0, 1)
        if exclude_outside:
            share = np.where((places < 0) | (places >= axis.length), 0, share)
        total = share.sum()
        np.add.at(matrix[:, column], np.clip(places, 0, axis.length - 1), share / (total if total else 1))
    return matrix.astype(np.float32)


def _cubic(t: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic convolution kernel at distance t >= 0."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return np.asarray(np.where(t <= 1, near, np.where(t < 2, far, 0.0)))


def outside(axis: Axis, mode: str) -> np.ndarray:
    """Which output elements lie outside the input."""
    x = coordinates(axis, mode)
    return (x < 0) | (x > axis.length - 1)
