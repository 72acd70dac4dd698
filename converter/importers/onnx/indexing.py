"""Reading and writing elements by index."""

from __future__ import annotations

import numpy as np

from converter.importers.onnx.builder import INT32_MAX, Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType


@onnx_op("Gather")
def gather(b: Builder, x: Value, indices: Value, *, axis: int = 0) -> Value:
    axis = b.axis(axis, b.rank(x))
    index = wrapped(b, x, indices, axis)
    stored = b.memo.stored.get(x)
    if stored is None or axis or (stored.scales.size > 1 and stored.axis) or indices.shape is None:
        return b.gather(x, index, axis)
    # Rows of an embedding that is stored as integers: only those that are read become floats.
    rows = b.cast(b.gather(b.const(stored.q), index), DataType.FLOAT32)
    scale, zero = (
        _for_rows(b, v.astype(np.float32), index, len(indices.shape), stored.q.ndim - 1)
        for v in (stored.scales, stored.zeros)
    )
    shifted = b.op("SubFusion", rows, zero) if stored.zeros.any() else rows
    return b.op("MulFusion", shifted, scale)


def _for_rows(b: Builder, parameter: np.ndarray, index: Value, rank: int, width: int) -> Value:
    """The parameter of each gathered row, so that it broadcasts over the row."""
    if parameter.size == 1:
        return b.const(parameter.reshape(()))
    return b.unsqueeze(b.gather(b.const(parameter), index), range(rank, rank + width))


@onnx_op("GatherElements")
def gather_elements(b: Builder, x: Value, indices: Value, *, axis: int = 0) -> Value:
    axis = b.axis(axis, b.rank(x))
    return b.op("GatherD", x, np.array(axis, np.int32), wrapped(b, x, indices, axis))


@onnx_op("GatherND")
def gather_nd(b: Builder, x: Value, indices: Value, *, batch_dims: int = 0) -> Value:
    if batch_dims:
        indices = _with_batch_indices(b, indices, batch_dims)
    return b.op("GatherNd", x, b.int32(indices))


@onnx_op("ScatterND")
def scatter_nd(b: Builder, x: Value, indices: Value, updates: Value, *, reduction: str = "none") -> Value:
    ops = {"none": "ScatterNdUpdate", "add": "TensorScatterAdd"}
    if reduction not in ops:
        raise b.refuse(f"'{reduction}' has no .ms operator.", attribute="reduction")
    return b.op(ops[reduction], x, b.int32(indices), updates)


@onnx_op("ScatterElements", "Scatter")
def scatter_elements(
    b: Builder, x: Value, indices: Value, updates: Value, *, axis: int = 0, reduction: str = "none"
) -> Value:
    """Element by element; several updates of one element are applied in order, as ONNX Runtime does."""
    if reduction not in ("none", "add"):
        raise b.refuse(f"'{reduction}' has no .ms operator.", attribute="reduction")
    dims = b.need_dims(indices, "scattering single elements")
    rank = b.rank(x)
    axis = b.axis(axis, rank)
    positions = np.indices(dims, np.int32)
    columns = [
        b.reshape(wrapped(b, x, indices, axis), [-1, 1]) if i == axis else b.const(positions[i].reshape(-1, 1))
        for i in range(rank)
    ]
    tuples = b.concat(columns, axis=1) if rank > 1 else columns[0]
    op = "ScatterNdUpdate" if reduction == "none" else "TensorScatterAdd"
    return b.op(op, x, tuples, b.reshape(updates, [-1]))


def wrapped(b: Builder, x: Value, indices: Value, axis: int) -> Value:
    """int32 indices along ``axis``; constant negative ones count from the front where the length is known.

    The .ms operators take negative indices too: this spares them the work and MindSpore Lite the question.
    """
    length = x.shape[axis] if x.shape is not None else -1
    found = indices.data
    if found is None or found.size == 0 or found.min() >= 0 or length < 0:
        return b.int32(indices)
    return b.const(np.where(found < 0, found + length, found).astype(np.int32))


def _with_batch_indices(b: Builder, indices: Value, batch_dims: int) -> Value:
    """The tuples preceded by the coordinates of their batch."""
    dims = b.need_dims(indices, "indexing by batch")
    batch = np.indices(dims[:-1], np.int32)[:batch_dims]
    return b.concat([b.const(np.moveaxis(batch, 0, -1)), b.int32(indices)], axis=len(dims) - 1)


@onnx_op("Slice")
def slice_(
    b: Builder, x: Value, starts: Value, ends: Value, axes: MaybeValue = None, steps: MaybeValue = None
) -> Value:
    rank = b.rank(x)
    if axes is None:
        count = starts.shape[0] if starts.shape else -1
        if count < 0:
            raise b.refuse("the number of sliced axes is only known at run time.")
        axes = b.const(np.arange(count, dtype=np.int32))
    known = all(v is None or v.data is not None for v in (starts, ends, axes, steps))
    if not known:
        stride = steps if steps is not None else b.const(np.ones(axes.shape or (1,), np.int32))
        return b.op("StridedSlice", x, *(b.int32(v) for v in (starts, ends, axes, stride)))
    along = [b.axis(a, rank) for a in b.ints(axes, "the axes")]
    strides = [1] * len(along) if steps is None else b.ints(steps, "the steps")
    bounds = b.ints(starts, "the starts"), b.ints(ends, "the ends")
    if 0 in strides or any(len(v) != len(along) for v in (strides, *bounds)):
        raise b.refuse(f"bounds {bounds} and steps {strides} do not fit the axes {along}. The model is invalid.")
    lengths = [-1] * rank if x.shape is None else x.shape
    if any(step < 0 and first < -1 and lengths[a] < 0 for a, first, step in zip(along, bounds[0], strides)):
        return b.op(
            "StridedSlice",
            x,
            *(b.const(np.clip(v, -INT32_MAX, INT32_MAX).astype(np.int32)) for v in (*bounds, along, strides)),
        )
    return _slice_constant(b, x, rank, along, *bounds, strides)


def _clamped(value: int) -> int:
    return max(-INT32_MAX, min(INT32_MAX, value))


def _slice_constant(
    b: Builder, x: Value, rank: int, axes: list[int], starts: list[int], ends: list[int], steps: list[int]
) -> Value:
    begin, end, stride = [0] * rank, [INT32_MAX] * rank, [1] * rank
    begin_mask = end_mask = (1 << rank) - 1
    for axis, first, last, step in zip(axes, starts, ends, steps):
        length = x.shape[axis] if x.shape is not None else -1
        if length >= 0:
            first, last, step = slice(first, last, step).indices(length)
            if step < 0:
                # ONNX starts at the first element where NumPy takes none.
                first, last = max(first, 0), max(last, -1)
        open_end = last >= INT32_MAX if step > 0 else (last < 0 if length >= 0 else last <= -INT32_MAX)
        begin[axis], end[axis], stride[axis] = _clamped(first), _clamped(last), step
        begin_mask &= ~(1 << axis)
        if not open_end:
            end_mask &= ~(1 << axis)
    return b.op("StridedSlice", x, begin, end, stride, begin_mask=begin_mask, end_mask=end_mask)


@onnx_op("ArgMax")
def arg_max(b: Builder, x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    return _arg(b, "ArgMaxFusion", x, axis, keepdims, select_last_index)


@onnx_op("ArgMin")
def arg_min(b: Builder, x: Value, *, axis: int = 0, keepdims: int = 1, select_last_index: int = 0) -> Value:
    return _arg(b, "ArgMinFusion", x, axis, keepdims, select_last_index)


def _arg(b: Builder, op: str, x: Value, axis: int, keep_dims: int, last: int) -> Value:
    axis = b.axis(axis, b.rank(x))
    if last:
        x = b.op("ReverseV2", x, axis=[axis])
    found = b.op(op, x, axis=axis, top_k=1, keep_dims=bool(keep_dims), out_max_value=False)
    if not last:
        return found
    length = b.gather(b.shape_of(x), np.array(axis, np.int32))
    return b.op("SubFusion", b.op("SubFusion", length, 1), found)


@onnx_op("TopK")
def top_k(b: Builder, x: Value, k: Value, *, axis: int = -1, largest: int = 1, sorted: int = 1) -> list[Value]:
    """The .ms operator always takes the largest: the smallest are the largest of the negatives."""
    count = b.const(k.data.reshape(())) if k.data is not None else b.reshape(k, [])
    dtype = x.dtype
    if not largest:
        if dtype in (DataType.UINT8, DataType.UINT16, DataType.INT8, DataType.INT16):
            x = b.cast(x, DataType.INT32)
        elif dtype in (DataType.UINT32, DataType.UINT64):
            raise b.refuse(f"the smallest of {dtype.name.lower()}.", attribute="largest")
        x = b.op("Neg", x)
    values, indices = b.ops(
        "TopKFusion", [x, b.int32(count)], 2, axis=b.axis(axis, b.rank(x)), largest=1, sorted=bool(sorted)
    )
    indices.dtype = DataType.INT32
    return [values if largest else b.cast(b.op("Neg", values), dtype), indices]


@onnx_op("NonZero")
def non_zero(b: Builder, x: Value) -> Value:
    return b.op("NonZero", x)


@onnx_op("NonMaxSuppression")
def non_max_suppression(
    b: Builder,
    boxes: Value,
    scores: Value,
    most: MaybeValue = None,
    iou_threshold: MaybeValue = None,
    score_threshold: MaybeValue = None,
    *,
    center_point_box: int = 0,
) -> Value:
    inputs = [boxes, scores, b.int32(_scalar(b, most)) if most is not None else b.const(np.array(0, np.int32))]
    if iou_threshold is not None or score_threshold is not None:
        inputs.append(_scalar(b, iou_threshold) if iou_threshold is not None else b.const(np.array(0, np.float32)))
    if score_threshold is not None:
        inputs.append(_scalar(b, score_threshold))
    return b.op("NonMaxSuppression", *inputs, center_point_box=center_point_box)


def _scalar(b: Builder, x: Value) -> Value:
    return b.const(x.data.reshape(())) if x.data is not None else b.reshape(x, [])


@onnx_op("Compress")
def compress(b: Builder, x: Value, condition: Value, *, axis: int | None = None) -> Value:
    """The elements (or slices along an axis) where the condition holds."""
    if axis is None:
        x, axis = b.reshape(x, [-1]), 0
    else:
        axis = b.axis(axis, b.rank(x))
    return b.gather(x, b.reshape(b.op("NonZero", condition), [-1]), axis)


@onnx_op("CumSum")
def cum_sum(b: Builder, x: Value, axis: Value, *, exclusive: int = 0, reverse: int = 0) -> Value:
    along = axis
    if axis.data is not None:
        along = b.const(np.array(b.axis(b.ints(axis, "the axis")[0], b.rank(x)), np.int32))
    return b.op("CumSum", x, b.int32(along), exclusive=bool(exclusive), reverse=bool(reverse))


@onnx_op("ReverseSequence")
def reverse_sequence(b: Builder, x: Value, lengths: Value, *, batch_axis: int = 1, time_axis: int = 0) -> Value:
    return b.op("ReverseSequence", x, b.int32(lengths), seq_dim=time_axis, batch_dim=batch_axis)
