"""Arithmetic written as formulas, on numbers known now and on values of the model alike.

``Expr`` wraps a value so that ``a * (x + 1)`` adds nodes. The functions below take NumPy arrays, numbers and
Exprs: a formula made of them is evaluated where everything in it is known, and becomes nodes where not.
"""

from __future__ import annotations

from typing import Union

import numpy as np

from converter.importers.onnx.builder import Builder
from converter.ir.graph import Value
from lite_runtime.types import DataType


class Expr:
    """A value of the model under construction; operators broadcast as NumPy's do."""

    __array_ufunc__ = None  # let NumPy leave `array + expr` to us

    def __init__(self, b: Builder, value: Value) -> None:
        self.b = b
        self.value = value

    def apply(self, op: str, *others: Number, reverse: bool = False, dtype: DataType | None = None) -> Expr:
        """The operator on this value and the others; with ``reverse`` this one comes last."""
        values = [other.value if isinstance(other, Expr) else self._constant(other) for other in others]
        operands = [*values, self.value] if reverse else [self.value, *values]
        return Expr(self.b, self.b.op(op, *operands, dtype=dtype))

    def _constant(self, number: np.ndarray | float) -> Value:
        dtype = DataType.FLOAT32 if self.value.dtype == DataType.UNKNOWN else self.value.dtype
        return self.b.const(np.asarray(number, dtype.numpy))

    def __add__(self, other: Number) -> Expr:
        return self.apply("AddFusion", other)

    def __radd__(self, other: Number) -> Expr:
        return self.apply("AddFusion", other, reverse=True)

    def __sub__(self, other: Number) -> Expr:
        return self.apply("SubFusion", other)

    def __rsub__(self, other: Number) -> Expr:
        return self.apply("SubFusion", other, reverse=True)

    def __mul__(self, other: Number) -> Expr:
        return self.apply("MulFusion", other)

    def __rmul__(self, other: Number) -> Expr:
        return self.apply("MulFusion", other, reverse=True)

    def __truediv__(self, other: Number) -> Expr:
        return self.apply("DivFusion", other)

    def __rtruediv__(self, other: Number) -> Expr:
        return self.apply("DivFusion", other, reverse=True)

    def __neg__(self) -> Expr:
        return self.apply("Neg")

    def __abs__(self) -> Expr:
        return self.apply("Abs")

    def cast(self, dtype: DataType) -> Expr:
        return Expr(self.b, self.b.cast(self.value, dtype))

    def reshape(self, shape: list[int]) -> Expr:
        return Expr(self.b, self.b.reshape(self.value, shape))


Number = Union[Expr, np.ndarray, float]


def _binary(op: str, function: np.ufunc, x: Number, y: Number) -> Number:
    if isinstance(x, Expr):
        return x.apply(op, y)
    if isinstance(y, Expr):
        return y.apply(op, x, reverse=True)
    return np.asarray(function(x, y))


def maximum(x: Number, y: Number) -> Number:
    return _binary("Maximum", np.maximum, x, y)


def minimum(x: Number, y: Number) -> Number:
    return _binary("Minimum", np.minimum, x, y)


def clip(x: Number, low: Number, high: Number) -> Number:
    return minimum(maximum(x, low), high)


def floor(x: Number) -> Number:
    return x.apply("Floor") if isinstance(x, Expr) else np.floor(x)


def ceil(x: Number) -> Number:
    return x.apply("Ceil") if isinstance(x, Expr) else np.ceil(x)


def floor_mod(x: Number, y: Number) -> Number:
    return _binary("FloorMod", np.mod, x, y)


def less(x: Number, y: Number) -> Number:
    """1.0 where x < y, else 0.0."""
    if isinstance(x, Expr):
        return x.apply("Less", y, dtype=DataType.BOOL).cast(DataType.FLOAT32)
    if isinstance(y, Expr):
        return y.apply("Less", x, reverse=True, dtype=DataType.BOOL).cast(DataType.FLOAT32)
    return np.asarray(np.less(x, y), np.float64)


def choose(condition: Number, x: Number, y: Number) -> Number:
    """x where the condition, a result of ``less`` or a product of such, is not 0, else y."""
    if isinstance(condition, Expr):
        b = condition.b
        chosen = [v.value if isinstance(v, Expr) else b.const(np.asarray(v, np.float32)) for v in (x, y)]
        return Expr(b, b.where(b.op("NotEqual", condition.value, 0.0), *chosen))
    if isinstance(x, Expr) or isinstance(y, Expr):
        b = x.b if isinstance(x, Expr) else y.b  # type: ignore[union-attr]
        chosen = [v.value if isinstance(v, Expr) else b.const(np.asarray(v, np.float32)) for v in (x, y)]
        return Expr(b, b.where(b.const(np.asarray(condition) != 0), *chosen))
    return np.asarray(np.where(np.asarray(condition) != 0, x, y))


def total(x: Number, axis: int) -> Number:
    """The sum along an axis, which stays as a dimension of 1."""
    if isinstance(x, Expr):
        return Expr(x.b, x.b.reduce("ReduceSum", x.value, [axis]))
    return np.asarray(np.sum(x, axis=axis, keepdims=True))


def reshape(x: Number, shape: list[int]) -> Number:
    return x.reshape(shape) if isinstance(x, Expr) else np.reshape(x, shape)
