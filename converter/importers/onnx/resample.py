"""The arithmetic of ONNX Resize along one axis: which input elements an output element is made of.

Lengths and scales may be known now or at run time, see ``expr``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder
from converter.importers.onnx.expr import Expr, Number, ceil, choose, clip, floor, less, maximum, reshape, total
from lite_runtime.types import DataType


@dataclass(frozen=True)
class Axis:
    """Resizing one axis of ``length`` elements to ``result`` elements.

    ``scale`` is what the model states, which need not be result / length. ``crop`` is the part of the input,
    in relative coordinates, that tf_crop_and_resize looks at. ``length`` is a number known now.
    """

    length: int
    result: Number
    scale: Number
    crop: tuple[Number, Number] = (0.0, 1.0)

    @property
    def known(self) -> bool:
        return not any(isinstance(v, Expr) for v in (self.result, self.scale, *self.crop))


def coordinates(axis: Axis, mode: str) -> Any:
    """Where, in the input, each output element lies; raises KeyError for an unknown mode.

    In single precision, as ONNX Runtime and the recorded tests have it: rounding decides between neighbours.
    """
    if isinstance(axis.result, Expr):
        b: Builder = axis.result.b
        counted = b.op("Range", b.const(np.array(0, np.int32)), b.cast(axis.result.value, DataType.INT32), 1)
        return _MODES[mode](axis, Expr(b, b.cast(counted, DataType.FLOAT32)))
    return _MODES[mode](axis, np.arange(int(axis.result), dtype=np.float32))


def _align_corners(axis: Axis, x: Any) -> Any:
    """By the length that the scale gives, which may be a fraction longer than the result."""
    last = axis.scale * axis.length - 1
    return x * (axis.length - 1) / choose(less(1.0, axis.result), last, 1.0)


def _crop(axis: Axis, x: Any) -> Any:
    """A single element lies in the middle of the crop."""
    start, end = axis.crop
    share = choose(less(1.0, axis.result), x / maximum(axis.result - 1, 1.0), x * 0.0 + 0.5)
    return (start + share * (end - start)) * (axis.length - 1)


def _half_pixel_symmetric(axis: Axis, x: Any) -> Any:
    adjustment = axis.result / (axis.scale * axis.length)
    return (1 - adjustment) * (axis.length / 2) + (x + 0.5) / axis.scale - 0.5


_MODES: dict[str, Callable[[Axis, Any], Any]] = {
    "half_pixel": lambda axis, x: (x + 0.5) / axis.scale - 0.5,
    "half_pixel_symmetric": _half_pixel_symmetric,
    "pytorch_half_pixel": lambda axis, x: ((x + 0.5) / axis.scale - 0.5) * less(1.0, axis.result),
    "align_corners": _align_corners,
    "asymmetric": lambda axis, x: x / axis.scale,
    "tf_crop_and_resize": _crop,
    "tf_half_pixel_for_nn": lambda axis, x: (x + 0.5) / axis.scale,
}

_ROUNDINGS: dict[str, Callable[[Any], Number]] = {
    "round_prefer_floor": lambda x: ceil(x - 0.5),
    "round_prefer_ceil": lambda x: floor(x + 0.5),
    "floor": floor,
    "ceil": ceil,
}


def nearest(axis: Axis, mode: str, rounding: str) -> Number:
    """The input element that each output element copies; raises KeyError for unknown modes."""
    return clip(_ROUNDINGS[rounding](coordinates(axis, mode)), 0.0, axis.length - 1.0)


def weights(
    axis: Axis, mode: str, *, cubic: bool, coefficient: float, antialias: bool, exclude_outside: bool
) -> tuple[Number, np.ndarray | None]:
    """The matrix [length, result] that x is multiplied with: the second result times the first.

    Elements beyond an end count as the end, or not at all with ``exclude_outside``. Antialiasing widens the
    filter by 1 / scale where the axis shrinks. The second result is None when it would be the identity.
    """
    reach = 2 if cubic else 1
    if antialias:
        # An axis that does not vanish shrinks to one element at least.
        smallest = 1 / axis.length if isinstance(axis.scale, Expr) else min(1.0, float(axis.scale))
        reach = math.ceil(reach / smallest)
    outer = 0 if exclude_outside else reach + 1
    places = np.arange(-outer, axis.length + outer, dtype=np.float32).reshape(-1, 1)
    x = reshape(coordinates(axis, mode), [1, -1])
    distance: Any = abs(places - x)
    if antialias:
        distance = distance * clip(axis.scale, 0.0, 1.0)
    share: Any = _cubic(distance, coefficient) if cubic else maximum(1.0 - distance, 0.0)
    # What lies farther out than the filter reaches has no neighbours; it is extrapolated or does not occur.
    whole: Any = total(share, 0)
    shares = share / choose(less(abs(whole), 1e-30), 1.0, whole)
    if not outer:
        return shares, None
    fold = np.zeros((axis.length, places.size), np.float32)
    fold[np.clip(places.ravel(), 0, axis.length - 1).astype(int), np.arange(places.size)] = 1
    return shares, fold


def _cubic(t: Any, a: float) -> Number:
    """Keys' cubic convolution kernel at distance t >= 0."""
    near = ((a + 2) * t - (a + 3)) * t * t + 1
    far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
    return choose(less(1.0, t), choose(less(t, 2.0), far, t * 0.0), near)


def inside(axis: Axis, mode: str) -> Number:
    """1.0 where an output element lies inside the input, else 0.0."""
    x = coordinates(axis, mode)
    return (1 - less(x, 0.0)) * (1 - less(axis.length - 1.0, x))
