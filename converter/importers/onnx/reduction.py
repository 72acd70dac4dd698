"""Reductions along axes."""

from __future__ import annotations

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue, Operand
from converter.importers.onnx.registry import Lowering, onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType

# ONNX operators that are one .ms reduction.
REDUCTIONS: dict[str, str] = {
    "ReduceL1": "ReduceASum",
    "ReduceMax": "ReduceMax",
    "ReduceMean": "ReduceMean",
    "ReduceMin": "ReduceMin",
    "ReduceProd": "ReduceProd",
    "ReduceSum": "ReduceSum",
    "ReduceSumSquare": "ReduceSumSquare",
}


def reduce_over(b: Builder, mode: str, x: Value, axes: MaybeValue, keep: int, noop: int) -> Value:
    """``axes`` absent or empty means all of them, or none when ``noop`` is set."""
    over = _axes(b, x, axes, noop)
    if over is None:
        return {"ReduceSumSquare": lambda: b.op("Square", x), "ReduceASum": lambda: b.op("Abs", x)}.get(
            mode, lambda: x
        )()
    if x.shape is not None and 0 in x.shape:
        return _of_nothing(b, mode, x, over, bool(keep))
    if x.dtype == DataType.BOOL:
        number = b.cast(x, DataType.INT32)
        return b.cast(b.op("ReduceFusion", number, over, mode=mode, keep_dims=bool(keep), coeff=1.0), DataType.BOOL)
    return b.op("ReduceFusion", x, over, mode=mode, keep_dims=bool(keep), coeff=1.0)


# The reduction of no elements.
_NEUTRAL = {"ReduceProd": 1.0, "ReduceMax": -np.inf, "ReduceMin": np.inf, "ReduceMean": np.nan}


def _of_nothing(b: Builder, mode: str, x: Value, over: Operand, keep: bool) -> Value:
    if not isinstance(over, list):
        return b.op("ReduceFusion", x, over, mode=mode, keep_dims=keep, coeff=1.0)
    dims = b.need_dims(x, "reducing no elements")
    shape = [1 if i in over else d for i, d in enumerate(dims) if keep or i not in over]
    if x.dtype == DataType.FLOAT32:
        return b.const(np.full(shape, _NEUTRAL.get(mode, 0.0), np.float32))
    if x.dtype == DataType.BOOL and mode in ("ReduceMax", "ReduceMin"):
        return b.const(np.full(shape, mode == "ReduceMin"))
    raise b.refuse(f"reducing no elements of type {x.dtype.name.lower()}.")


def _axes(b: Builder, x: Value, axes: MaybeValue, noop: int) -> Operand | None:
    if axes is not None and axes.data is None and axes.shape != (0,):
        return b.int32(axes)
    given = [] if axes is None or axes.data is None else b.ints(axes, "the axes")
    if given:
        rank = b.rank(x)
        return [b.axis(a, rank) for a in given]
    return None if noop else list(range(b.rank(x)))


def _reduction(mode: str) -> Lowering:
    def lowering(
        b: Builder, x: Value, axes: MaybeValue = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
    ) -> Value:
        return reduce_over(b, mode, x, axes, keepdims, noop_with_empty_axes)

    return lowering


for _name, _mode in REDUCTIONS.items():
    onnx_op(_name)(_reduction(_mode))


@onnx_op("ReduceL2")
def reduce_l2(
    b: Builder, x: Value, axes: MaybeValue = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Value:
    return b.op("Sqrt", reduce_over(b, "ReduceSumSquare", x, axes, keepdims, noop_with_empty_axes))


@onnx_op("ReduceLogSum")
def reduce_log_sum(
    b: Builder, x: Value, axes: MaybeValue = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Value:
    return b.op("Log", reduce_over(b, "ReduceSum", x, axes, keepdims, noop_with_empty_axes))


@onnx_op("ReduceLogSumExp")
def reduce_log_sum_exp(
    b: Builder, x: Value, axes: MaybeValue = None, *, keepdims: int = 1, noop_with_empty_axes: int = 0
) -> Value:
    """log(sum(exp(x - m))) + m with m the largest element, so that no exponential overflows."""
    most = float(np.finfo(np.float32).max)
    largest = reduce_over(b, "ReduceMax", x, axes, 1, noop_with_empty_axes)
    shift = b.op("Maximum", b.op("Minimum", largest, most), -most)
    total = reduce_over(b, "ReduceSum", b.op("ExpFusion", b.op("SubFusion", x, shift)), axes, 1, noop_with_empty_axes)
    result = b.op("AddFusion", b.op("Log", total), shift)
    # All its reduced dimensions are 1 now: dropping them is a reduction too.
    return result if keepdims else reduce_over(b, "ReduceSum", result, axes, 0, noop_with_empty_axes)
