"""Quantised tensors: what is known of their origin, and integer operators.

Integer arithmetic is done in float32, where sums of products stay exact below 2^24; longer sums are split.
Two things keep their integers in the .ms model: a constant that is dequantised into the weights of a
convolution or matrix product, and an activation that is quantised only to be dequantised again, which
becomes a pair of QuantDTypeCast.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue, QuantizedFrom, Sums
from converter.importers.onnx.constant import target_dtype
from converter.importers.onnx.linear import conv, matmul
from converter.importers.onnx.registry import DOMAIN_MICROSOFT, onnx_op
from converter.ir.graph import QuantParam, Value
from lite_runtime.types import DataType

_LEVELS = (DataType.INT8, DataType.UINT8, DataType.INT16, DataType.UINT16)
# Below this, whole numbers and their sums are exact in float32.
_EXACT = 1 << 24


def _along(b: Builder, v: Value, rank: int, axis: int) -> Value:
    """A parameter for each position of an axis, so that it broadcasts; a scalar as it is."""
    if v.shape in ((), (1,)):
        return b.const(v.data.reshape(())) if v.data is not None else v
    shape = [1] * rank
    shape[b.axis(axis, rank)] = -1
    return b.const(v.data.reshape(shape)) if v.data is not None else b.reshape(v, shape)


def _is_vector(v: Value) -> bool:
    return v.shape is not None and len(v.shape) <= 1


@onnx_op("QuantizeLinear")
def quantize_linear(
    b: Builder, x: Value, scale: Value, zero: MaybeValue = None, *,
    axis: int = 1, saturate: int = 1, output_dtype: int = 0, block_size: int = 0, precision: int = 0,
) -> Value:  # fmt: skip
    """round(x / scale) + zero, ties to even, limited to the type. ``saturate`` concerns 8-bit floats only."""
    dtype = zero.dtype if zero is not None else target_dtype(b, output_dtype) if output_dtype else DataType.UINT8
    if dtype not in _LEVELS or block_size or not _is_vector(scale):
        raise b.refuse(f"quantising to {dtype.name.lower()}{' in blocks' if block_size else ''} is not offered.")
    rank = b.rank(x)
    number = b.cast(x, DataType.FLOAT32)
    level = b.op("Round", b.op("DivFusion", number, b.cast(_along(b, scale, rank, axis), DataType.FLOAT32)))
    if zero is not None:
        level = b.op("AddFusion", level, b.cast(_along(b, zero, rank, axis), DataType.FLOAT32))
    limits = np.iinfo(dtype.numpy)
    level = b.op("Minimum", b.op("Maximum", level, float(limits.min)), float(limits.max))
    # Not b.cast: even where the dtype is the same, this is the value to remember.
    result = b.op("Cast", level, np.array(int(dtype), np.int32), dtype=dtype)
    result.shape = x.shape
    if x.dtype == DataType.FLOAT32 and scale.data is not None and scale.data.size == 1:
        zero_point = int(b.number(zero, 0, "the zero point")) if zero is None or zero.data is not None else None
        if zero_point is not None:
            b.memo.quantized[result] = QuantizedFrom(x, float(scale.data.ravel()[0]), zero_point)
    return result


@onnx_op("DequantizeLinear")
def dequantize_linear(
    b: Builder,
    x: Value,
    scale: Value,
    zero: MaybeValue = None,
    *,
    axis: int = 1,
    block_size: int = 0,
    output_dtype: int = 0,
) -> Value:
    """(x - zero) * scale."""
    if output_dtype and target_dtype(b, output_dtype) != DataType.FLOAT32:
        raise b.refuse("other results than floats are not offered.", attribute="output_dtype")
    known = scale.data is not None and (zero is None or zero.data is not None)
    if x.data is not None and known:
        return _constant(b, x, scale, zero, axis, block_size)
    if block_size or not _is_vector(scale):
        raise b.refuse("dequantising in blocks is not offered for computed values.", attribute="block_size")
    origin = b.memo.quantized.get(x)
    if origin is not None and known and x.dtype in (DataType.INT8, DataType.UINT8) and _same(origin, scale, zero):
        return _pair(b, origin, x.dtype)
    rank = b.rank(x)
    number = _less_zero(b, x, None if zero is None else _along(b, zero, rank, axis))
    return b.op("MulFusion", number, b.cast(_along(b, scale, rank, axis), DataType.FLOAT32))


def _same(origin: QuantizedFrom, scale: Value, zero: MaybeValue) -> bool:
    assert scale.data is not None
    zero_point = 0 if zero is None or zero.data is None else zero.data.ravel()[0]
    return scale.data.size == 1 and float(scale.data.ravel()[0]) == origin.scale and zero_point == origin.zero_point


def _pair(b: Builder, origin: QuantizedFrom, dtype: DataType) -> Value:
    """To int8 and back; uint8 is int8 with another zero point."""
    shift = 128 if dtype == DataType.UINT8 else 0
    real, int8 = int(DataType.FLOAT32), int(DataType.INT8)
    level = b.op("QuantDTypeCast", origin.value, src_t=real, dst_t=int8, dtype=DataType.INT8)
    level.quant = [QuantParam(origin.scale, origin.zero_point - shift, narrow_range=False)]
    return b.op("QuantDTypeCast", level, src_t=int8, dst_t=real, dtype=DataType.FLOAT32)


def _constant(b: Builder, x: Value, scale: Value, zero: MaybeValue, axis: int, block: int) -> Value:
    """The numbers that constant integers stand for."""
    assert x.data is not None and scale.data is not None
    q, s = x.data, scale.data.astype(np.float32)
    z = np.zeros_like(s, np.int64) if zero is None or zero.data is None else zero.data.astype(np.int64)
    at = b.axis(axis, q.ndim) if s.size > 1 else 0
    if not block:
        return b.dequantized(q, s, z, at)
    each_s, each_z = (np.repeat(v, block, axis=at).take(range(q.shape[at]), axis=at) for v in (s, z))
    return b.const(((q - each_z).astype(np.float32) * each_s).astype(np.float32))


def _less_zero(b: Builder, x: Value, zero: MaybeValue) -> Value:
    number = b.cast(x, DataType.FLOAT32)
    if zero is None or (zero.data is not None and not zero.data.any()):
        return number
    return b.op("SubFusion", number, b.cast(zero, DataType.FLOAT32))


def numbers(b: Builder, x: Value, scale: Value, zero: MaybeValue = None, axis: int = 1) -> Value:
    """What a quantised tensor stands for, with its shape."""
    real = dequantize_linear(b, x, scale, zero, axis=axis)
    real.shape = x.shape
    return real


def is_pair(b: Builder, x: Value, scale: Value, zero: MaybeValue) -> bool:
    """Whether ``numbers`` of it are those of a pair, which can be computed with in int8."""
    origin = b.memo.quantized.get(x)
    known = scale.data is not None and (zero is None or zero.data is not None)
    return origin is not None and known and _same(origin, scale, zero)


# What gives, of quantised numbers, some of them.
MOVING = ("MaxPool", "Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Slice", "DepthToSpace", "SpaceToDepth")


def moved(b: Builder, x: Value, lower: Callable[[Value], Value]) -> Value | None:
    """The result of a ``MOVING`` operator for quantised x by that for its numbers; None where these are not known."""
    origin = b.memo.quantized.get(x)
    if origin is None or x.dtype not in (DataType.INT8, DataType.UINT8):
        return None
    scale, zero = b.const(np.array(origin.scale, np.float32)), b.const(np.array(origin.zero_point, x.dtype.numpy))
    real = lower(numbers(b, x, scale, zero))
    real.shape = real.shape or (-1,) * b.rank(x)
    return quantize_linear(b, real, scale, zero)


@onnx_op("MatMulInteger")
def matmul_integer(b: Builder, x: Value, y: Value, x_zero: MaybeValue = None, y_zero: MaybeValue = None) -> Value:
    left, right = _operand(b, x, x_zero, -2), _operand(b, y, y_zero, -1)
    depth = y.shape[-2] if y.shape is not None and len(y.shape) > 1 else -1
    if depth < 0:
        depth = x.shape[-1] if x.shape else -1
    if depth < 0:
        raise b.refuse("the length of its sums is only known at run time.")
    step = _EXACT // (255 * _largest(right))
    parts = []
    for first in range(0, depth, step):
        last = min(depth, first + step)
        whole = (first, last) == (0, depth)
        a = left if whole else _cut(b, left, b.rank(x), b.rank(x) - 1, first, last)
        c = right if whole else _cut(b, right, b.rank(y), max(0, b.rank(y) - 2), first, last)
        parts.append(b.cast(matmul(b, a, c), DataType.INT32))
    total = _sum(b, parts)
    note_sums(b, total, x, y, x_zero, y_zero)
    return total


def _largest(v: Value) -> int:
    """A bound for the magnitude of the numbers."""
    return max(1, int(np.abs(v.data).max(initial=0))) if v.data is not None else 255


def _cut(b: Builder, v: Value, rank: int, axis: int, first: int, last: int) -> Value:
    if v.data is not None:
        return b.const(v.data.take(range(first, last), axis=axis))
    result = b.slice(v, rank, axis, first, last)
    result.shape = None if v.shape is None else (*v.shape[:axis], last - first, *v.shape[axis + 1 :])
    return result


def _sum(b: Builder, parts: list[Value]) -> Value:
    total, *rest = parts
    for part in rest:
        total = b.op("AddFusion", total, part)
    return total


def _operand(b: Builder, x: Value, zero: MaybeValue, axis: int) -> Value:
    """The integers less their zero point, as floats; constants keep their bytes in the file."""
    if x.data is not None and (zero is None or zero.data is not None):
        one = b.const(np.ones(() if zero is None else zero.shape or (), np.float32))
        at = axis if zero is not None and zero.shape not in ((), (1,)) else 0
        return _constant(b, x, one, zero, at, 0)
    rank = b.rank(x)
    per_row = None if zero is None else _along(b, zero, rank, axis) if _is_vector(zero) else zero
    number = _less_zero(b, x, per_row)
    number.shape = x.shape
    return number


@onnx_op("ConvInteger")
def conv_integer(
    b: Builder, x: Value, w: Value, x_zero: MaybeValue = None, w_zero: MaybeValue = None, *,
    kernel_shape: list[int] | None = None, strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", group: int = 1,
) -> Value:  # fmt: skip
    left, right = _operand(b, x, x_zero, 1), _operand(b, w, w_zero, 0)
    dims = b.need_dims(w, "a convolution")
    window = int(np.prod(dims[2:])) * 255 * _largest(right)
    step = max(1, _EXACT // window)
    geometry: dict[str, Any] = {
        "kernel_shape": kernel_shape, "strides": strides, "dilations": dilations, "pads": pads, "auto_pad": auto_pad,
    }  # fmt: skip
    if window > _EXACT or (group > 1 and dims[1] > step):
        raise b.refuse(f"sums of {dims[1]} channels are not exact in float32.", attribute="group")
    parts = []
    for first in range(0, dims[1], step):
        last = min(dims[1], first + step)
        whole = (first, last) == (0, dims[1])
        a = left if whole else _cut(b, left, b.rank(x), 1, first, last)
        c = right if whole else _cut(b, right, len(dims), 1, first, last)
        parts.append(b.cast(conv(b, a, c, group=group, **geometry), DataType.INT32))
    return _sum(b, parts)


def note_sums(b: Builder, total: Value, x: Value, y: Value, x_zero: MaybeValue, y_zero: MaybeValue) -> None:
    """Remembers a MatMulInteger of what was quantised in this run with symmetric constant weights."""
    middle = 128 if y.dtype == DataType.UINT8 else 0
    zeros = None if y_zero is None else y_zero.data
    symmetric = bool((zeros == middle).all()) if zeros is not None else y_zero is None and middle == 0
    constant = y.data is not None and y.data.ndim == 2 and symmetric
    if x in b.memo.dynamic and x_zero is not None and constant and b.rank(x) > 1:
        b.memo.sums[total] = Sums(b.memo.dynamic[x][0], y, y_zero)


def dynamic_product(b: Builder, x: Value, y: Value) -> Value | None:
    """Sums times their step are the product of floats with a weight that is stored as integers; None for others.

    Also remembers steps: the scale of this run times that of a weight.
    """
    for sums, step in ((x, y), (y, x)):
        found, scales = b.memo.sums.get(sums), b.memo.steps.get(step)
        if found is not None and scales is not None and scales[0] is found.value and _fits(found, scales[1]):
            return dynamic_matmul(b, found, scales[1])
    result = None
    for scale, constant in ((x, y), (y, x)):
        origin = next((v for v, s in b.memo.dynamic.values() if s is scale), None)
        if origin is not None and constant.data is not None and _is_vector(constant):
            result = b.op("MulFusion", scale, constant)
            b.memo.steps[result] = origin, constant
    return result


def _fits(sums: Sums, scale: Value) -> bool:
    """Whether these are a constant scale for the weight or one for each of its columns."""
    assert sums.weight.data is not None
    return scale.data is not None and _is_vector(scale) and scale.data.size in (1, sums.weight.data.shape[1])


def dynamic_matmul(b: Builder, sums: Sums, scale: Value) -> Value:
    product = matmul(b, sums.value, numbers(b, sums.weight, scale, sums.zero, axis=-1))
    assert product.producer is not None
    stored = product.producer.inputs[1]
    if stored.quant:
        b.memo.weights.append(stored)
    return product


@onnx_op("QLinearMatMul")
def qlinear_matmul(
    b: Builder, x: Value, x_scale: Value, x_zero: Value, y: Value, y_scale: Value, y_zero: Value,
    scale: Value, zero: Value,
) -> Value:  # fmt: skip
    rank = max(b.rank(x), b.rank(y))
    if is_pair(b, x, x_scale, x_zero):
        product = matmul(b, numbers(b, x, x_scale, x_zero), numbers(b, y, y_scale, y_zero, axis=-1))
        product.shape = (-1,) * rank
        return quantize_linear(b, product, scale, zero)
    total = b.cast(matmul_integer(b, x, y, x_zero, y_zero), DataType.FLOAT32)
    rows, columns = (_along(b, s, rank, a) if _is_vector(s) else s for s, a in ((x_scale, -2), (y_scale, -1)))
    real = b.op("MulFusion", b.op("MulFusion", total, rows), columns)
    real.shape = (-1,) * rank
    return quantize_linear(b, real, scale, zero)


@onnx_op("QLinearConv")
def qlinear_conv(
    b: Builder, x: Value, x_scale: Value, x_zero: Value, w: Value, w_scale: Value, w_zero: Value,
    scale: Value, zero: Value, bias: MaybeValue = None, *,
    kernel_shape: list[int] | None = None, strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", group: int = 1,
) -> Value:  # fmt: skip
    """The bias is in units of x_scale * w_scale."""
    rank = b.rank(x)
    geometry: dict[str, Any] = {
        "kernel_shape": kernel_shape, "strides": strides, "dilations": dilations, "pads": pads, "auto_pad": auto_pad,
        "group": group,
    }  # fmt: skip
    if is_pair(b, x, x_scale, x_zero) and w.data is not None and (bias is None or bias.data is not None):
        assert x_scale.data is not None
        offset = None if bias is None else numbers(b, bias, b.const(x_scale.data * w_scale.data), axis=0)
        weight = numbers(b, w, w_scale, w_zero, axis=0)
        y = conv(b, numbers(b, x, x_scale, x_zero), weight, offset, **geometry)
        y.shape = (-1,) * rank
        return quantize_linear(b, y, scale, zero)
    total = conv_integer(b, x, w, x_zero, w_zero, **geometry)
    if bias is not None:
        total = b.op("AddFusion", total, _along(b, bias, rank, 1) if bias.shape != (1,) else bias)
    unit = b.op("MulFusion", _along(b, w_scale, rank, 1), _along(b, x_scale, rank, 1))
    real = b.op("MulFusion", b.cast(total, DataType.FLOAT32), unit)
    real.shape = (-1,) * rank
    return quantize_linear(b, real, scale, zero)


@onnx_op("MatMulIntegerToFloat", domain=DOMAIN_MICROSOFT)
def matmul_integer_to_float(
    b: Builder, x: Value, y: Value, x_scale: Value, y_scale: Value,
    x_zero: MaybeValue = None, y_zero: MaybeValue = None, bias: MaybeValue = None,
) -> Value:  # fmt: skip
    total = matmul_integer(b, x, y, x_zero, y_zero)
    found = b.memo.sums.get(total)
    if found is not None and _fits(found, y_scale) and b.memo.dynamic[x][1] is x_scale:
        real = dynamic_matmul(b, found, y_scale)
    else:
        real = b.op("MulFusion", b.op("MulFusion", b.cast(total, DataType.FLOAT32), x_scale), y_scale)
    return real if bias is None else b.op("AddFusion", real, bias)
