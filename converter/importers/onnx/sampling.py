"""Reading an image between its pixels: GridSample, RoiAlign, and the grids of AffineGrid.

Every sample is a weighted sum of the pixels around a point. The pixels are gathered by one index per point
from the image laid out as rows of channels.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder
from converter.importers.onnx.expr import Expr, Number, choose, clip, floor, floor_mod, less, maximum
from converter.importers.onnx.registry import onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType

# Coefficient of the cubic kernel.
_CUBIC = -0.75


@dataclass(frozen=True)
class _Tap:
    """Pixels along one axis: their positions (int32, inside the image) and weights (None: 1)."""

    index: Expr
    weight: Expr | None


def _rows(b: Builder, x: Value) -> Value:
    """[N, C, spatial...] as [N * pixels, C]."""
    rank = b.rank(x)
    return b.reshape(b.transpose(x, [0, *range(2, rank), 1]), [-1, b.need_dims(x, "sampling")[1]])


def _gathered(b: Builder, rows: Value, image: Expr | Value, lengths: Sequence[int], axes: Sequence[list[_Tap]]) -> Expr:
    """For each point the weighted sum of its pixels, [points..., C].

    ``image`` is the number of the image that each point lies in, ``axes`` the taps along each axis.
    """
    first = image if isinstance(image, Expr) else Expr(b, image)
    total: Expr | None = None
    for taps in product(*axes):
        index, weight = first, None
        for length, tap in zip(lengths, taps):
            index = index * length + tap.index
            if tap.weight is not None:
                weight = tap.weight if weight is None else weight * tap.weight
        pixel = Expr(b, b.gather(rows, index.value))
        if weight is not None:
            pixel = pixel * Expr(b, b.op("ExpandDims", weight.value, np.array(-1, np.int32)))
        total = pixel if total is None else total + pixel
    assert total is not None
    return total


@onnx_op("GridSample")
def grid_sample(
    b: Builder, x: Value, grid: Value, *, mode: str = "linear", padding_mode: str = "zeros", align_corners: int = 0
) -> Value:
    """Points in relative coordinates, the last axis of the image first."""
    dims = b.need_dims(x, "sampling")
    kind = {"bilinear": "linear", "bicubic": "cubic"}.get(mode, mode)
    if kind not in _KINDS or padding_mode not in _PADDINGS:
        raise b.refuse(f"mode '{mode}' with padding '{padding_mode}' is not one of ONNX's.", attribute="mode")
    lengths = dims[2:]
    count = len(lengths)
    axes = []
    for i, length in enumerate(lengths):
        place = Expr(b, b.gather(grid, np.array(count - 1 - i, np.int32), count + 1))
        at = (place + 1.0) * ((length - 1) / 2) if align_corners else (place + 1.0) * (length / 2) - 0.5
        axes.append(_KINDS[kind](at, length, padding_mode, bool(align_corners)))
    images = np.arange(dims[0], dtype=np.int32).reshape([-1] + [1] * count)
    y = _gathered(b, _rows(b, x), b.const(images), lengths, axes)
    return b.transpose(y.value, [0, count + 1, *range(1, count + 1)])


_PADDINGS = ("zeros", "border", "reflection")


def _nearest_taps(at: Expr, length: int, padding: str, aligned: bool) -> list[_Tap]:
    return [_tap(_bounded(at, length, padding, aligned).apply("Round"), None, length, padding, aligned)]


def _linear_taps(at: Expr, length: int, padding: str, aligned: bool) -> list[_Tap]:
    at = _bounded(at, length, padding, aligned)
    low: Any = floor(at)
    share = at - low
    pairs = [(low, 1.0 - share), (low + 1.0, share)]
    return [_tap(place, weight, length, padding, aligned) for place, weight in pairs]


def _cubic_taps(at: Expr, length: int, padding: str, aligned: bool) -> list[_Tap]:
    # The point stays outside where it is: each of its pixels is brought into the image.
    low: Any = floor(at)
    share = at - low
    a = _CUBIC
    taps = []
    for i in (-1, 0, 1, 2):
        t = share + 1.0 if i == -1 else share if i == 0 else i - share
        near = ((a + 2) * t - (a + 3)) * t * t + 1.0
        far = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
        taps.append(_tap(low + float(i), near if i in (0, 1) else far, length, padding, aligned))
    return taps


_KINDS = {"nearest": _nearest_taps, "linear": _linear_taps, "cubic": _cubic_taps}


def _bounded(at: Expr, length: int, padding: str, aligned: bool) -> Expr:
    """The point brought into the image, unless what lies outside is zero."""
    if padding == "border":
        return _expr(clip(at, 0.0, length - 1.0))
    return _reflected(at, length, aligned) if padding == "reflection" else at


def _reflected(at: Expr, length: int, aligned: bool) -> Expr:
    """Mirrored at the centres of the outer pixels, or at their edges, as often as it takes."""
    low, span = (0.0, length - 1.0) if aligned else (-0.5, float(length))
    if span == 0:
        return at * 0.0
    folded: Any = floor_mod(at - low, 2 * span)
    mirrored: Any = low + span - abs(folded - span)
    return _expr(mirrored)


def _tap(place: Expr, weight: Expr | None, length: int, padding: str, aligned: bool) -> _Tap:
    """Pixels at whole places, which may lie outside."""
    if padding == "zeros":
        inside: Any = (1.0 - less(place, 0.0)) * (1.0 - less(length - 1.0, place))
        weight = inside if weight is None else weight * inside
    if padding == "reflection":
        place = _reflected(place, length, aligned).apply("Round")
    return _Tap(_expr(clip(place, 0.0, length - 1.0)).cast(DataType.INT32), weight)


def _expr(x: Number) -> Expr:
    assert isinstance(x, Expr)
    return x


def _weight(tap: _Tap) -> Expr:
    assert tap.weight is not None
    return tap.weight


@onnx_op("RoiAlign", since=10)
def roi_align(
    b: Builder, x: Value, rois: Value, images: Value, *,
    mode: str = "avg", output_height: int = 1, output_width: int = 1, sampling_ratio: int = 0,
    spatial_scale: float = 1.0, coordinate_transformation_mode: str | None = None,
) -> Value:  # fmt: skip
    """The average over sampling_ratio² points in every bin of each region."""
    if mode != "avg" or sampling_ratio < 1:
        name, value = ("mode", mode) if mode != "avg" else ("sampling_ratio", str(sampling_ratio))
        raise b.refuse(
            f"the value {value!r} is not offered.", attribute=name, suggestion="Use 'avg' and a fixed ratio."
        )
    half = (coordinate_transformation_mode or ("half_pixel" if b.opset >= 16 else "output_half_pixel")) == "half_pixel"
    channels, *lengths = b.need_dims(x, "sampling")[1:]
    axes = []
    for axis, bins in enumerate((output_height, output_width)):
        low, high = (
            Expr(b, b.gather(rois, np.array(i, np.int32), 1)).reshape([-1, 1]) * spatial_scale - (0.5 if half else 0.0)
            for i in (1 - axis, 3 - axis)
        )
        size: Any = high - low if half else maximum(high - low, 1.0)
        places = (np.arange(bins * sampling_ratio, dtype=np.float32) + 0.5) / (sampling_ratio * bins)
        at = low + size * places
        outside: Any = choose(less(at, -1.0), 1.0, less(float(lengths[axis]), at))
        taps = _linear_taps(_expr(clip(at, 0.0, lengths[axis] - 1.0)), lengths[axis], "border", False)
        shape = [-1, len(places), 1] if axis == 0 else [-1, 1, len(places)]
        kept = 1.0 - outside
        axes.append([_Tap(t.index.reshape(shape), (_weight(t) * kept).reshape(shape)) for t in taps])
    first = Expr(b, b.int32(images)).reshape([-1, 1, 1])
    y = _gathered(b, _rows(b, x), first, lengths, axes).value
    y = b.reshape(y, [-1, output_height, sampling_ratio, output_width, sampling_ratio, channels])
    return b.transpose(b.reduce("ReduceMean", y, [2, 4], keep_dims=False), [0, 3, 1, 2])


@onnx_op("AffineGrid")
def affine_grid(b: Builder, theta: Value, size: Value, *, align_corners: int = 0) -> Value:
    """theta (x, y[, z], 1) for every pixel, whose coordinates run from -1 to 1."""
    rows = b.need_dims(theta, "an affine grid")[1]
    batch = b.need_dims(theta, "an affine grid")[0]
    total: Expr | None = None
    for i in range(rows):
        # Coordinate x belongs to the last axis of the image.
        axis = rows - 1 - i
        length = b.gather(b.int32(size), np.array(2 + axis, np.int32))
        counted = b.op("Range", np.array(0, np.int32), length, np.array(1, np.int32), dtype=DataType.INT32)
        place, steps = (Expr(b, b.cast(v, DataType.FLOAT32)) for v in (counted, length))
        if align_corners:
            at = place * 2.0 / _expr(maximum(steps - 1.0, 1.0)) - 1.0
        else:
            at = (place * 2.0 + 1.0) / steps - 1.0
        factor = Expr(b, b.gather(theta, np.array(i, np.int32), 2)).reshape([batch, *[1] * rows, rows])
        part = at.reshape([-1 if a == axis else 1 for a in range(rows)] + [1]) * factor
        total = part if total is None else total + part
    assert total is not None
    shift = Expr(b, b.gather(theta, np.array(rows, np.int32), 2)).reshape([batch, *[1] * rows, rows])
    return (total + shift).value
