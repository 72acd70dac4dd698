"""Trigonometric and hyperbolic functions that .ms operators lack, from those they have, to float32 accuracy."""

from __future__ import annotations

import math
from functools import reduce

from converter.importers.onnx.builder import Builder
from converter.importers.onnx.elementwise import sign
from converter.importers.onnx.registry import onnx_op
from converter.ir.graph import Value

# atan(z) / z in ascending powers of z², a Chebyshev fit on |z| <= 1 with a relative error of 1.6e-8.
_ATAN = (
    0.9999999842426235,
    -0.3333306678062012,
    0.19992483577352804,
    -0.14202570503680859,
    0.10636754068897278,
    -0.07495445383495111,
    0.0425876067728471,
    -0.01600503008063701,
    0.0028340641931785086,
)


@onnx_op("Tan")
def tan(b: Builder, x: Value) -> Value:
    return b.op("DivFusion", b.op("Sin", x), b.op("Cos", x))


@onnx_op("Cosh")
def cosh(b: Builder, x: Value) -> Value:
    return b.op("MulFusion", b.op("AddFusion", b.op("ExpFusion", x), b.op("ExpFusion", b.op("Neg", x))), 0.5)


@onnx_op("Sinh")
def sinh(b: Builder, x: Value) -> Value:
    """tanh * cosh keeps its digits near zero, where the difference of two exponentials does not."""
    return b.op("MulFusion", b.op("Activation", x, activation_type="TANH"), cosh(b, x))


@onnx_op("Asinh")
def asinh(b: Builder, x: Value) -> Value:
    """sign(x) log1p(|x| + |x| (|x| / (1 + sqrt(x² + 1)))); the ratio is 1 long before the square is infinite."""
    size = b.op("Abs", x)
    limited = b.op("Minimum", size, 1e18)
    root = b.op("Sqrt", b.op("AddFusion", b.op("Square", limited), 1.0))
    ratio = b.op("DivFusion", limited, b.op("AddFusion", root, 1.0))
    magnitude = b.op("AddFusion", size, b.op("MulFusion", size, ratio))
    return b.op("MulFusion", sign(b, x), b.op("Log1p", magnitude))


@onnx_op("Acosh")
def acosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(t (x + 1))) with t = x - 1."""
    t = b.op("SubFusion", x, 1.0)
    root = b.op("Sqrt", b.op("MulFusion", t, b.op("AddFusion", x, 1.0)))
    return b.op("Log1p", b.op("AddFusion", t, root))


@onnx_op("Atanh")
def atanh(b: Builder, x: Value) -> Value:
    """sign(x) log1p(2|x| / (1 - |x|)) / 2."""
    size = b.op("Abs", x)
    ratio = b.op("DivFusion", b.op("MulFusion", size, 2.0), b.op("SubFusion", b.scalar(1.0, x), size))
    return b.op("MulFusion", b.op("MulFusion", b.op("Log1p", ratio), 0.5), sign(b, x))


@onnx_op("Atan")
def atan(b: Builder, x: Value) -> Value:
    """atan(x) = pi/2 - atan(1/x) brings every magnitude into [0, 1]."""
    size = b.op("Abs", x)
    small = _atan_unit(b, b.op("Minimum", size, b.op("Reciprocal", size)))
    large = b.op("SubFusion", b.scalar(math.pi / 2, x), small)
    return b.op("MulFusion", b.where(b.op("Greater", size, 1.0), large, small), sign(b, x))


@onnx_op("Asin")
def asin(b: Builder, x: Value) -> Value:
    """2 atan(x / (1 + sqrt(1 - x²)))."""
    root = b.op("Sqrt", b.op("SubFusion", b.scalar(1.0, x), b.op("Square", x)))
    return b.op("MulFusion", _atan_unit(b, b.op("DivFusion", x, b.op("AddFusion", root, 1.0))), 2.0)


@onnx_op("Acos")
def acos(b: Builder, x: Value) -> Value:
    """2 atan(sqrt((1 - x) / (1 + x))), which keeps its digits near one."""
    ratio = b.op("DivFusion", b.op("SubFusion", b.scalar(1.0, x), x), b.op("AddFusion", x, 1.0))
    return b.op("MulFusion", atan(b, b.op("Sqrt", ratio)), 2.0)


def _atan_unit(b: Builder, z: Value) -> Value:
    """atan on [-1, 1]."""
    square = b.op("Square", z)
    first, *rest = reversed(_ATAN)
    series = reduce(lambda p, c: b.op("AddFusion", b.op("MulFusion", p, square), c), rest, b.scalar(first, z))
    return b.op("MulFusion", series, z)
