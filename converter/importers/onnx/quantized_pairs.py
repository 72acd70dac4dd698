"""Operators on quantised tensors, as ONNX Runtime's tools write them, as what they do to the numbers these stand for.

They read what was quantised through a pair of QuantDTypeCast, and give numbers that are quantised again: the form of
a model of QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter.importers.onnx.activation import activation
from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.linear import gemm
from converter.importers.onnx.movement import concat
from converter.importers.onnx.pooling import global_average_pool
from converter.importers.onnx.quantized import numbers, quantize_linear
from converter.importers.onnx.registry import DOMAIN_MICROSOFT, onnx_op
from converter.ir.graph import Value


@onnx_op("QLinearAdd", domain=DOMAIN_MICROSOFT)
def qlinear_add(
    b: Builder, x: Value, x_scale: Value, x_zero: MaybeValue, y: Value, y_scale: Value, y_zero: MaybeValue,
    scale: Value, zero: MaybeValue = None,
) -> Value:  # fmt: skip
    total = b.op("AddFusion", numbers(b, x, x_scale, x_zero), numbers(b, y, y_scale, y_zero))
    return quantize_linear(b, total, scale, zero)


@onnx_op("QLinearMul", domain=DOMAIN_MICROSOFT)
def qlinear_mul(
    b: Builder, x: Value, x_scale: Value, x_zero: MaybeValue, y: Value, y_scale: Value, y_zero: MaybeValue,
    scale: Value, zero: MaybeValue = None,
) -> Value:  # fmt: skip
    product = b.op("MulFusion", numbers(b, x, x_scale, x_zero), numbers(b, y, y_scale, y_zero))
    return quantize_linear(b, product, scale, zero)


@onnx_op("QLinearSigmoid", domain=DOMAIN_MICROSOFT)
def qlinear_sigmoid(
    b: Builder, x: Value, x_scale: Value, x_zero: MaybeValue, scale: Value, zero: MaybeValue = None
) -> Value:
    return _of_one(b, lambda v: activation(b, "SIGMOID", v), x, x_scale, x_zero, scale, zero)


@onnx_op("QLinearLeakyRelu", domain=DOMAIN_MICROSOFT)
def qlinear_leaky_relu(
    b: Builder, x: Value, x_scale: Value, x_zero: MaybeValue, scale: Value, zero: MaybeValue = None, *,
    alpha: float = 0.01,
) -> Value:  # fmt: skip
    return _of_one(b, lambda v: activation(b, "LEAKY_RELU", v, alpha), x, x_scale, x_zero, scale, zero)


@onnx_op("QLinearGlobalAveragePool", domain=DOMAIN_MICROSOFT)
def qlinear_global_average_pool(
    b: Builder, x: Value, x_scale: Value, x_zero: MaybeValue, scale: Value, zero: MaybeValue = None, *,
    channels_last: int = 0,
) -> Value:  # fmt: skip
    if channels_last:
        raise b.refuse("channels in the last dimension are not offered.", attribute="channels_last")
    shape = x.shape and (*x.shape[:2], *(1 for _ in x.shape[2:]))
    return _of_one(b, lambda v: global_average_pool(b, v), x, x_scale, x_zero, scale, zero, shape)


def _of_one(
    b: Builder, function: Callable[[Value], Value], x: Value, x_scale: Value, x_zero: MaybeValue, scale: Value,
    zero: MaybeValue, shape: tuple[int, ...] | None = None,
) -> Value:  # fmt: skip
    y = function(numbers(b, x, x_scale, x_zero))
    y.shape = shape or x.shape
    return quantize_linear(b, y, scale, zero)


@onnx_op("QLinearConcat", domain=DOMAIN_MICROSOFT)
def qlinear_concat(b: Builder, scale: Value, zero: Value, *parts: Value, axis: int) -> Value:
    """``parts``: in threes, a tensor, its scale and its zero point."""
    found = [numbers(b, x, s, z) for x, s, z in zip(parts[::3], parts[1::3], parts[2::3])]
    joined = concat(b, *found, axis=axis)
    joined.shape = (-1,) * b.rank(parts[0])
    return quantize_linear(b, joined, scale, zero)


@onnx_op("QGemm", domain=DOMAIN_MICROSOFT)
def qgemm(
    b: Builder, x: Value, x_scale: Value, x_zero: Value, y: Value, y_scale: Value, y_zero: Value,
    bias: MaybeValue = None, scale: MaybeValue = None, zero: MaybeValue = None, *,
    alpha: float = 1.0, transA: int = 0, transB: int = 0,  # noqa: N803
) -> Value:  # fmt: skip
    """The bias is in units of alpha * x_scale * y_scale; without a scale of its own the result is of floats."""
    options: dict[str, Any] = {"alpha": alpha, "transA": transA, "transB": transB}
    weight = numbers(b, y, y_scale, y_zero, axis=0 if transB else 1)
    product = gemm(b, numbers(b, x, x_scale, x_zero), weight, _bias(b, bias, x_scale, y_scale, alpha), **options)
    product.shape = (-1, -1)
    return product if scale is None else quantize_linear(b, product, scale, zero)


def _bias(b: Builder, bias: MaybeValue, x_scale: Value, y_scale: Value, alpha: float) -> MaybeValue:
    if bias is None:
        return None
    if bias.data is None or x_scale.data is None or y_scale.data is None:
        raise b.refuse("a bias that is computed is not offered.")
    unit = alpha * x_scale.data.astype(np.float64) * y_scale.data.astype(np.float64)
    return b.const((bias.data * unit.reshape(-1)).astype(np.float32))
