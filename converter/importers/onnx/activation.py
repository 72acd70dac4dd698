"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.importers.onnx.builder import Builder
from converter.importers.onnx.registry import DOMAIN_MICROSOFT, Lowering, onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType

# ONNX operators that are one .ms Activation.
ACTIVATIONS: dict[str, str] = {
    "HardSwish": "HSWISH",
    "Sigmoid": "SIGMOID",
    "Softplus": "SOFTPLUS",
    "Softsign": "SOFTSIGN",
    "Tanh": "TANH",
}


def activation(b: Builder, kind: str, x: Value, alpha: float | None = None) -> Value:
    parameters: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    return b.op("Activation", x, activation_type=kind, **parameters)


def _activation(kind: str) -> Lowering:
    def lowering(b: Builder, x: Value) -> Value:
        return activation(b, kind, x)

    return lowering


for _name, _kind in ACTIVATIONS.items():
    onnx_op(_name)(_activation(_kind))


@onnx_op("Relu")
def relu(b: Builder, x: Value) -> Value:
    if x.dtype not in (DataType.FLOAT32, DataType.FLOAT16):
        return b.op("Maximum", x, 0)
    return activation(b, "RELU", x)


@onnx_op("LeakyRelu")
def leaky_relu(b: Builder, x: Value, *, alpha: float = 0.01) -> Value:
    return activation(b, "LEAKY_RELU", x, alpha)


@onnx_op("Elu")
def elu(b: Builder, x: Value, *, alpha: float = 1.0) -> Value:
    return activation(b, "ELU", x, alpha)


@onnx_op("Selu")
def selu(
    b: Builder, x: Value, *, alpha: float = 1.67326319217681884765625, gamma: float = 1.05070102214813232421875
) -> Value:
    return b.op("MulFusion", activation(b, "ELU", x, alpha), gamma)


@onnx_op("Celu")
def celu(b: Builder, x: Value, *, alpha: float = 1.0) -> Value:
    if alpha == 0:
        raise b.refuse("division by alpha = 0.", attribute="alpha")
    unit = activation(b, "ELU", b.op("DivFusion", x, alpha), 1.0)
    return b.op("MulFusion", unit, alpha)


@onnx_op("HardSigmoid")
def hard_sigmoid(b: Builder, x: Value, *, alpha: float = 0.2, beta: float = 0.5) -> Value:
    if beta == 0.5:
        # The .ms function is the same with alpha = 1/6.
        slope = 6 * alpha
        wide = x if math.isclose(slope, 1, rel_tol=1e-6) else b.op("MulFusion", x, slope)
        return activation(b, "HSIGMOID", wide)
    line = b.op("AddFusion", b.op("MulFusion", x, alpha), beta)
    return b.op("Minimum", b.op("Maximum", line, 0.0), 1.0)


@onnx_op("Gelu")
def gelu(b: Builder, x: Value, *, approximate: str = "none") -> Value:
    if approximate not in ("none", "tanh"):
        raise b.refuse(f"'{approximate}' is neither 'none' nor 'tanh'.", attribute="approximate")
    return b.op("Activation", x, activation_type="GELU", approximate=approximate == "tanh")


@onnx_op("Gelu", domain=DOMAIN_MICROSOFT)
def ms_gelu(b: Builder, x: Value) -> Value:
    return gelu(b, x)


@onnx_op("FastGelu", domain=DOMAIN_MICROSOFT)
def fast_gelu(b: Builder, x: Value, bias: Value | None = None) -> Value:
    return gelu(b, x if bias is None else b.op("AddFusion", x, bias), approximate="tanh")


@onnx_op("BiasGelu", domain=DOMAIN_MICROSOFT)
def bias_gelu(b: Builder, x: Value, bias: Value) -> Value:
    return gelu(b, b.op("AddFusion", x, bias))


@onnx_op("QuickGelu", domain=DOMAIN_MICROSOFT)
def quick_gelu(b: Builder, x: Value, *, alpha: float = 1.702) -> Value:
    return swish(b, x, alpha=alpha)


@onnx_op("Swish")
def swish(b: Builder, x: Value, *, alpha: float = 1.0) -> Value:
    if alpha == 1.0:
        return activation(b, "SWISH", x)
    return b.op("MulFusion", x, activation(b, "SIGMOID", b.op("MulFusion", x, alpha)))


@onnx_op("Mish")
def mish(b: Builder, x: Value) -> Value:
    return b.op("MulFusion", x, activation(b, "TANH", activation(b, "SOFTPLUS", x)))


@onnx_op("ThresholdedRelu")
def thresholded_relu(b: Builder, x: Value, *, alpha: float = 1.0) -> Value:
    return b.where(b.op("Greater", x, alpha), x, b.scalar(0.0, x))


@onnx_op("Shrink")
def shrink(b: Builder, x: Value, *, lambd: float = 0.5, bias: float = 0.0) -> Value:
    below = b.where(b.op("Less", x, -lambd), b.op("AddFusion", x, bias), b.scalar(0.0, x))
    return b.where(b.op("Greater", x, lambd), b.op("SubFusion", x, bias), below)


@onnx_op("PRelu")
def prelu(b: Builder, x: Value, slope: Value) -> Value:
    """One slope for all, one per channel, or any other slope that broadcasts to x."""
    if slope.data is not None and slope.data.size == 1 and x.dtype == DataType.FLOAT32:
        return leaky_relu(b, x, alpha=float(slope.data.ravel()[0]))
    if x.shape is not None and len(x.shape) == 4 and _per_channel(slope, x.shape[1]):
        assert slope.data is not None
        nhwc = b.transpose(x, channels_last_perm(4))
        y = b.op("PReLUFusion", nhwc, slope.data.reshape(-1), channel_shared=False)
        return b.transpose(y, channels_first_perm(4))
    negative = b.op("MulFusion", slope, b.op("Minimum", x, 0))
    return b.op("AddFusion", b.op("Maximum", x, 0), negative)


def _per_channel(slope: Value, channels: int) -> bool:
    if slope.data is None or slope.data.size != channels or slope.data.dtype != np.float32:
        return False
    return (1, *slope.data.shape)[-4:] == (1, channels, 1, 1)


@onnx_op("Softmax", since=13)
def softmax(b: Builder, x: Value, *, axis: int = -1) -> Value:
    along = b.axis(axis, b.rank(x))
    if x.dtype == DataType.FLOAT64:
        power = b.op("ExpFusion", b.op("SubFusion", x, b.reduce("ReduceMax", x, [along])))
        return b.op("DivFusion", power, b.reduce("ReduceSum", power, [along]))
    return b.op("Softmax", x, axis=[along])


@onnx_op("LogSoftmax", since=13)
def log_softmax(b: Builder, x: Value, *, axis: int = -1) -> Value:
    return b.op("LogSoftmax", x, axis=b.axis(axis, b.rank(x)))


@onnx_op("Softmax", until=12)
def softmax_flat(b: Builder, x: Value, *, axis: int = 1) -> Value:
    """Over all dimensions from ``axis`` on together."""
    if b.axis(axis, b.rank(x)) == b.rank(x) - 1:
        return softmax(b, x, axis=axis)
    return _flattened(b, x, axis, lambda flat: b.op("Softmax", flat, axis=[1]))


@onnx_op("LogSoftmax", until=12)
def log_softmax_flat(b: Builder, x: Value, *, axis: int = 1) -> Value:
    if b.axis(axis, b.rank(x)) == b.rank(x) - 1:
        return log_softmax(b, x, axis=axis)
    return _flattened(b, x, axis, lambda flat: b.op("LogSoftmax", flat, axis=1))


@onnx_op("Hardmax", since=13)
def hardmax(b: Builder, x: Value, *, axis: int = -1) -> Value:
    rank = b.rank(x)
    axis = b.axis(axis, rank)
    best = b.op("ArgMaxFusion", x, axis=axis, top_k=1, keep_dims=False, out_max_value=False)
    depth = x.shape[axis] if x.shape is not None else -1
    if depth < 0:
        raise b.refuse("the length of its axis is only known at run time.", attribute="axis")
    return b.op("OneHot", best, np.array(depth, np.int32), b.scalar(1.0, x), b.scalar(0.0, x), axis=axis)


@onnx_op("Hardmax", until=12)
def hardmax_flat(b: Builder, x: Value, *, axis: int = 1) -> Value:
    if b.axis(axis, b.rank(x)) != b.rank(x) - 1:
        raise b.refuse("it spans several dimensions.", attribute="axis")
    return hardmax(b, x, axis=axis)


def _flattened(b: Builder, x: Value, axis: int, function: Lowering) -> Value:
    """The function of x as a matrix, split before ``axis``, in the shape of x again."""
    axis = b.axis(axis, b.rank(x))
    lead = (x.shape or ())[:axis]
    rows = math.prod(lead) if min(lead, default=0) >= 0 else None
    if rows is None:
        raise b.refuse("the dimensions before its axis are only known at run time.", attribute="axis")
    flat: Value = function(b.reshape(x, [rows, -1]))
    return b.reshape(flat, b.shape_of(x))
