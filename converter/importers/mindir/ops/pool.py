"""Pooling. Kernels slide over [N, H, W, C]; the primitives' inputs are [N, C, H, W]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.ops.linear import channels_first_only, pair
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Absent, Ints, Layout, PadMode, Scope, check_size
from converter.ir.graph import Value

_INDICES = Absent("the positions of the maxima")


@op("MaxPool", "AvgPool")
def pool(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints = (1,),
    pad_mode: PadMode = "VALID",
    format: Layout = "NCHW",
) -> Value:
    channels_first_only(format)
    y = _pool(b, f"{b.op}Fusion", b.channels_last(x), kernel_size, strides, pad_mode)
    return b.channels_first(y, 4)


@op("MaxPoolWithArgmax")
def max_pool_with_argmax(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints = (1,),
    pad_mode: PadMode = "VALID",
    format: Layout = "NCHW",
) -> tuple[Any, ...]:
    channels_first_only(format)
    y = _pool(b, "MaxPoolFusion", b.channels_last(x), kernel_size, strides, pad_mode)
    return (b.channels_first(y, 4), _INDICES)


@op("MaxPoolWithIndices", "MaxPoolWithMask", "MaxPoolWithArgmaxV2")
def max_pool_with_indices(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints | None = None,
    pads: Ints = (0,),
    dilation: Ints = (1,),
    ceil_mode: bool = False,
) -> tuple[Any, ...]:
    _no_dilation(dilation)
    height, width = pair("pads", pads)
    y = _padded_pool(
        b, "MaxPoolFusion", b.channels_last(x), kernel_size, strides or kernel_size, (height, width), ceil_mode
    )
    return (b.channels_first(y, 4), _INDICES)


@op("AvgPool2D")
def avg_pool_2d(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints | None = None,
    padding: Ints = (0,),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Value:
    height, width = pair("padding", padding)
    last = b.channels_last(x)
    y = _average(
        b, last, kernel_size, strides or kernel_size, (height, width), ceil_mode, count_include_pad, divisor_override
    )
    return b.channels_first(y, 4)


@op("MaxPool3DWithArgmax")
def max_pool_3d(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints,
    pads: Ints = (0, 0, 0),
    dilation: Ints = (1, 1, 1),
    ceil_mode: bool = False,
    format: Layout = "NCDHW",
) -> tuple[Any, ...]:
    """Two-dimensional pooling with padding is written this way, with a depth of 1."""
    channels_first_only(format)
    _no_dilation(dilation)
    flat = _without_depth(b, x, kernel_size, strides, pads[:1])
    y = _padded_pool(b, "MaxPoolFusion", flat, kernel_size[-2:], strides[-2:], tuple(pads[-2:]), ceil_mode)
    return (_with_depth(b, y), _INDICES)


@op("AvgPool3D")
def avg_pool_3d(
    b: Scope,
    x: Value,
    *,
    kernel_size: Ints,
    strides: Ints,
    pad_list: Ints = (0, 0, 0, 0, 0, 0),
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int = 0,
    format: Layout = "NCDHW",
) -> Value:
    """Two-dimensional pooling with padding is written this way, with a depth of 1."""
    channels_first_only(format)
    front, back, top, bottom, left, right = pad_list
    if (top, left) != (bottom, right):
        raise Refusal(f"its padding {list(pad_list)} is not symmetric.", attribute="pad_list")
    flat = _without_depth(b, x, kernel_size[-3:], strides[-3:], (front, back))
    window = (kernel_size[-2:], strides[-2:], (top, left))
    return _with_depth(b, _average(b, flat, *window, ceil_mode, count_include_pad, divisor_override))


def _without_depth(b: Scope, x: Value, kernel: Sequence[int], strides: Sequence[int], pads: Sequence[int]) -> Value:
    """[N, C, 1, H, W] -> [N, H, W, C]."""
    if x.shape is None or len(x.shape) != 5 or x.shape[2] != 1 or kernel[0] != 1 or strides[0] != 1 or any(pads):
        raise Refusal(
            "three-dimensional pooling is not part of the .ms format.",
            suggestion="Only a depth of 1 can be converted: use two-dimensional pooling.",
        )
    flat = b.add("Squeeze", x, tag="flat", axis=[2])
    flat.dtype, flat.shape = x.dtype, (*x.shape[:2], *x.shape[3:])
    return b.channels_last(flat)


def _with_depth(b: Scope, y: Value) -> Value:
    return b.add("ExpandDims", b.channels_first(y, 4), b.constant("axis", [2]), tag="deep")


def _no_dilation(dilation: Sequence[int]) -> None:
    if any(d != 1 for d in dilation):
        raise Refusal("dilated pooling is not part of the .ms format.", attribute="dilation")


def _pool(
    b: Scope, target: str, last: Value, kernel: Sequence[int], strides: Sequence[int], mode: str, **extra: Any
) -> Value:
    """A pooling node for an input that is channels last already."""
    return b.add(
        target,
        last,
        kernel_size=pair("kernel_size", kernel),
        strides=pair("strides", strides),
        pad_mode=mode,
        format="NHWC",
        **extra,
    )


def _padded_pool(
    b: Scope,
    target: str,
    last: Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: tuple[int, ...],
    ceil_mode: bool,
) -> Value:
    height, width = pads
    rounding = {"round_mode": "CEIL"} if ceil_mode else {}
    return _pool(b, target, last, kernel, strides, "PAD", pad=[height, height, width, width], **rounding)


def _average(
    b: Scope,
    last: Value,
    kernel: Sequence[int],
    strides: Sequence[int],
    pads: tuple[int, int],
    ceil_mode: bool,
    include_pad: bool,
    divisor: int | None,
) -> Value:
    """Average pooling of .ms divides by the elements inside the image; counting the padding needs a Pad node."""
    height, width = pair("kernel_size", kernel)
    if any(pads) and include_pad:
        if ceil_mode:
            raise Refusal("rounding up together with counted padding is not supported.", attribute="ceil_mode")
        amounts = [[0, 0], [pads[0]] * 2, [pads[1]] * 2, [0, 0]]
        last = b.add("PadFusion", last, b.constant("paddings", amounts), tag="padded", padding_mode="CONSTANT")
        pads = (0, 0)
    if divisor and (any(pads) or ceil_mode):
        raise Refusal("a divisor together with padding is not supported.", attribute="divisor_override")
    y = _padded_pool(b, "AvgPoolFusion", last, kernel, strides, pads, ceil_mode)
    if not divisor or divisor == height * width:
        return y
    return b.add("MulFusion", y, b.like(last, "divisor", height * width / divisor), tag="scaled")


@op("AdaptiveMaxPool2D")
def adaptive_max_pool(b: Scope, x: Value, *, output_size: Any) -> tuple[Any, ...]:
    inputs, wanted = _adaptive_sizes(b, x, output_size)
    if len(b.static_shape(x)) != 4 or any(size % out for size, out in zip(inputs, wanted)):
        raise Refusal(f"its windows have different sizes: {inputs} to {wanted}.", attribute="output_size")
    kernel = [size // out for size, out in zip(inputs, wanted)]
    y = _pool(b, "MaxPoolFusion", b.channels_last(x), kernel, kernel, "VALID")
    return (b.channels_first(y, 4), _INDICES)


def _adaptive_sizes(b: Scope, x: Value, output_size: Any) -> tuple[list[int], list[int]]:
    """Heights and widths of input and result; None keeps the input's."""
    sizes = output_size if isinstance(output_size, tuple) else (output_size, output_size)
    inputs = list(b.static_shape(x)[-2:])
    if len(sizes) != 2 or len(inputs) != 2:
        raise Malformed(f"its output_size {output_size} is not a height and a width")
    wanted = [size if isinstance(size, int) and size > 0 else inputs[axis] for axis, size in enumerate(sizes)]
    return inputs, wanted


@op("AdaptiveAvgPool2D", "AdaptiveAvgPool2DExt")
def adaptive_avg_pool(b: Scope, x: Value, *, output_size: Any) -> Value:
    if output_size in (1, (1, 1)):
        return b.add("ReduceFusion", x, b.constant("axes", [-2, -1]), mode="ReduceMean", keep_dims=True, coeff=1.0)
    inputs, wanted = _adaptive_sizes(b, x, output_size)
    if len(b.static_shape(x)) == 4 and all(size % out == 0 for size, out in zip(inputs, wanted)):
        kernel = [size // out for size, out in zip(inputs, wanted)]
        y = _pool(b, "AvgPoolFusion", b.channels_last(x), kernel, kernel, "VALID")
        return b.channels_first(y, 4)
    rank = b.rank(x)
    swap = [*range(rank - 2), rank - 1, rank - 2]
    columns = b.add("MatMulFusion", x, b.constant("columns", _bins(inputs[1], wanted[1]), np.float32), tag="rows")
    turned = b.add("Transpose", columns, b.constant("swap", swap), tag="turned")
    rows = b.add("MatMulFusion", turned, b.constant("rows", _bins(inputs[0], wanted[0]), np.float32), tag="columns")
    return b.add("Transpose", rows, b.constant("back", swap))


def _bins(size: int, count: int) -> np.ndarray:
    """[size, count]: column i averages the elements from floor(i size / count) to ceil((i + 1) size / count)."""
    check_size((size, count))
    matrix = np.zeros((size, count), np.float32)
    for index in range(count):
        start, end = index * size // count, -(-(index + 1) * size // count)
        matrix[start:end, index] = 1 / (end - start)
    return matrix
