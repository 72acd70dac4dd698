"""Trigonometric and hyperbolic functions that .ms operators lack, from those they have, to float32 accuracy."""

from __future__ import annotations

import math
from functools import reduce

from converter.importers.onnx.builder import Builder
from converter.importers.onnx.elementwise import sign_of_number as _sign
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
    """e^x / 2 + e^-x / 2, with e^x as (e^(x/2))²: it may be infinite where half of it is not."""
    halves = []
    for scale in (0.5, -0.5):
        root = b.op("ExpFusion", x, scale=scale)
        halves.append(b.op("MulFusion", b.op("MulFusion", root, 0.5), root))
    return b.op("AddFusion", *halves)


@onnx_op("Sinh")
def sinh(b: Builder, x: Value) -> Value:
    """tanh * cosh keeps its digits near zero, where the difference of two exponentials does not."""
    return b.op("MulFusion", b.op("Activation", x, activation_type="TANH"), cosh(b, x))


# The square of this is finite, and one more or less makes no difference.
_LARGE = 1e18


@onnx_op("Asinh")
def asinh(b: Builder, x: Value) -> Value:
    """sign(x) log1p(|x| + |x| |x| / (1 + sqrt(x² + 1)))."""
    size = b.op("Abs", x)
    limited = b.op("Minimum", size, _LARGE)
    root = b.op("Sqrt", b.op("AddFusion", b.op("Square", limited), 1.0))
    more = b.op("DivFusion", b.op("Square", limited), b.op("AddFusion", root, 1.0))
    return b.op("MulFusion", _log1p_sum(b, size, limited, more), _sign(b, x))


@onnx_op("Acosh")
def acosh(b: Builder, x: Value) -> Value:
    """log1p(t + sqrt(t (x + 1))) with t = x - 1."""
    limited = b.op("Minimum", x, _LARGE)
    t = b.op("SubFusion", limited, 1.0)
    root = b.op("Sqrt", b.op("MulFusion", t, b.op("AddFusion", limited, 1.0)))
    return _log1p_sum(b, b.op("SubFusion", x, 1.0), t, root)


def _log1p_sum(b: Builder, x: Value, limited: Value, more: Value) -> Value:
    """log1p(x + more), whose sum may be infinite where x is not; ``limited`` is x, or large like ``more``."""
    ratio = b.op("DivFusion", more, b.op("AddFusion", limited, 1.0))
    return b.op("AddFusion", b.op("Log1p", x), b.op("Log1p", ratio))


@onnx_op("Atanh")
def atanh(b: Builder, x: Value) -> Value:
    """sign(x) log1p(2|x| / (1 - |x|)) / 2."""
    size = b.op("Abs", x)
    ratio = b.op("DivFusion", b.op("MulFusion", size, 2.0), b.op("SubFusion", b.scalar(1.0, x), size))
    return b.op("MulFusion", b.op("MulFusion", b.op("Log1p", ratio), 0.5), _sign(b, x))


@onnx_op("Atan")
def atan(b: Builder, x: Value) -> Value:
    """atan(x) = pi/2 - atan(1/x) brings every magnitude into [0, 1]."""
    size = b.op("Abs", x)
    small = _atan_unit(b, b.op("Minimum", size, b.op("Reciprocal", size)))
    large = b.op("SubFusion", b.scalar(math.pi / 2, x), small)
    return b.op("MulFusion", b.where(b.op("Greater", size, 1.0), large, small), _sign(b, x))


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
