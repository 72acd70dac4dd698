"""Resize and Upsample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.importers.onnx.builder import INT32_MAX, Builder, MaybeValue
from converter.importers.onnx.expr import Expr, Number, floor, maximum, minimum
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.resample import Axis, inside, nearest, weights
from converter.importers.onnx.spatial import from_nhwc, to_nhwc
from converter.ir.graph import Value
from lite_runtime.types import DataType

# What the .ms operator computes itself: ONNX's names of coordinate modes and roundings for its own.
_NATIVE_MODES = {"half_pixel": "HALF_PIXEL", "asymmetric": "ASYMMETRIC", "align_corners": "ALIGN_CORNERS"}
_NATIVE_ROUNDINGS = {
    "round_prefer_floor": "ROUND_HALF_DOWN",
    "round_prefer_ceil": "ROUND_HALF_UP",
    "floor": "FLOOR",
    "ceil": "CEIL",
}
_FIX_SHAPES = "Fix the input shapes with --inputShape."


@onnx_op("Upsample")
def upsample(b: Builder, x: Value, scales: Value, *, mode: str = "nearest") -> Value:
    return _asymmetric(b, x, scales, mode)


@onnx_op("Resize", until=10)
def resize_10(b: Builder, x: Value, scales: Value, *, mode: str = "nearest") -> Value:
    return _asymmetric(b, x, scales, mode)


def _asymmetric(b: Builder, x: Value, scales: Value, mode: str) -> Value:
    kind = "linear" if mode == "bilinear" else mode
    return resize(
        b, x, None, scales, mode=kind, coordinate_transformation_mode="asymmetric", nearest_mode="floor"
    )  # fmt: skip


@onnx_op("Resize", since=11)
def resize(
    b: Builder, x: Value, roi: MaybeValue = None, scales: MaybeValue = None, sizes: MaybeValue = None, *,
    mode: str = "nearest", coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0, nearest_mode: str = "round_prefer_floor",
    axes: list[int] | None = None, keep_aspect_ratio_policy: str = "stretch", antialias: int = 0,
) -> Value:  # fmt: skip
    rank, coordinates = b.rank(x), coordinate_transformation_mode
    along = list(range(rank)) if axes is None else [b.axis(a, rank) for a in axes]
    scales, sizes = (None if v is None or v.shape == (0,) else v for v in (scales, sizes))
    if (scales is None) == (sizes is None):
        raise b.refuse("it must have either scales or sizes. The model is invalid: check the exporter.")
    if mode not in ("nearest", "linear", "cubic"):
        raise b.refuse(f"'{mode}' is not one of ONNX's modes.", attribute="mode")
    plain = not antialias and not exclude_outside and keep_aspect_ratio_policy == "stretch"
    if b.dims(x) is None:
        return _of_unknown(b, x, scales, sizes, along, mode, coordinates, nearest_mode, plain)
    crop = roi if coordinates == "tf_crop_and_resize" else None
    plan = _plan(b, x, crop, scales, sizes, along, keep_aspect_ratio_policy)
    if plain and _is_native(plan, rank, mode, coordinates, nearest_mode):
        height, width = (int(plan[i].result) for i in (2, 3))  # type: ignore[arg-type]
        return _native(b, x, mode, coordinates, nearest_mode, new_height=height, new_width=width)
    try:
        for axis, step in plan.items():
            if mode == "nearest":
                x = b.gather(x, _constant(b, nearest(step, coordinates, nearest_mode), DataType.INT32), axis)
                continue
            matrix, fold = weights(
                step, coordinates, cubic=mode == "cubic", coefficient=cubic_coeff_a, antialias=bool(antialias),
                exclude_outside=bool(exclude_outside),
            )  # fmt: skip
            x = _multiply_axis(b, x, rank, axis, _product(b, fold, matrix))
        return _extrapolated(b, x, rank, plan, coordinates, extrapolation_value)
    except KeyError as error:
        raise b.refuse(f"{error} is not one of ONNX's modes.") from None


def _plan(
    b: Builder, x: Value, roi: MaybeValue, scales: MaybeValue, sizes: MaybeValue, along: Sequence[int], policy: str
) -> dict[int, Axis]:
    """What happens to each axis that changes."""
    dims = b.need_dims(x, "resizing")
    n = len(along)
    crop = [0.0] * n + [1.0] * n if roi is None else _numbers(b, roi, 2 * n)
    factors: list[Any]
    if sizes is not None:
        wanted = _numbers(b, sizes, n)
        factors = [w / dims[a] for w, a in zip(wanted, along)]
        if policy != "stretch":
            pick = {"not_larger": minimum, "not_smaller": maximum}.get(policy)
            if pick is None:
                raise b.refuse(f"'{policy}' is not one of ONNX's policies.", attribute="keep_aspect_ratio_policy")
            factor = factors[0]
            for other in factors[1:]:
                factor = pick(factor, other)
            factors = [factor] * n
            wanted = [floor(factor * dims[a] + 0.5) for a in along]
    else:
        assert scales is not None
        factors = _numbers(b, scales, n)
        wanted = [floor(dims[a] * f) for a, f in zip(along, factors)]
    steps = {a: Axis(dims[a], wanted[i], factors[i], (crop[i], crop[i + n])) for i, a in enumerate(along)}
    for step in steps.values():
        if not isinstance(step.result, Expr) and step.result < 1:
            raise b.refuse(f"it leaves {step.result} of {step.length} elements.")
    return {axis: step for axis, step in sorted(steps.items()) if not _keeps(step)}


def _keeps(step: Axis) -> bool:
    return step.known and step.result == step.length and step.scale == 1 and step.crop == (0.0, 1.0)


def _numbers(b: Builder, x: Value, count: int) -> list[Any]:
    """The elements of a vector, as floats known now or at run time."""
    if x.data is not None:
        if x.data.size != count:
            raise b.refuse(f"'{x.name}' has {x.data.size} elements, expected {count}.")
        return list(x.data.ravel().astype(np.float32))
    vector = b.cast(x, DataType.FLOAT32)
    return [Expr(b, b.gather(vector, np.array(i, np.int32))) for i in range(count)]


def _constant(b: Builder, x: Number, dtype: DataType = DataType.FLOAT32) -> Value:
    if isinstance(x, Expr):
        return b.cast(x.value, dtype)
    return b.const(np.asarray(x, dtype.numpy))


def _product(b: Builder, fold: np.ndarray | None, matrix: Number) -> Value:
    if fold is None:
        return _constant(b, matrix)
    if isinstance(matrix, Expr):
        return b.op("MatMulFusion", b.const(fold), matrix.value)
    return b.const((fold.astype(np.float64) @ matrix).astype(np.float32))


def _multiply_axis(b: Builder, x: Value, rank: int, axis: int, matrix: Value) -> Value:
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    x = b.transpose(x, order)
    if rank == 1:
        return b.reshape(b.op("MatMulFusion", b.reshape(x, [1, -1]), matrix), [-1])
    return b.transpose(b.op("MatMulFusion", x, matrix), order)


def _extrapolated(b: Builder, x: Value, rank: int, plan: dict[int, Axis], coordinates: str, value: float) -> Value:
    """Puts the value in place of elements outside the input."""
    if coordinates != "tf_crop_and_resize":
        return x
    for axis, step in plan.items():
        mask = inside(step, coordinates)
        if not isinstance(mask, Expr) and np.asarray(mask).all():
            continue
        shape = [-1 if i == axis else 1 for i in range(rank)]
        kept = b.reshape(_constant(b, mask), shape)
        x = b.where(b.op("NotEqual", kept, 0.0), x, b.scalar(value, x))
    return x


def _is_native(plan: dict[int, Axis], rank: int, mode: str, coordinates: str, rounding: str) -> bool:
    """Whether the .ms operator, which goes by the sizes alone, looks at the same places."""
    if rank != 4 or set(plan) != {2, 3} or not all(s.known for s in plan.values()):
        return False
    if mode == "nearest" and (coordinates, rounding) != ("asymmetric", "floor"):
        return False
    if mode == "cubic" or coordinates not in _NATIVE_MODES:
        return False
    return all(math.isclose(s.result / s.length, s.scale, rel_tol=1e-6) for s in plan.values())  # type: ignore[arg-type]


def _native(
    b: Builder, x: Value, mode: str, coordinates: str, rounding: str, size: MaybeValue = None, **sizes: Any
) -> Value:
    inputs = [to_nhwc(b, x, 4)] + ([] if size is None else [size])
    y = b.op(
        "Resize",
        *inputs,
        format="NHWC",
        method=mode.upper(),
        coordinate_transform_mode=_NATIVE_MODES[coordinates],
        nearest_mode=_NATIVE_ROUNDINGS[rounding] if mode == "nearest" else "NORMAL",
        **sizes,
    )
    return from_nhwc(b, y, 4)


def _of_unknown(
    b: Builder, x: Value, scales: MaybeValue, sizes: MaybeValue, along: list[int],
    mode: str, coordinates: str, rounding: str, plain: bool,
) -> Value:  # fmt: skip
    """The size of x is only known at run time: what the .ms operator does by itself."""
    if not plain or b.rank(x) != 4 or mode not in ("nearest", "linear"):
        raise b.refuse(f"'{mode}' resizing of a size that is only known at run time.", suggestion=_FIX_SHAPES)
    first_alone = coordinates == "pytorch_half_pixel"
    if first_alone:
        coordinates = "half_pixel"  # the same for results of more than one element; a single one is the first
    if coordinates not in _NATIVE_MODES or rounding not in _NATIVE_ROUNDINGS:
        reason = f"'{coordinates}' of a size that is only known at run time."
        raise b.refuse(reason, "coordinate_transformation_mode", _FIX_SHAPES)
    if along not in ([0, 1, 2, 3], [2, 3]):
        raise b.refuse("of a size only known at run time, just height and width can change.", "axes", _FIX_SHAPES)
    first = along.index(2)
    if sizes is not None:
        x = _kept(b, x, sizes, along)
        size = b.slice(b.int32(sizes), 1, 0, first, first + 2)
        if first_alone and (sizes.data is None or 1 in sizes.data):
            x = _first_of_single(b, x, size)
        return _native(b, x, mode, coordinates, rounding, size)
    assert scales is not None
    factors = [] if scales.data is None else scales.data.ravel().tolist()
    whole = all(f == round(f) and f >= 1 for f in factors[first:]) and all(f == 1 for f in factors[:first])
    if not factors or not whole:
        raise b.refuse(f"scaling by {factors or 'computed factors'} a size only known at run time.", "", _FIX_SHAPES)
    return _native(b, x, mode, coordinates, rounding, b.const(np.array(factors[first:], np.float32)))


def _kept(b: Builder, x: Value, sizes: Value, along: list[int]) -> Value:
    """x, whose first two dimensions must be those that the sizes state; open ones are checked when it runs."""
    if sizes.data is None or len(along) == 2:
        return x
    kept, stated = list((x.shape or ())[:2]), [int(size) for size in sizes.data.ravel()[:2]]
    if kept == stated:
        return x
    if any(have not in (want, -1) for have, want in zip(kept, stated)):
        reason = f"from {kept} to {stated}: of a size only known at run time, just height and width can change."
        raise b.refuse(reason, "sizes", _FIX_SHAPES)
    return b.op("Reshape", x, [*stated, 0, 0])


def _first_of_single(b: Builder, x: Value, size: Value) -> Value:
    """x without all but the first row where the height becomes 1, and so for the width."""
    more = b.op("SubFusion", b.op("Minimum", size, 2), 1)
    end = b.op("AddFusion", b.op("MulFusion", more, INT32_MAX - 1), 1)
    ends = b.concat([np.full(2, INT32_MAX, np.int32), end])
    return b.op("StridedSlice", x, [0] * 4, ends, [1] * 4, begin_mask=15, end_mask=3)
