"""Operators that only rearrange, repeat or join elements."""

from __future__ import annotations

import math

import numpy as np

from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.importers.onnx.builder import Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType


@onnx_op("Reshape")
def reshape(b: Builder, x: Value, shape: Value, *, allowzero: int = 0) -> Value:
    """A zero copies the dimension of the input, with ``allowzero`` it is a dimension of length zero."""
    if shape.data is None:
        # A zero computed at run time belongs to a tensor without elements, where copying is right or fails.
        result = b.reshape(x, b.int32(shape))
        rank = shape.shape[0] if shape.shape else -1
        result.shape = (-1,) * rank if rank >= 0 else None
        return result
    target = b.ints(shape, "the shape")
    if 0 in target and (allowzero or x.shape is None or min(x.shape, default=0) >= 0):
        target = _without_zeros(b, x, target, bool(allowzero))
    return b.op("Reshape", x, target)


def _without_zeros(b: Builder, x: Value, target: list[int], allow_zero: bool) -> list[int]:
    dims = b.need_dims(x, "a shape with zeros")
    if not allow_zero:
        if any(d == 0 and i >= len(dims) for i, d in enumerate(target)):
            raise b.refuse(f"the shape {target} copies a dimension its input {list(dims)} lacks.")
        target = [dims[i] if d == 0 else d for i, d in enumerate(target)]
    if -1 in target and 0 not in target:
        rest = _length(tuple(d for d in target if d != -1))
        target = [_length(dims) // rest if d == -1 else d for d in target]
    if 0 in target:
        raise b.refuse("tensors without elements are not offered.")
    return target


@onnx_op("Flatten")
def flatten(b: Builder, x: Value, *, axis: int = 1) -> Value:
    rank = b.rank(x)
    axis = axis + rank if axis < 0 else axis
    dims = x.shape or ()
    rows, columns = (_length(part) for part in (dims[:axis], dims[axis:]))
    if min(rows, columns) >= 0 or (max(rows, columns) > 0 and min(rows, columns) < 0):
        return b.reshape(x, [rows, columns])
    if axis == 1 and columns < 0:
        return b.reshape(x, [0, -1])
    # A length of 0 in the shape of a Reshape would stand for the length that x has there.
    return b.op("Flatten", x, axis=axis)


def _length(dims: tuple[int, ...]) -> int:
    """Number of elements; -1 when a dimension is not known."""
    return math.prod(dims) if min(dims, default=0) >= 0 else -1


@onnx_op("Transpose")
def transpose(b: Builder, x: Value, *, perm: list[int] | None = None) -> Value:
    rank = b.rank(x)
    order = list(range(rank))[::-1] if perm is None else perm
    if sorted(order) != list(range(rank)):
        raise b.refuse(f"{order} is not an order of the {rank} dimensions of its input.", attribute="perm")
    stored = b.memo.stored.get(x)
    if stored is not None:
        return b.dequantized(stored.q.transpose(order), stored.scales, stored.zeros, order.index(stored.axis))
    return b.transpose(x, order)


@onnx_op("Squeeze")
def squeeze(b: Builder, x: Value, axes: MaybeValue = None) -> Value:
    rank = b.rank(x)
    if axes is None:
        dims = b.need_dims(x, "dropping every dimension of 1")
        return b.squeeze(x, [i for i, d in enumerate(dims) if d == 1])
    if axes.data is None:
        return _squeeze_unknown(b, x, rank, axes)
    return b.squeeze(x, sorted(b.axis(a, rank) for a in b.ints(axes, "the axes")))


def _squeeze_unknown(b: Builder, x: Value, rank: int, axes: Value) -> Value:
    """The axes are known at run time: keep the lengths of all others."""
    dropped = _marks(b, b.int32(axes), rank)
    kept = b.reshape(b.op("NonZero", b.op("LogicalNot", dropped)), [-1])
    return b.reshape(x, b.gather(b.shape_of(x), kept))


@onnx_op("Unsqueeze")
def unsqueeze(b: Builder, x: Value, axes: Value) -> Value:
    if axes.data is None:
        return _unsqueeze_unknown(b, x, axes)
    given = b.ints(axes, "the axes")
    if len(given) == 1 and given[0] >= 0:
        return b.unsqueeze(x, given)
    rank = b.rank(x) + len(given)
    return b.unsqueeze(x, [b.axis(a, rank) for a in given])


def _unsqueeze_unknown(b: Builder, x: Value, axes: Value) -> Value:
    """The axes are known at run time: put ones between the lengths of x."""
    count = axes.shape[0] if axes.shape else -1
    if count < 0:
        raise b.refuse("the number of its axes is only known at run time.")
    rank = b.rank(x) + count
    inserted = _marks(b, b.int32(axes), rank)
    taken = b.op(
        "SubFusion", b.op("CumSum", b.cast(b.op("LogicalNot", inserted), DataType.INT32), np.array(0, np.int32)), 1
    )
    lengths = b.gather(b.shape_of(x), b.op("Maximum", taken, 0))
    return b.reshape(x, b.where(inserted, b.const(np.ones(rank, np.int32)), lengths))


def _marks(b: Builder, axes: Value, rank: int) -> Value:
    """A bool vector of ``rank`` elements, true at ``axes``."""
    wrapped = b.where(b.op("Less", axes, 0), b.op("AddFusion", axes, rank), axes)
    equal = b.op("Equal", b.reshape(wrapped, [-1, 1]), b.const(np.arange(rank, dtype=np.int32).reshape(1, -1)))
    return b.op("Greater", b.reduce("ReduceSum", b.cast(equal, DataType.INT32), [0], keep_dims=False), 0)


@onnx_op("Concat")
def concat(b: Builder, *xs: Value, axis: int) -> Value:
    return xs[0] if len(xs) == 1 else b.concat(xs, b.axis(axis, b.rank(xs[0])))


@onnx_op("Split")
def split(
    b: Builder, x: Value, sizes: MaybeValue = None, *, axis: int = 0, num_outputs: int | None = None
) -> list[Value]:
    axis = b.axis(axis, b.rank(x))
    count = len(b.wanted)
    if sizes is not None and sizes.data is None:
        return _split_computed(b, x, b.int32(sizes), axis, count)
    if sizes is not None:
        parts = b.ints(sizes, "the lengths of the parts")
    else:
        length = b.need_dims(x, "an even split")[axis] if x.shape is None or x.shape[axis] < 0 else x.shape[axis]
        part = -(-length // count)
        parts = [part] * (count - 1) + [length - part * (count - 1)]
    if len(parts) != count or min(parts) < 0:
        raise b.refuse(f"{parts} does not split it into {count} parts. The model is invalid: check the exporter.")
    if count == 1:
        return [x]
    return b.ops("Split", [x], count, output_num=count, size_splits=parts, axis=axis)


def _split_computed(b: Builder, x: Value, sizes: Value, axis: int, count: int) -> list[Value]:
    """The lengths are known at run time: one slice for each part."""
    ends = b.op("CumSum", sizes, np.array(0, np.int32))
    begins = b.op("SubFusion", ends, sizes)
    bounds = [(b.slice(begins, 1, 0, i, i + 1), b.slice(ends, 1, 0, i, i + 1)) for i in range(count)]
    return [b.op("StridedSlice", x, begin, end, [axis], [1]) for begin, end in bounds]


@onnx_op("Tile")
def tile(b: Builder, x: Value, repeats: Value) -> Value:
    return b.op("TileFusion", x, b.int32(repeats), dims=list(range(b.rank(x))))


@onnx_op("Expand")
def expand(b: Builder, x: Value, shape: Value) -> Value:
    """Broadcasting in both directions: a 1 in ``shape`` keeps the length of x."""
    rank = b.rank(x)
    if shape.data is not None:
        target = b.ints(shape, "the shape")
        dims = b.dims(x)
        if dims is not None:
            return b.op("BroadcastTo", x, shape=list(np.broadcast_shapes(dims, target)))
        if rank <= len(target) and all(t != 1 for t in target[len(target) - rank :]):
            return b.op("BroadcastTo", x, shape=target)
    length = shape.shape[0] if shape.shape else -1
    if length < 0:
        raise b.refuse("the rank of its result is only known at run time.")
    wide = max(rank, length)
    own, target_shape = (
        b.concat([[1] * (wide - n), v]) if n < wide else v for n, v in ((rank, b.shape_of(x)), (length, b.int32(shape)))
    )
    # The larger of two lengths, one of which is 1 where they differ; or none at all.
    some = b.op("Minimum", b.op("Minimum", own, target_shape), 1)
    return b.op("BroadcastTo", x, b.op("MulFusion", b.op("Maximum", own, target_shape), some))


@onnx_op("DepthToSpace")
def depth_to_space(b: Builder, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    y = b.op("DepthToSpace", b.transpose(x, channels_last_perm(4)), block_size=blocksize, mode=mode, format="NHWC")
    return b.transpose(y, channels_first_perm(4))


@onnx_op("SpaceToDepth")
def space_to_depth(b: Builder, x: Value, *, blocksize: int, mode: str = "DCR") -> Value:
    if mode != "DCR":
        raise b.refuse(f"'{mode}' has no .ms operator.", attribute="mode")
    y = b.op("SpaceToDepth", b.transpose(x, channels_last_perm(4)), block_size=blocksize, format="NHWC")
    return b.transpose(y, channels_first_perm(4))
