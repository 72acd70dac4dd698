"""Arithmetic, comparison and logic, element by element with NumPy broadcasting."""

from __future__ import annotations

import math
from functools import reduce

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.quantized import dynamic_product
from converter.importers.onnx.registry import Lowering, onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType

# ONNX operators that are one .ms operator with the same inputs and nothing to set.
SAME: dict[str, str] = {
    "Abs": "Abs",
    "Add": "AddFusion",
    "And": "LogicalAnd",
    "Ceil": "Ceil",
    "Cos": "Cos",
    "Div": "DivFusion",
    "Equal": "Equal",
    "Erf": "Erf",
    "Exp": "ExpFusion",
    "Floor": "Floor",
    "Greater": "Greater",
    "GreaterOrEqual": "GreaterEqual",
    "Less": "Less",
    "LessOrEqual": "LessEqual",
    "Log": "Log",
    "Neg": "Neg",
    "Not": "LogicalNot",
    "Or": "LogicalOr",
    "Reciprocal": "Reciprocal",
    "Round": "Round",
    "Sin": "Sin",
    "Sqrt": "Sqrt",
    "Sub": "SubFusion",
    "Where": "Where",
    "Xor": "NotEqual",
}
# Operators of any number of inputs, as a chain of one of two.
CHAINED: dict[str, str] = {"Max": "Maximum", "Min": "Minimum", "Sum": "AddFusion"}

_FLOATS = (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)


def _same(op: str) -> Lowering:
    def lowering(b: Builder, *xs: Value) -> Value:
        return b.op(op, *xs)

    return lowering


def _chained(op: str) -> Lowering:
    def lowering(b: Builder, x: Value, *rest: Value) -> Value:
        return reduce(lambda a, c: b.op(op, a, c), rest, x)

    return lowering


for _name, _op in SAME.items():
    onnx_op(_name)(_same(_op))
for _name, _op in CHAINED.items():
    onnx_op(_name)(_chained(_op))


@onnx_op("Mean")
def mean(b: Builder, x: Value, *rest: Value) -> Value:
    total = reduce(lambda a, c: b.op("AddFusion", a, c), rest, x)
    return b.op("MulFusion", total, 1.0 / (1 + len(rest)))


@onnx_op("Pow")
def power(b: Builder, x: Value, exponent: Value) -> Value:
    """In the type of x; powers of integers to a float are computed in floats."""
    if x.dtype == exponent.dtype:
        return b.op("PowFusion", x, exponent)
    if x.dtype in _FLOATS or exponent.dtype not in _FLOATS:
        return b.op("PowFusion", x, b.cast(exponent, x.dtype))
    return b.cast(b.op("PowFusion", b.cast(x, exponent.dtype), exponent), x.dtype)


@onnx_op("Mul")
def mul(b: Builder, x: Value, y: Value) -> Value:
    """Constant integers times a scale stay integers with a scale."""
    for stored, scale in ((x, y), (y, x)):
        origin = b.memo.stored.get(stored)
        if origin is None or scale.data is None or scale.data.ndim > origin.q.ndim:
            continue
        shape = (1,) * (origin.q.ndim - scale.data.ndim) + scale.data.shape
        along = [i for i, n in enumerate(shape) if n > 1]
        if len(along) > 1 or (origin.scales.size > 1 and along not in ([], [origin.axis])):
            continue
        axis = along[0] if along else origin.axis
        scales = origin.scales * scale.data.ravel()
        return b.dequantized(origin.q, scales, np.broadcast_to(origin.zeros, scales.shape), axis)
    return dynamic_product(b, x, y) or b.op("MulFusion", x, y)


@onnx_op("Mod")
def mod(b: Builder, x: Value, y: Value, *, fmod: int = 0) -> Value:
    """fmod=1 takes the sign of the dividend, as C does; fmod=0 that of the divisor, as Python does."""
    return b.op("Mod" if fmod else "FloorMod", x, y)


@onnx_op("Clip")
def clip(b: Builder, x: Value, low: MaybeValue = None, high: MaybeValue = None) -> Value:
    if low is not None:
        x = b.op("Maximum", x, _scalar(b, low))
    if high is not None:
        x = b.op("Minimum", x, _scalar(b, high))
    return x


def _scalar(b: Builder, value: Value) -> Value:
    return b.const(value.data.reshape(())) if value.data is not None else value


@onnx_op("Sign")
def sign(b: Builder, x: Value) -> Value:
    """NaN stays NaN."""
    y = sign_of_number(b, x)
    return b.where(b.op("Equal", x, x), y, x) if x.dtype.numpy.kind == "f" else y


def sign_of_number(b: Builder, x: Value) -> Value:
    """The sign of x; 0 for NaN."""
    positive, negative = b.op("Greater", x, 0), b.op("Less", x, 0)
    return b.op("SubFusion", b.cast(positive, x.dtype), b.cast(negative, x.dtype))


@onnx_op("IsNaN")
def is_nan(b: Builder, x: Value) -> Value:
    return b.op("NotEqual", x, x)


@onnx_op("IsInf")
def is_inf(b: Builder, x: Value, *, detect_negative: int = 1, detect_positive: int = 1) -> Value:
    if detect_negative and detect_positive:
        return b.op("Equal", b.op("Abs", x), math.inf)
    if not detect_negative and not detect_positive:
        return b.op("LogicalAnd", b.op("Equal", x, math.inf), b.const(np.array(False)))
    return b.op("Equal", x, math.inf if detect_positive else -math.inf)
