"""Primitives that move elements: shapes, slices, joins, gathers and scatters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.ops.elementwise import cast
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Absent, Indexing, Integers, Ints, Scalar, Scope, check_size, to_ints
from converter.ir.graph import Value
from lite_runtime.types import DataType


@op("Reshape")
def reshape(b: Scope, x: Value, *, shape: Any) -> Value:
    return b.add("Reshape", x, b.vector(shape))


@op("Transpose")
def transpose(b: Scope, x: Value, *, perm: Ints) -> Value:
    if x.shape is not None and len(perm) == len(x.shape):
        perm = [p % len(perm) for p in perm]
    return b.add("Transpose", x, b.constant("perm", perm))


@op("TransposeExtView")
def swap_axes(b: Scope, x: Value, *, dim0: int, dim1: int) -> Value:
    perm = list(range(b.rank(x)))
    if not all(-len(perm) <= d < len(perm) for d in (dim0, dim1)):
        raise Malformed(f"axes {dim0} and {dim1} do not lie in its {len(perm)} dimensions")
    perm[dim0], perm[dim1] = perm[dim1], perm[dim0]
    return b.add("Transpose", x, b.constant("perm", perm))


@op("ExpandDims")
def expand_dims(b: Scope, x: Value, *, axis: int) -> Value:
    return b.add("ExpandDims", x, b.constant("axis", [axis]))


@op("Squeeze")
def squeeze(b: Scope, x: Value, *, axis: Ints = ()) -> Value:
    return b.add("Squeeze", x, axis=list(axis) or [i for i, d in enumerate(b.static_shape(x)) if d == 1])


@op("Flatten")
def flatten(b: Scope, x: Value) -> Value:
    return b.add("Flatten", x, axis=1)


@op("FlattenExt")
def flatten_range(b: Scope, x: Value, *, start_dim: int = 0, end_dim: int = -1) -> Value:
    shape = x.shape
    if shape is None:
        raise Refusal("the number of dimensions of its input is unknown.")
    start, end = start_dim % max(len(shape), 1), end_dim % max(len(shape), 1)
    kept = [*shape[:start], -1, *shape[end + 1 :]]
    if sum(d < 0 for d in kept) > 1:
        raise Refusal("it needs an input of known size.", suggestion="Export with static shapes.")
    return b.add("Reshape", x, b.constant("shape", kept))


@op("Tile")
def tile(b: Scope, x: Value, *, multiples: Ints) -> Value:
    missing = len(multiples) - b.rank(x)
    if missing > 0:
        shape = b.static_shape(x)
        x = b.add("Reshape", x, b.constant("padded_shape", [*[1] * missing, *shape]), tag="padded")
    return b.add("TileFusion", x, b.constant("multiples", multiples))


@op("BroadcastTo")
def broadcast_to(b: Scope, x: Value, *, shape: Any) -> Value:
    """-1 keeps a dimension of the input."""
    if isinstance(shape, (Value, Integers)) or (
        isinstance(shape, tuple) and not all(isinstance(d, int) for d in shape)
    ):
        return _broadcast_at_run_time(b, x, shape)
    return _broadcast(b, x, to_ints(b, shape))


@op("InplaceCopy")
def copy_into(b: Scope, x: Value, y: Value, *, non_blocking: bool = False) -> Value:
    """y in the shape and type of x."""
    source = cast(b, y, x.dtype, "source")
    if source.shape is not None and source.shape == x.shape:
        return source
    if x.shape is None or -1 in x.shape:
        return b.add("BroadcastTo", source, b.add("Shape", x, tag="shape"))
    return _broadcast(b, source, list(x.shape))


def _broadcast_at_run_time(b: Scope, x: Value, shape: Any) -> Value:
    target = b.vector(shape)
    if isinstance(shape, tuple) and not any(d == -1 for d in shape):
        return b.add("BroadcastTo", x, target)
    # The larger of both sizes is right for -1 and for 1; it takes as many of one as of the other.
    if not isinstance(shape, tuple) or len(shape) != b.rank(x):
        raise Refusal("it needs a known number of dimensions.", attribute="shape")
    own = b.add("Shape", x, tag="own")
    return b.add("BroadcastTo", x, b.add("Maximum", own, target, tag="size"))


def _broadcast(b: Scope, x: Value, shape: Ints) -> Value:
    """Sizes that are only known at run time come from a product with ones."""
    missing = len(shape) - b.rank(x)
    assert x.shape is not None
    wanted = [x.shape[i - missing] if d == -1 and i >= missing else d for i, d in enumerate(shape)]
    if missing < 0 or min(wanted[:missing], default=1) < 0:
        raise Malformed(f"{list(x.shape)} cannot be broadcast to {list(shape)}")
    if min(wanted, default=0) >= 0:
        return b.add("BroadcastTo", x, shape=wanted)
    if x.dtype not in (DataType.FLOAT32, DataType.FLOAT16, DataType.INT32, DataType.INT64):
        raise Refusal("it needs an input of known size.", suggestion="Export with static shapes.")
    return b.add("MulFusion", x, b.filled("ones", [max(d, 1) for d in wanted], 1, x.dtype.numpy))


@op("Concat")
def concat(b: Scope, tensors: list[Value], *, axis: int = 0) -> Value:
    if not tensors:
        raise Malformed("it joins nothing")
    return b.add("Concat", *tensors, axis=axis)


@op("Stack", "Pack", "StackExt")
def stack(b: Scope, tensors: list[Value], *, axis: int = 0) -> Value:
    if not tensors:
        raise Malformed("it joins nothing")
    return b.add("Stack", *tensors, axis=axis)


@op("Unstack", "Unpack", "UnstackExtView")
def unstack(b: Scope, x: Value, *, axis: int = 0, output_num: int | None = None) -> tuple[Value, ...]:
    count = output_num if output_num is not None else _extent(b, x, axis)
    return tuple(b.add_many("Unstack", x, outputs=_outputs(count), axis=axis))


@op("Split")
def split(
    b: Scope, x: Value, *, axis: int = 0, output_num: int = 1, size_splits: Ints | None = None
) -> tuple[Value, ...]:
    sizes = list(size_splits or ())
    if len(sizes) != output_num or min(sizes, default=0) < 0:
        extent = x.shape[axis] if x.shape is not None and -len(x.shape) <= axis < len(x.shape) else -1
        sizes = [extent // output_num] * output_num if extent >= 0 and output_num > 0 else []
    return _split(b, x, axis, output_num, sizes)


@op("SplitTensor", "SplitWithSize", "Chunk")
def split_by_size(
    b: Scope, x: Value, *, split_size: Ints | None = None, chunks: int | None = None, axis: int = 0
) -> tuple[Value, ...]:
    """Sizes in order, one size for all but the last, or a number of parts."""
    extent = _extent(b, x, axis)
    sizes = list(split_size or ())
    if b.op != "SplitWithSize":
        size = sizes[0] if sizes else -(-extent // max(chunks or 1, 1))
        if size < 1:
            raise Malformed(f"a part of size {size} is impossible")
        count = _outputs(-(-extent // size))
        sizes = [min(size, extent - index * size) for index in range(count)]
    return _split(b, x, axis, len(sizes), sizes)


def _split(b: Scope, x: Value, axis: int, count: int, sizes: Sequence[int]) -> tuple[Value, ...]:
    parts = b.add_many(
        "Split", x, outputs=_outputs(count), output_num=count, axis=axis, size_splits=list(sizes) or None
    )
    return tuple(parts)


def _outputs(count: int) -> int:
    if not 0 < count <= 4096:
        raise Malformed(f"{count} parts are impossible")
    return count


def _extent(b: Scope, x: Value, axis: int) -> int:
    shape = b.static_shape(x)
    if not -len(shape) <= axis < len(shape):
        raise Malformed(f"axis {axis} does not lie in its {len(shape)} dimensions")
    return shape[axis]


@op("Gather")
def gather(b: Scope, x: Value, indices: Any, *, axis: int = 0, batch_dims: int = 0) -> Value:
    if batch_dims != 0:
        raise Refusal(f"batch_dims = {batch_dims} is not supported, only 0.", attribute="batch_dims")
    return b.add("Gather", x, _indices(b, indices), b.constant("axis", [axis]))


@op("IndexSelect")
def index_select(b: Scope, x: Value, *, axis: int, index: Any) -> Value:
    return b.add("Gather", x, _indices(b, index), b.constant("axis", [axis]))


@op("SelectExtView")
def select_index(b: Scope, x: Value, *, axis: int, index: int) -> Value:
    return b.add("Gather", x, b.constant("index", index), b.constant("axis", [axis]))


@op("Embedding", "EmbeddingLookup")
def embedding(b: Scope, first: Value, second: Value, offset: int = 0, *, max_norm: float | None = None) -> Value:
    if max_norm is not None or offset:
        raise Refusal("renormalised or shifted embeddings are not supported.", attribute="max_norm")
    indices, table = (first, second) if b.op == "Embedding" else (second, first)
    return b.add("Gather", table, _indices(b, indices), b.constant("axis", [0]))


@op("GatherD")
def gather_d(b: Scope, x: Value, *, axis: int, index: Any) -> Value:
    return b.add("GatherD", x, b.constant("dim", [axis]), _indices(b, index))


@op("GatherNd")
def gather_nd(b: Scope, x: Value, indices: Any) -> Value:
    return b.add("GatherNd", x, _indices(b, indices))


def _indices(b: Scope, operand: Any) -> Value:
    """Indices are int32 in .ms; constants are converted here, others by a pass."""
    value = b.tensor(operand)
    return value if value.data is None else b.constant("indices", value.data)


@op("ScatterNd")
def scatter_nd(b: Scope, indices: Any, updates: Value, shape: Any) -> Value:
    return b.add("ScatterNd", _indices(b, indices), updates, b.vector(shape))


@op("TensorScatterUpdate", "ScatterNdUpdate")
def scatter_update(b: Scope, x: Value, indices: Any, updates: Value) -> Value:
    return b.add("ScatterNdUpdate", x, _indices(b, indices), updates)


@op("TensorScatterAdd")
def scatter_add(b: Scope, x: Value, indices: Any, updates: Value) -> Value:
    return b.add("TensorScatterAdd", x, _indices(b, indices), updates)


@op("StridedSlice")
def strided_slice(
    b: Scope,
    x: Value,
    *,
    begin: Any,
    end: Any,
    strides: Any,
    begin_mask: int = 0,
    end_mask: int = 0,
    ellipsis_mask: int = 0,
    new_axis_mask: int = 0,
    shrink_axis_mask: int = 0,
) -> Value:
    """Masks may have bits beyond the given positions; those mean nothing."""
    known = (1 << len(begin)) - 1 if isinstance(begin, tuple) else (1 << 31) - 1
    return b.add(
        "StridedSlice",
        x,
        b.vector(begin, "begin"),
        b.vector(end, "end"),
        b.vector(strides, "strides"),
        begin_mask=begin_mask & known,
        end_mask=end_mask & known,
        ellipsis_mask=ellipsis_mask & known,
        new_axis_mask=new_axis_mask & known,
        shrink_axis_mask=shrink_axis_mask & known,
    )


@op("Slice")
def slice_op(b: Scope, x: Value, *, begin: Any, size: Any) -> Value:
    axes = list(range(b.rank(x)))
    return b.add("SliceFusion", x, b.vector(begin, "begin"), b.vector(size, "size"), axes=axes)


@op("SliceExt", "Narrow")
def slice_axis(
    b: Scope, x: Value, *, axis: int, start: int, end: int | None = None, length: int = 0, step: int = 1
) -> Value:
    rank = b.rank(x)
    if not -rank <= axis < rank:
        raise Malformed(f"axis {axis} does not lie in its {rank} dimensions")
    if end is None:
        end = start + length if start + length != 0 or start >= 0 else 2**31 - 1
    position = axis % rank
    kept = (1 << position) - 1
    return b.add(
        "StridedSlice",
        x,
        b.constant("begin", [0] * position + [start]),
        b.constant("end", [0] * position + [min(end, 2**31 - 1)]),
        b.constant("strides", [1] * position + [step]),
        begin_mask=kept,
        end_mask=kept,
    )


@op("Pad")
def pad(b: Scope, x: Value, *, paddings: Any) -> Value:
    return _padded(b, x, paddings, "CONSTANT")


@op("MirrorPad")
def mirror_pad(b: Scope, x: Value, *, paddings: Any, mode: str = "REFLECT") -> Value:
    if mode.upper() not in ("REFLECT", "SYMMETRIC"):
        raise Refusal(f"the mode {mode} is not supported.", attribute="mode")
    return _padded(b, x, paddings, mode.upper())


@op("PadV3", "ConstantPadND", "ReflectionPad2D")
def pad_from_last(
    b: Scope,
    x: Value,
    *,
    paddings: Ints | None = None,
    padding: Ints | None = None,
    constant_value: float | None = None,
    value: float | None = None,
    mode: str = "constant",
) -> Value:
    """Amounts before and after for each axis, beginning with the last one."""
    amounts = list(paddings if paddings is not None else padding or ())
    count = len(amounts) // 2
    if len(amounts) % 2 or count > b.rank(x):
        raise Malformed(f"paddings {amounts} do not fit its {b.rank(x)} dimensions")
    pairs = [[amounts[2 * i], amounts[2 * i + 1]] for i in reversed(range(count))]
    every = [[0, 0]] * (b.rank(x) - count) + pairs
    if b.op == "ReflectionPad2D" or mode == "reflect":
        return _padded(b, x, tuple(every), "REFLECT")
    if mode != "constant":
        raise Refusal(f"the mode {mode} is not supported.", attribute="mode")
    return _padded(b, x, tuple(every), "CONSTANT", constant_value or value or 0.0)


def _padded(b: Scope, x: Value, paddings: Any, mode: str, fill: float = 0.0) -> Value:
    amounts = _amounts(b, paddings)
    if any(amount < 0 for pair in amounts for amount in pair):
        raise Refusal("negative padding is not supported.", attribute="paddings")
    return b.add("PadFusion", x, b.constant("paddings", amounts), padding_mode=mode, constant_value=fill or None)


def _amounts(b: Scope, paddings: Any) -> list[list[int]]:
    """Amounts before and after for each axis, from a sequence of pairs or a constant."""
    if isinstance(paddings, Value) and paddings.data is not None:
        paddings = paddings.data
    if isinstance(paddings, (Value, Integers)):
        raise Refusal("its amounts are only known at run time.", attribute="paddings")
    if isinstance(paddings, np.ndarray) and paddings.ndim == 2:
        paddings = tuple(paddings.tolist())
    if not isinstance(paddings, tuple) or not all(isinstance(p, (tuple, list)) and len(p) == 2 for p in paddings):
        raise Malformed("its paddings are not pairs of amounts")
    return [to_ints(b, tuple(pair)) for pair in paddings]


@op("OneHot", "OneHotExt")
def one_hot(b: Scope, x: Value, *, depth: int, on_value: Any = 1.0, off_value: Any = 0.0, axis: int = -1) -> Value:
    values = [b.tensor(v) for v in (on_value, off_value)]
    return b.add("OneHot", x, b.constant("depth", [depth]), *values, axis=axis)


@op("Meshgrid")
def meshgrid(b: Scope, tensors: list[Value], *, indexing: Indexing = "XY") -> tuple[Value, ...]:
    """Each vector spread over the grid of all; XY swaps the first two axes."""
    count = len(tensors)
    places = list(range(count))
    if indexing == "XY" and count > 1:
        places[:2] = [1, 0]
    sizes = [0] * count
    for value, place in zip(tensors, places):
        shape = b.static_shape(value)
        if len(shape) != 1:
            raise Malformed(f"an input has {len(shape)} dimensions instead of 1")
        sizes[place] = shape[0]
    spread = []
    for index, (value, place) in enumerate(zip(tensors, places)):
        ones = [size if i == place else 1 for i, size in enumerate(sizes)]
        line = b.add("Reshape", value, b.constant(f"shape_{index}", ones), tag=f"line_{index}")
        spread.append(b.add("BroadcastTo", line, tag=str(index), shape=sizes))
    return tuple(spread)


@op("ReverseV2")
def reverse(b: Scope, x: Value, *, axis: Ints) -> Value:
    return b.add("ReverseV2", x, axis=list(axis))


@op("ReverseSequence")
def reverse_sequence(b: Scope, x: Value, lengths: Value, *, seq_dim: int, batch_dim: int = 0) -> Value:
    return b.add("ReverseSequence", x, lengths, seq_dim=seq_dim, batch_dim=batch_dim)


@op("Triu", "Tril")
def triangle(b: Scope, x: Value, *, diagonal: int = 0) -> Value:
    shape = b.static_shape(x)
    if len(shape) < 2:
        raise Malformed("its input is not a matrix")
    check_size(shape)
    keep = np.triu if b.op == "Triu" else np.tril
    mask = np.broadcast_to(keep(np.ones(shape[-2:], bool), diagonal), shape)
    kind = x.dtype.numpy if x.dtype != DataType.UNKNOWN else np.float32
    return b.add("Select", b.constant("mask", mask, np.bool_), x, b.filled("zeros", shape, 0, kind))


@op("Fill", "FillV2", "FillScalar", "Zeros", "Ones")
def fill(b: Scope, *, shape: Any, value: float | None = None, dtype: DataType | None = None) -> Value:
    number = value if value is not None else float(b.op == "Ones")
    kind = dtype if dtype is not None else b.result_dtype()
    if kind == DataType.UNKNOWN:
        kind = DataType.FLOAT32
    if isinstance(shape, (Integers, Scalar)) or (
        isinstance(shape, tuple) and any(not isinstance(d, int) for d in shape)
    ):
        return b.add("Fill", b.constant("value", number, kind.numpy), b.vector(shape))
    sizes = shape if isinstance(shape, tuple) else (shape,)
    return b.filled("filled", [int(d) for d in sizes], number, kind.numpy)


@op("NonZero")
def non_zero(b: Scope, x: Value) -> Any:
    """One row per element found; the .ms operator NonZero has one column, Where of one input one row."""
    return b.add("Where", x)


@op("Unique", "Size", "Rank")
def unchanged(b: Scope, x: Value) -> Any:
    if b.op == "Unique":
        return tuple(b.add_many("Unique", x, outputs=2))
    return b.add(b.op, x)


@op("Identity", "StopGradient", "TensorMove", "Copy", "Contiguous", "Clone", "Load", "Detach")
def identity(b: Scope, x: Any) -> Any:
    return x


@op("Dropout", "DropoutExt")
def dropout(b: Scope, x: Any) -> tuple[Any, ...]:
    """Inference keeps everything."""
    return (x, Absent("the mask of a dropout"))


@op("Dropout2D", "Dropout3D")
def dropout_channels(b: Scope, x: Any) -> tuple[Any, ...]:
    return (x, Absent("the mask of a dropout"))
