"""Primitives that work element by element: arithmetic, comparison, activations."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.importers.mindir.faults import Refusal
from converter.importers.mindir.registry import add, op
from converter.importers.mindir.scope import Scope
from converter.ir.graph import Value
from lite_runtime.types import DataType

_UNARY = {
    "Abs": "Abs",
    "Ceil": "Ceil",
    "Cos": "Cos",
    "Erf": "Erf",
    "Floor": "Floor",
    "InvertPermutation": "InvertPermutation",
    "IsFinite": "IsFinite",
    "Log": "Log",
    "Log1p": "Log1p",
    "LogicalNot": "LogicalNot",
    "BoolNot": "LogicalNot",
    "Neg": "Neg",
    "OnesLike": "OnesLike",
    "Reciprocal": "Reciprocal",
    "Inv": "Reciprocal",
    "Rsqrt": "Rsqrt",
    "Sin": "Sin",
    "Sqrt": "Sqrt",
    "Square": "Square",
    "ZerosLike": "ZerosLike",
}

_ACTIVATIONS: dict[str, dict[str, Any]] = {
    "FastGeLU": {"activation_type": "FAST_GELU"},
    "GeLU": {"activation_type": "GELU", "approximate": True},
    "HSigmoid": {"activation_type": "HSIGMOID"},
    "HSwish": {"activation_type": "HSWISH"},
    "ReLU": {"activation_type": "RELU"},
    "ReLU6": {"activation_type": "RELU6"},
    "SiLU": {"activation_type": "SWISH"},
    "Sigmoid": {"activation_type": "SIGMOID"},
    "Softplus": {"activation_type": "SOFTPLUS"},
    "Swish": {"activation_type": "SWISH"},
    "Tanh": {"activation_type": "TANH"},
}

# The third column: results that are always bool say nothing about the type of the arithmetic.
_ARITHMETIC = {
    "Add": "AddFusion",
    "Div": "DivFusion",
    "Divs": "DivFusion",
    "FloorDiv": "FloorDiv",
    "FloorDivScalar": "FloorDiv",
    "FloorMod": "FloorMod",
    "Maximum": "Maximum",
    "Minimum": "Minimum",
    "Mod": "Mod",
    "Mul": "MulFusion",
    "Muls": "MulFusion",
    "Pow": "PowFusion",
    "PowScalarTensor": "PowFusion",
    "PowTensorScalar": "PowFusion",
    "RealDiv": "RealDiv",
    "RemainderTensorScalar": "FloorMod",
    "RemainderTensorTensor": "FloorMod",
    "SquaredDifference": "SquaredDifference",
    "Sub": "SubFusion",
}
_COMPARISONS = {
    "EqScalar": "Equal",
    "Equal": "Equal",
    "Greater": "Greater",
    "GreaterEqual": "GreaterEqual",
    "GreaterEqualScalar": "GreaterEqual",
    "Less": "Less",
    "LessEqual": "LessEqual",
    "LessScalar": "Less",
    "LogicalAnd": "LogicalAnd",
    "LogicalOr": "LogicalOr",
    "NotEqual": "NotEqual",
}


def unary(b: Scope, x: Value, target: str) -> Value:
    return b.add(target, x)


def activation(b: Scope, x: Value, attributes: dict[str, Any]) -> Value:
    return b.add("Activation", x, **attributes)


def binary(b: Scope, x: Any, y: Any, target: str) -> Value:
    return b.add(target, *same_type(b, x, y))


def arithmetic(b: Scope, x: Any, y: Any, target: str) -> Value:
    return b.add(target, *same_type(b, x, y, b.result_dtype()))


for _name, _target in _UNARY.items():
    add(_name, unary, target=_target)
for _name, _attributes in _ACTIVATIONS.items():
    add(_name, activation, attributes=_attributes)
for _name, _target in _ARITHMETIC.items():
    add(_name, arithmetic, target=_target)
for _name, _target in _COMPARISONS.items():
    add(_name, binary, target=_target)


def same_type(b: Scope, x: Any, y: Any, result: DataType = DataType.UNKNOWN) -> tuple[Value, Value]:
    """Two operands of one type, which is ``result`` where that is known and the operands differ from it.

    MindSpore writes most conversions as Cast nodes; those between tensors and Python numbers are implicit.
    """
    first = b.tensor(x, y if isinstance(y, Value) else None)
    second = b.tensor(y, first if isinstance(x, Value) else None)
    known = {v.dtype for v in (first, second)} - {DataType.UNKNOWN}
    if len(known) == 2 and result not in known:
        result = DataType.of(np.result_type(*(d.numpy for d in known)))
        if result == DataType.FLOAT64 and DataType.FLOAT64 not in known:
            result = DataType.FLOAT32
    if not known or (len(known) == 1 and result not in _FLOATING):
        return first, second
    return cast(b, first, result, "x"), cast(b, second, result, "y")


_FLOATING = (DataType.FLOAT16, DataType.FLOAT32, DataType.FLOAT64)


def cast(b: Scope, x: Value, dtype: DataType, tag: str) -> Value:
    """``x`` in another type; itself when it has that type or the type is unknown."""
    if dtype == DataType.UNKNOWN or x.dtype in (dtype, DataType.UNKNOWN):
        return x
    if x.data is not None:
        return b.constant(tag, x.data, dtype.numpy)
    result = b.add("Cast", x, b.constant(f"{tag}_type", [int(dtype)]), tag=tag)
    result.dtype, result.shape = dtype, x.shape
    return result


@op("LogicalXor")
def logical_xor(b: Scope, x: Value, y: Value) -> Value:
    """One of them and not both; NotEqual of booleans is not offered everywhere."""
    either = b.add("LogicalOr", x, y, tag="either")
    both = b.add("LogicalAnd", x, y, tag="both")
    return b.add("LogicalAnd", either, b.add("LogicalNot", both, tag="not_both"))


@op("DivNoNan", "Xdivy")
def divide_or_zero(b: Scope, x: Any, y: Any) -> Value:
    """x / y, and 0 where the divisor (DivNoNan) or the dividend (Xdivy) is 0."""
    first, second = same_type(b, x, y, b.result_dtype())
    decisive = second if b.op == "DivNoNan" else first
    quotient = b.add("DivFusion", first, second, tag="quotient")
    shape = b.result_shape()
    if shape is None or min(shape, default=0) < 0:
        raise Refusal("it needs inputs of known size.", suggestion="Export with static shapes.")
    zero = b.add("Equal", decisive, b.like(decisive, "zero", 0), tag="is_zero")
    if decisive.shape != shape:
        zero = b.add("BroadcastTo", zero, tag="spread", shape=list(shape))
    return b.add("Select", zero, b.filled("zeros", shape, 0, np.float32), quotient)


@op("Lerp", "LerpScalar")
def lerp(b: Scope, start: Value, end: Value, weight: Any) -> Value:
    way = b.add("SubFusion", end, start, tag="way")
    return b.add("AddFusion", start, b.add("MulFusion", way, b.tensor(weight, start), tag="step"))


@op("Cast", "ToDtype")
def cast_op(b: Scope, x: Value, *, dtype: DataType) -> Value:
    return b.add("Cast", x, b.constant("type", [int(dtype)]))


@op("Exp")
def exp(b: Scope, x: Value, *, base: float = -1.0, scale: float = 1.0, shift: float = 0.0) -> Value:
    return b.add("ExpFusion", x, base=base, scale=scale, shift=shift)


@op("Expm1")
def expm1(b: Scope, x: Value) -> Value:
    return b.add("SubFusion", b.add("ExpFusion", x, tag="exp"), b.like(x, "one", 1))


@op("Erfc")
def erfc(b: Scope, x: Value) -> Value:
    return b.add("SubFusion", b.like(x, "one", 1), b.add("Erf", x, tag="erf"))


@op("Tan")
def tan(b: Scope, x: Value) -> Value:
    return b.add("DivFusion", b.add("Sin", x, tag="sin"), b.add("Cos", x, tag="cos"))


@op("Sign")
def sign(b: Scope, x: Value) -> Value:
    zero = b.like(x, "zero", 0)
    dtype = x.dtype if x.dtype != DataType.UNKNOWN else DataType.FLOAT32
    kind = b.constant("type", [int(dtype)])
    above = b.add("Cast", b.add("Greater", x, zero, tag="above"), kind, tag="positive")
    below = b.add("Cast", b.add("Less", x, zero, tag="below"), kind, tag="negative")
    if dtype.numpy.kind != "f":
        return b.add("SubFusion", above, below)
    # NaN stays NaN.
    return b.add("Select", b.add("Equal", x, x, tag="number"), b.add("SubFusion", above, below, tag="sign"), x)


@op("Round", "Rint")
def round_op(b: Scope, x: Value, *, decimals: int = 0) -> Value:
    if decimals != 0:
        raise Refusal(f"rounding to {decimals} decimals is not supported.", attribute="decimals")
    return b.add("Round", x)


@op("Elu", "EluExt")
def elu(b: Scope, x: Value, *, alpha: float = 1.0) -> Value:
    return b.add("Activation", x, activation_type="ELU", alpha=alpha)


@op("LeakyReLU", "LeakyRelu", "LeakyReLUExt")
def leaky_relu(b: Scope, x: Value, *, alpha: float = 0.2) -> Value:
    return b.add("Activation", x, activation_type="LEAKY_RELU", alpha=alpha)


@op("SeLU", "SeLUExt")
def selu(b: Scope, x: Value) -> Value:
    y = b.add("Activation", x, tag="elu", activation_type="ELU", alpha=1.6732632423543772)
    return b.add("MulFusion", y, b.like(x, "scale", 1.0507009873554805))


@op("Softsign")
def softsign(b: Scope, x: Value) -> Value:
    size = b.add("AddFusion", b.add("Abs", x, tag="abs"), b.like(x, "one", 1), tag="size")
    return b.add("DivFusion", x, size)


@op("Mish")
def mish(b: Scope, x: Value) -> Value:
    plus = b.add("Activation", x, tag="softplus", activation_type="SOFTPLUS")
    return b.add("MulFusion", x, b.add("Activation", plus, tag="tanh", activation_type="TANH"))


@op("LogSigmoid")
def log_sigmoid(b: Scope, x: Value) -> Value:
    plus = b.add("Activation", b.add("Neg", x, tag="neg"), tag="softplus", activation_type="SOFTPLUS")
    return b.add("Neg", plus)


@op("SoftplusExt")
def softplus(b: Scope, x: Value, *, beta: float = 1, threshold: float = 20) -> Value:
    if beta != 1:
        raise Refusal(f"beta = {beta} is not supported, only 1.", attribute="beta")
    return b.add("Activation", x, activation_type="SOFTPLUS")


@op("GeluExt")
def gelu(b: Scope, x: Value, *, approximate: Any = "none") -> Value:
    return b.add("Activation", x, activation_type="GELU", approximate=approximate in ("tanh", 1))


@op("Hardtanh", "ClampScalar")
def clamp(b: Scope, x: Value, *, min_val: Any = None, max_val: Any = None, min: Any = None, max: Any = None) -> Value:
    low = min if min_val is None else min_val
    high = max if max_val is None else max_val
    if low is None and high is None:
        raise Refusal("it has neither a lower nor an upper bound.")
    if low is not None:
        x = b.add("Maximum", *same_type(b, x, low), tag="" if high is None else "low")
    return x if high is None else b.add("Minimum", *same_type(b, x, high))


@op("GLU")
def glu(b: Scope, x: Value, *, axis: int = -1) -> Value:
    left, right = b.add_many("Split", x, outputs=2, tag="halves", output_num=2, axis=axis)
    return b.add("MulFusion", left, b.add("Activation", right, tag="gate", activation_type="SIGMOID"))


@op("Swiglu")
def swiglu(b: Scope, x: Value, *, axis: int = -1) -> Value:
    left, right = b.add_many("Split", x, outputs=2, tag="halves", output_num=2, axis=axis)
    return b.add("MulFusion", b.add("Activation", left, tag="gate", activation_type="SWISH"), right)


@op("AddExt", "AddScalar")
def add_scaled(b: Scope, x: Any, y: Any, *, alpha: float = 1) -> Value:
    return _scaled(b, "AddFusion", x, y, alpha)


@op("SubExt", "SubScalar")
def sub_scaled(b: Scope, x: Any, y: Any, *, alpha: float = 1) -> Value:
    return _scaled(b, "SubFusion", x, y, alpha)


def _scaled(b: Scope, target: str, x: Any, y: Any, alpha: float) -> Value:
    first, second = same_type(b, x, y, b.result_dtype())
    if alpha != 1:
        second = b.add("MulFusion", second, b.like(second, "alpha", alpha), tag="scaled")
    return b.add(target, first, second)


@op("AddN", "AccumulateNV2")
def add_n(b: Scope, tensors: list[Value]) -> Value:
    if not tensors:
        raise Refusal("it adds nothing.")
    total = tensors[0]
    for index, value in enumerate(tensors[1:], 2):
        total = b.add("AddFusion", total, value, tag="" if index == len(tensors) else str(index))
    return total


@op("Select", "Where")
def select(b: Scope, condition: Value, x: Any, y: Any) -> Value:
    return b.add("Select", condition, *same_type(b, x, y, b.result_dtype()))


@op("MaskedFill")
def masked_fill(b: Scope, x: Value, mask: Value, value: Any) -> Value:
    shape = b.static_shape(x)
    if mask.shape != shape:
        mask = b.add("BroadcastTo", mask, tag="mask", shape=list(shape))
    fill = b.tensor(value, x)
    if fill.shape != shape:
        fill = b.add("BroadcastTo", fill, tag="fill", shape=list(shape))
    return b.add("Select", mask, fill, x)
