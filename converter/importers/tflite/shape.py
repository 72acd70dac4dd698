"""Operators that move, select or create elements."""

from __future__ import annotations

from typing import Any

import numpy as np

from converter.importers.tflite.context import OPERATORS, Context, RefusedError, operator

# Inputs and outputs are those of the .ms operator; no attributes.
_SAME = {
    "BROADCAST_TO": "BroadcastTo",
    "EXPAND_DIMS": "ExpandDims",
    "GATHER_ND": "GatherNd",
    "RANGE": "Range",
    "RANK": "Rank",
    "SHAPE": "Shape",
    "TILE": "TileFusion",
    "TRANSPOSE": "Transpose",
    "WHERE": "Where",
    "ZEROS_LIKE": "ZerosLike",
}


def _register_same(name: str, op: str) -> None:
    def mapping(c: Context, **_: Any) -> None:
        c.emit(op, c.inputs())

    OPERATORS[name] = mapping


for _name, _op in _SAME.items():
    _register_same(_name, _op)


@operator("FILL")
def fill(c: Context) -> None:
    c.emit("Fill", [c.input(1), c.input(0)])


@operator("RESHAPE")
def reshape(c: Context, new_shape: list[int] | None = None) -> None:
    target = c.input(1) if c.has(1) else c.const("shape", new_shape or [])
    c.emit("Reshape", [c.input(0), target])


@operator("SQUEEZE")
def squeeze(c: Context, squeeze_dims: list[int] | None = None) -> None:
    c.emit("Squeeze", c.inputs(), axis=list(squeeze_dims or []))


@operator("CONCATENATION")
def concatenation(c: Context, axis: int = 0, fused_activation_function: int = 0) -> None:
    if fused_activation_function != 0:
        raise RefusedError("a fused activation is not offered here", "fused_activation_function")
    c.emit("Concat", c.inputs(), axis=axis)


@operator("PACK")
def pack(c: Context, axis: int = 0, **_: Any) -> None:
    c.emit("Stack", c.inputs(), axis=axis)


@operator("UNPACK")
def unpack(c: Context, axis: int = 0, **_: Any) -> None:
    c.emit("Unstack", c.inputs(), axis=axis)


@operator("SPLIT")
def split(c: Context, num_splits: int = 0) -> None:
    axis = int(c.array(0).reshape(-1)[0])
    extent = c.shape(1)[axis]
    if extent < 0 or num_splits < 1 or extent % num_splits:
        raise RefusedError(f"an axis of {extent} elements cannot be split into {num_splits}", "num_splits")
    c.emit("Split", [c.input(1)], axis=axis, output_num=num_splits, size_splits=[extent // num_splits] * num_splits)


@operator("SPLIT_V")
def split_v(c: Context, num_splits: int = 0) -> None:
    axis = int(c.array(2).reshape(-1)[0])
    sizes = [int(s) for s in c.array(1).reshape(-1)]
    c.emit("Split", [c.input(0)], axis=axis, output_num=len(sizes), size_splits=sizes)


@operator("SLICE")
def slice_(c: Context) -> None:
    c.emit("SliceFusion", c.inputs(), axes=list(range(len(c.shape(0)))))


@operator("STRIDED_SLICE")
def strided_slice(c: Context, offset: bool = False, **masks: int) -> None:
    if offset:
        raise RefusedError("end values relative to begin are not offered", "offset")
    c.emit("StridedSlice", c.inputs(), **masks)


@operator("GATHER")
def gather(c: Context, axis: int = 0, batch_dims: int = 0) -> None:
    if batch_dims != 0:
        raise RefusedError(f"batch_dims={batch_dims} is not offered", "batch_dims")
    c.emit("Gather", [*c.inputs(), c.const("axis", [axis])])


@operator("EMBEDDING_LOOKUP")
def embedding_lookup(c: Context) -> None:
    c.emit("Gather", [c.input(1), c.input(0), c.const("axis", [0])])


@operator("PAD")
def pad(c: Context) -> None:
    c.emit("PadFusion", c.inputs(), padding_mode="CONSTANT")


@operator("PADV2")
def pad_v2(c: Context) -> None:
    value = float(c.real(2).reshape(-1)[0])
    c.emit("PadFusion", c.inputs()[:2], padding_mode="CONSTANT", constant_value=value)


@operator("MIRROR_PAD")
def mirror_pad(c: Context, mode: int = 0) -> None:
    c.emit("PadFusion", c.inputs(), padding_mode=("REFLECT", "SYMMETRIC")[mode])


@operator("TOPK_V2")
def top_k(c: Context) -> None:
    c.emit("TopKFusion", c.inputs(), axis=-1, sorted=True, largest=1)


@operator("ONE_HOT")
def one_hot(c: Context, axis: int = -1) -> None:
    c.emit("OneHot", c.inputs(), axis=axis)


@operator("REVERSE_V2")
def reverse(c: Context) -> None:
    c.emit("ReverseV2", [c.input(0)], axis=[int(a) for a in c.array(1).reshape(-1)])


@operator("DEPTH_TO_SPACE", "SPACE_TO_DEPTH")
def space_depth(c: Context, block_size: int = 0) -> None:
    if c.operator.op == "DEPTH_TO_SPACE":
        c.emit("DepthToSpace", c.inputs(), block_size=block_size, format="NHWC", mode="DCR")
    else:
        c.emit("SpaceToDepth", c.inputs(), block_size=block_size, format="NHWC")


@operator("SPACE_TO_BATCH_ND")
def space_to_batch(c: Context) -> None:
    c.emit("SpaceToBatchND", [c.input(0)], block_shape=_ints(c, 1), paddings=c.array(2).tolist())


@operator("BATCH_TO_SPACE_ND")
def batch_to_space(c: Context) -> None:
    c.emit("BatchToSpaceND", [c.input(0)], block_shape=_ints(c, 1), crops=c.array(2).tolist())


@operator("DEQUANTIZE")
def dequantize(c: Context) -> None:
    """Half-precision weights stay half precision in the file: the engine widens them as it loads."""
    x = c.input(0)
    if x.data is not None and x.data.dtype == np.float16:
        c.alias(x)
        return
    c.emit("QuantDTypeCast", [x], src_t=int(x.dtype), dst_t=int(c.output_dtype()))


@operator("QUANTIZE")
def quantize(c: Context) -> None:
    c.emit("QuantDTypeCast", c.inputs(), src_t=int(c.input(0).dtype), dst_t=int(c.output_dtype()))


def _ints(c: Context, i: int) -> list[int]:
    return [int(v) for v in c.array(i).reshape(-1)]
