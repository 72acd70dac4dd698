"""Resize and Upsample."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.resample import Axis, nearest, outside, weights
from converter.importers.onnx.spatial import from_nhwc, to_nhwc
from converter.ir.graph import Value

# What the .ms operator computes itself: ONNX's names of coordinate modes and roundings for its own.
_NATIVE_MODES = {"half_pixel": "HALF_PIXEL", "asymmetric": "ASYMMETRIC", "align_corners": "ALIGN_CORNERS"}
_NATIVE_ROUNDINGS = {
    "round_prefer_floor": "ROUND_HALF_DOWN",
    "round_prefer_ceil": "ROUND_HALF_UP",
    "floor": "FLOOR",
    "ceil": "CEIL",
}


@onnx_op("Upsample")
def upsample(b: Builder, x: Value, scales: Value, *, mode: str = "nearest") -> Value:
    kind = "linear" if mode == "bilinear" else mode
    return _resize(b, x, None, scales, None, mode=kind, coordinates="asymmetric", rounding="floor")


@onnx_op("Resize", until=10)
def resize_10(b: Builder, x: Value, scales: Value, *, mode: str = "nearest") -> Value:
    kind = "linear" if mode == "bilinear" else mode
    return _resize(b, x, None, scales, None, mode=kind, coordinates="asymmetric", rounding="floor")


@onnx_op("Resize", since=11)
def resize(
    b: Builder, x: Value, roi: MaybeValue = None, scales: MaybeValue = None, sizes: MaybeValue = None, *,
    mode: str = "nearest", coordinate_transformation_mode: str = "half_pixel", cubic_coeff_a: float = -0.75,
    exclude_outside: int = 0, extrapolation_value: float = 0.0, nearest_mode: str = "round_prefer_floor",
    axes: list[int] | None = None, keep_aspect_ratio_policy: str = "stretch", antialias: int = 0,
) -> Value:  # fmt: skip
    return _resize(
        b, x, roi, scales, sizes,
        mode=mode, coordinates=coordinate_transformation_mode, rounding=nearest_mode, coefficient=cubic_coeff_a,
        exclude_outside=bool(exclude_outside), extrapolation=extrapolation_value, axes=axes,
        policy=keep_aspect_ratio_policy, antialias=bool(antialias),
    )  # fmt: skip


def _resize(
    b: Builder, x: Value, roi: MaybeValue, scales: MaybeValue, sizes: MaybeValue, *,
    mode: str, coordinates: str, rounding: str, coefficient: float = -0.75, exclude_outside: bool = False,
    extrapolation: float = 0.0, axes: list[int] | None = None, policy: str = "stretch", antialias: bool = False,
) -> Value:  # fmt: skip
    rank = b.rank(x)
    along = list(range(rank)) if axes is None else [b.axis(a, rank) for a in axes]
    scales = None if scales is not None and scales.shape == (0,) else scales
    sizes = None if sizes is not None and sizes.shape == (0,) else sizes
    if (scales is None) == (sizes is None):
        raise b.refuse("it must have either scales or sizes. The model is invalid: check the exporter.")
    if b.dims(x) is None or (scales if sizes is None else sizes).data is None:  # type: ignore[union-attr]
        plain = not antialias and policy == "stretch" and not exclude_outside
        return _at_run_time(b, x, scales, sizes, along, mode, coordinates, rounding, plain)
    plan = _plan(b, x, roi if coordinates == "tf_crop_and_resize" else None, scales, sizes, along, policy)
    if mode == "nearest":
        return _nearest(b, x, plan, coordinates, rounding, extrapolation)
    if mode not in ("linear", "cubic"):
        raise b.refuse(f"'{mode}' is not one of ONNX's modes.", attribute="mode")
    if mode == "linear" and not antialias and not exclude_outside and _is_native(plan, rank, coordinates):
        return _native(b, x, mode, coordinates, rounding, new_height=plan[2].result, new_width=plan[3].result)
    for axis, step in plan.items():
        try:
            matrix = weights(
                step, coordinates, cubic=mode == "cubic", coefficient=coefficient, antialias=antialias,
                exclude_outside=exclude_outside,
            )  # fmt: skip
        except KeyError:
            raise b.refuse(f"'{coordinates}' is not offered.", "coordinate_transformation_mode") from None
        x = _multiply_axis(b, x, rank, axis, matrix)
    return _extrapolated(b, x, rank, plan, coordinates, extrapolation)


def _plan(
    b: Builder, x: Value, roi: MaybeValue, scales: MaybeValue, sizes: MaybeValue, along: Sequence[int], policy: str
) -> dict[int, Axis]:
    """What happens to each axis that changes."""
    dims = b.need_dims(x, "resizing")
    crop = [0.0] * len(along) + [1.0] * len(along)
    if roi is not None:
        if roi.data is None:
            raise b.refuse("its region of interest is computed at run time.")
        crop = [float(v) for v in roi.data.ravel()]
    if sizes is not None:
        wanted = b.ints(sizes, "the size")
        factors = [w / dims[a] for w, a in zip(wanted, along)]
        if policy != "stretch":
            factor = min(factors) if policy == "not_larger" else max(factors)
            factors = [factor] * len(along)
            wanted = [math.floor(factor * dims[a] + 0.5) for a in along]
    else:
        assert scales is not None and scales.data is not None
        factors = [float(s) for s in scales.data.ravel()]
        wanted = [math.floor(dims[a] * f) for a, f in zip(along, factors)]
    if len(wanted) != len(along) or len(crop) != 2 * len(along) or min(wanted, default=1) < 1:
        raise b.refuse(f"sizes {wanted} do not fit {len(along)} axes.")
    steps = {
        axis: Axis(dims[axis], wanted[i], factors[i], (crop[i], crop[i + len(along)])) for i, axis in enumerate(along)
    }
    still = (0.0, 1.0)
    return {a: s for a, s in sorted(steps.items()) if s.result != s.length or s.scale != 1 or s.crop != still}


def _nearest(
    b: Builder, x: Value, plan: dict[int, Axis], coordinates: str, rounding: str, extrapolation: float
) -> Value:
    rank = b.rank(x)
    if coordinates == "asymmetric" and rounding == "floor" and _is_native(plan, rank, coordinates):
        return _native(b, x, "nearest", coordinates, rounding, new_height=plan[2].result, new_width=plan[3].result)
    for axis, step in plan.items():
        try:
            index = nearest(step, coordinates, rounding)
        except KeyError as error:
            raise b.refuse(f"{error} is not offered.") from None
        x = b.gather(x, index, axis)
    return _extrapolated(b, x, rank, plan, coordinates, extrapolation)


def _multiply_axis(b: Builder, x: Value, rank: int, axis: int, matrix: np.ndarray) -> Value:
    order = list(range(rank))
    order[axis], order[-1] = order[-1], order[axis]
    x = b.transpose(x, order)
    if rank == 1:
        return b.reshape(b.op("MatMulFusion", b.reshape(x, [1, -1]), matrix), [-1])
    return b.transpose(b.op("MatMulFusion", x, matrix), order)


def _extrapolated(b: Builder, x: Value, rank: int, plan: dict[int, Axis], coordinates: str, value: float) -> Value:
    if coordinates != "tf_crop_and_resize":
        return x
    mask: Any = np.zeros((1,) * rank, np.bool_)
    for axis, step in plan.items():
        shape = [1] * rank
        shape[axis] = step.result
        mask = mask | outside(step, coordinates).reshape(shape)
    if not mask.any():
        return x
    full = [plan[i].result if i in plan else 1 for i in range(rank)]
    return b.where(b.const(np.broadcast_to(mask, full).copy()), b.scalar(value, x), x)


def _is_native(plan: dict[int, Axis], rank: int, coordinates: str) -> bool:
    """Whether the .ms operator, which goes by the sizes alone, looks at the same places."""
    if rank != 4 or coordinates not in _NATIVE_MODES or set(plan) != {2, 3}:
        return False
    return all(math.isclose(s.result / s.length, s.scale, rel_tol=1e-6) for s in plan.values())


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


def _at_run_time(
    b: Builder, x: Value, scales: MaybeValue, sizes: MaybeValue, along: list[int],
    mode: str, coordinates: str, rounding: str, plain: bool,
) -> Value:  # fmt: skip
    """The sizes are only known at run time: what the .ms operator does by itself."""
    if not plain or b.rank(x) != 4 or mode not in ("nearest", "linear"):
        raise b.refuse(
            f"'{mode}' of a size that is only known at run time.", suggestion="Fix the input shapes with --inputShape."
        )
    mode_known = coordinates in _NATIVE_MODES or coordinates == "pytorch_half_pixel"
    if not mode_known or rounding not in _NATIVE_ROUNDINGS:
        raise b.refuse(f"'{coordinates}' of a size that is only known at run time.", "coordinate_transformation_mode")
    if coordinates == "pytorch_half_pixel":
        coordinates = "half_pixel"  # the same for results of more than one element
    if along not in ([0, 1, 2, 3], [2, 3]):
        raise b.refuse("only height and width can be resized at run time.", attribute="axes")
    first = along.index(2)
    if sizes is not None:
        size = b.slice(b.int32(sizes), 1, 0, first, first + 2)
        return _native(b, x, mode, coordinates, rounding, size)
    assert scales is not None
    if scales.data is None:
        raise b.refuse("its scales are computed at run time.", suggestion="Fix the input shapes with --inputShape.")
    factors = scales.data.ravel()
    if any(f != round(f) or f < 1 for f in factors[first:]) or any(f != 1 for f in factors[:first]):
        raise b.refuse(f"scaling by {factors.tolist()} a size that is only known at run time.")
    return _native(b, x, mode, coordinates, rounding, b.const(factors[first:].astype(np.float32)))
