"""Constants, copies, casts and generated tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.tensors import DTYPES, type_name
from converter.ir.graph import Value
from lite_runtime.types import DataType

_CONSTANT_KINDS = {"value_float": np.float32, "value_floats": np.float32, "value_int": np.int64, "value_ints": np.int64}


@onnx_op("Constant")
def constant(
    b: Builder,
    *,
    value: np.ndarray | None = None,
    value_float: float | None = None,
    value_floats: list[float] | None = None,
    value_int: int | None = None,
    value_ints: list[int] | None = None,
) -> Value:
    given: dict[str, Any] = {
        "value_float": value_float,
        "value_floats": value_floats,
        "value_int": value_int,
        "value_ints": value_ints,
    }
    arrays = [np.array(v, _CONSTANT_KINDS[name]) for name, v in given.items() if v is not None]
    arrays += [] if value is None else [value]
    if len(arrays) != 1:
        raise b.refuse("it must have exactly one value. The model is invalid: check the exporter.")
    return b.graph.constant(b.name, arrays[0])


@onnx_op("Identity")
def identity(b: Builder, x: Value) -> Value:
    return x


@onnx_op("Dropout")
def dropout(
    b: Builder, x: Value, ratio: MaybeValue = None, training: MaybeValue = None, *, seed: int = 0
) -> list[Value | None]:
    """The identity at inference; the mask is all true."""
    if training is not None and (training.data is None or training.data.any()):
        raise b.refuse("it is in training mode.", suggestion="Export the model for inference.")
    if len(b.wanted) < 2 or not b.wanted[1]:
        return [x]
    dims = b.need_dims(x, "its mask")
    dtype = np.bool_ if b.opset >= 10 else x.dtype.numpy
    return [x, b.const(np.ones(dims, dtype))]


def target_dtype(b: Builder, to: int) -> DataType:
    """The .ms element type of an ONNX element type; refused when there is none."""
    if to not in DTYPES:
        raise b.refuse(f"a .ms tensor cannot hold {type_name(to)}.", attribute="to")
    return DataType.FLOAT32 if DTYPES[to] == DataType.FLOAT16 else DTYPES[to]


@onnx_op("Cast")
def cast(b: Builder, x: Value, *, to: int, saturate: int = 1, round_mode: str = "up") -> Value:
    """``saturate`` and ``round_mode`` concern 8-bit floats only."""
    dtype = target_dtype(b, to)
    if dtype == DataType.FLOAT32 and x.data is not None and x.data.dtype in (np.int8, np.uint8):
        return b.dequantized(x.data, np.ones(1, np.float32), np.zeros(1, np.int64), 0)
    result = b.cast(x, dtype)
    if dtype == DataType.FLOAT32 and x in b.memo.sums:
        b.memo.sums[result] = b.memo.sums[x]
    return result


@onnx_op("CastLike")
def cast_like(b: Builder, x: Value, like: Value, *, saturate: int = 1, round_mode: str = "up") -> Value:
    if like.dtype == DataType.UNKNOWN:
        raise b.refuse(f"the element type of '{like.name}' is not known.")
    return b.cast(x, like.dtype)


@onnx_op("Shape")
def shape(b: Builder, x: Value, *, start: int = 0, end: int | None = None) -> Value:
    dims = b.op("Shape", x)
    if start == 0 and end is None:
        return dims
    rank = b.rank(x)
    first, last, _ = slice(start, end).indices(rank)
    return b.op("StridedSlice", dims, [first], [max(first, last)], [1])


@onnx_op("Size")
def size(b: Builder, x: Value) -> Value:
    return b.op("Size", x)


@onnx_op("ConstantOfShape")
def constant_of_shape(b: Builder, dims: Value, *, value: np.ndarray | None = None) -> Value:
    fill = np.zeros(1, np.float32) if value is None else value
    return b.op("Fill", b.const(fill.reshape(())), b.int32(dims))


@onnx_op("Range")
def arange(b: Builder, start: Value, limit: Value, delta: Value) -> Value:
    return b.op("Range", *(b.reshape(v, []) if v.shape != () else v for v in (start, limit, delta)))


@onnx_op("EyeLike")
def eye_like(b: Builder, x: Value, *, dtype: int | None = None, k: int = 0) -> Value:
    rows, columns = b.need_dims(x, "an identity matrix")
    kind = x.dtype if dtype is None else target_dtype(b, dtype)
    return b.const(np.eye(rows, columns, k, dtype=kind.numpy))


@onnx_op("OneHot")
def one_hot(b: Builder, indices: Value, depth: Value, values: Value, *, axis: int = -1) -> Value:
    """Negative indices count from the end; those out of range give a row of off values."""
    rank = b.rank(indices)
    if depth.data is None or indices.dtype == DataType.UNKNOWN:
        depth = b.reshape(depth, []) if depth.shape != () else depth
    count = b.int32(depth if depth.data is None else b.const(depth.data.reshape(())))
    index = b.int32(indices)
    wrapped = b.where(b.op("Less", index, 0), b.op("AddFusion", index, count), index)
    off, on = (b.reshape(b.slice(values, 1, 0, i, i + 1), []) for i in (0, 1))
    if values.data is not None:
        off, on = (b.const(values.data[i].reshape(())) for i in (0, 1))
    return b.op("OneHot", wrapped, count, on, off, axis=axis if axis == -1 else b.axis(axis, rank + 1))


@onnx_op("Trilu")
def trilu(b: Builder, x: Value, k: MaybeValue = None, *, upper: int = 1) -> Value:
    """Keeps what lies above (or below) the k-th diagonal."""
    rank = b.rank(x)
    rows, columns = (x.shape or ())[-2:] if rank >= 2 else (-1, -1)
    if min(rows, columns) < 0:
        offset = k if k is not None else b.const(np.array(0, np.int32))
        return b.op("Triu" if upper else "Tril", x, b.int32(offset))
    # How far each element is from the main diagonal, to the right.
    places = np.arange(columns, dtype=np.int32) - np.arange(rows, dtype=np.int32)[:, None]
    if k is None or k.data is not None:
        offset_now = int(b.number(k, 0, "the diagonal"))
        mask = b.const(places >= offset_now if upper else places <= offset_now)
    else:
        mask = b.op("GreaterEqual" if upper else "LessEqual", b.const(places), b.reshape(b.int32(k), []))
    return b.where(mask, x, b.scalar(0, x))


@onnx_op("OptionalHasElement")
def optional_has_element(b: Builder, x: MaybeValue = None) -> Value:
    """Of a tensor, which is there or is not."""
    return b.const(np.array(x is not None))


@onnx_op("OptionalGetElement")
def optional_get_element(b: Builder, x: Value) -> Value:
    return x
