"""Convolutions and matrix products. Convolution weights arrive channels first and are turned to channels last."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.registry import op
from converter.importers.mindir.scope import Ints, Layout, PadMode, Scope
from converter.ir.graph import Value

_CHANNELS_LAST = (0, 2, 3, 1)


@op("Conv2D")
def conv2d(
    b: Scope,
    x: Value,
    weight: Value,
    *,
    kernel_size: Ints,
    stride: Ints = (1,),
    dilation: Ints = (1,),
    pad_mode: PadMode = "VALID",
    pad: Ints = (0,),
    pad_list: Ints | None = None,
    group: int = 1,
    format: Layout = "NCHW",
) -> Value:
    """x [N, C, H, W], weight [out, in / group, kh, kw]."""
    channels_first_only(format)
    pads = _pads(pad_mode, pad_list, pad)
    return convolve(b, x, weight, None, kernel_size, stride, dilation, pad_mode, pads, group)


@op("Conv2DExt", "Conv2DPadding", "Convolution", "ConvolutionStr")
def conv2d_ext(
    b: Scope,
    x: Value,
    weight: Value,
    bias: Value | None = None,
    *,
    stride: Ints = (1,),
    padding: Any = 0,
    dilation: Ints = (1,),
    transposed: bool = False,
    groups: int = 1,
) -> Value:
    """The functional convolution: ``padding`` is a number, (h, w), or 0 for VALID and 1 for SAME as text or enum."""
    if transposed:
        raise Refusal("transposed convolutions are not supported here.", attribute="transposed")
    kernel = list(_weight_shape(b, weight)[2:])
    if b.op in ("Conv2DPadding", "ConvolutionStr"):
        same = padding in (1, "same")
        mode, pads = ("SAME", None) if same else ("VALID", [0, 0, 0, 0])
    else:
        height, width = pair("padding", padding if isinstance(padding, tuple) else (padding,))
        mode, pads = "PAD", [height, height, width, width]
    return convolve(b, x, weight, bias, kernel, stride, dilation, mode, pads, groups)


def convolve(
    b: Scope,
    x: Value,
    weight: Value,
    bias: Value | None,
    kernel: Sequence[int],
    stride: Sequence[int],
    dilation: Sequence[int],
    pad_mode: str,
    pads: list[int] | None,
    group: int,
) -> Value:
    out_channel, per_group = _weight_shape(b, weight)[:2]
    if group < 1 or out_channel % group:
        raise Malformed(f"group = {group} does not divide its {out_channel} output channels")
    last = b.transpose(weight, _CHANNELS_LAST, "weight")
    y = b.add(
        "Conv2DFusion",
        *([b.channels_last(x), last] if bias is None else [b.channels_last(x), last, bias]),
        format="NHWC",
        kernel_size=pair("kernel_size", kernel),
        stride=pair("stride", stride),
        dilation=pair("dilation", dilation),
        pad_mode=pad_mode,
        mode=1,
        group=group,
        in_channel=per_group * group,
        out_channel=out_channel,
        pad_list=pads,
    )
    return b.channels_first(y, 4)


@op("Conv2DTranspose", "Conv2DBackpropInput")
def conv2d_transpose(
    b: Scope,
    x: Value,
    weight: Value,
    *,
    input_size: Any = None,
    kernel_size: Ints,
    stride: Ints = (1,),
    dilation: Ints = (1,),
    pad_mode: PadMode = "VALID",
    pad: Ints = (0,),
    pad_list: Ints | None = None,
    group: int = 1,
    format: Layout = "NCHW",
) -> Value:
    """x [N, C, H, W], weight [in, out / group, kh, kw]; ``input_size`` is the shape of the result."""
    channels_first_only(format)
    in_channel, per_group = _weight_shape(b, weight)[:2]
    pads = _pads(pad_mode, pad_list, pad) or [0, 0, 0, 0]
    window = {
        "kernel_size": pair("kernel_size", kernel_size),
        "stride": pair("stride", stride),
        "dilation": pair("dilation", dilation),
    }
    y = b.add(
        "Conv2dTransposeFusion",
        b.channels_last(x),
        b.transpose(weight, _CHANNELS_LAST, "weight"),
        format="NHWC",
        kernel_size=window["kernel_size"],
        stride=window["stride"],
        dilation=window["dilation"],
        pad_mode=pad_mode,
        pad=_four(pad),
        pad_list=pads,
        mode=1,
        group=group,
        in_channel=in_channel,
        out_channel=per_group * group,
        output_paddings=_output_paddings(b, x, window, pad_mode, pads),
    )
    return b.channels_first(y, 4)


def _output_paddings(
    b: Scope, x: Value, window: dict[str, list[int]], pad_mode: str, pads: list[int]
) -> list[int] | None:
    """What the wanted size exceeds the size that follows from stride and padding; nothing when it does not."""
    wanted = b.result_shape()
    if pad_mode == "SAME" or wanted is None or x.shape is None or len(wanted) != 4 or len(x.shape) != 4:
        return None
    extra = []
    for axis in range(2):
        size, result = x.shape[2 + axis], wanted[2 + axis]
        if size < 0 or result < 0:
            return None
        span = window["dilation"][axis] * (window["kernel_size"][axis] - 1) + 1
        natural = (size - 1) * window["stride"][axis] + span - pads[2 * axis] - pads[2 * axis + 1]
        extra.append(result - natural)
    if min(extra) < 0:
        raise Refusal(
            f"its result of {list(wanted[2:])} is smaller than its stride and padding give.", attribute="input_size"
        )
    return extra if any(extra) else None


@op("MatMul", "BatchMatMul")
def matmul(b: Scope, x: Value, y: Value, *, transpose_a: bool = False, transpose_b: bool = False) -> Value:
    return b.add("MatMulFusion", x, y, transpose_a=transpose_a, transpose_b=transpose_b)


@op("MatMulExt")
def matmul_ext(b: Scope, x: Value, y: Value) -> Value:
    """NumPy's matmul: a vector is a row on the left, a column on the right."""
    row, column = b.rank(x) == 1, b.rank(y) == 1
    if not row and not column:
        return b.add("MatMulFusion", x, y)
    if row:
        x = b.add("Reshape", x, b.constant("row_shape", [1, -1]), tag="row")
    if column:
        y = b.add("Reshape", y, b.constant("column_shape", [-1, 1]), tag="column")
    product = b.add("MatMulFusion", x, y, tag="matrix")
    return b.add("Squeeze", product, axis=[axis for axis, vector in ((-2, row), (-1, column)) if vector])


@op("Dense")
def dense(b: Scope, x: Value, weight: Value, bias: Value | None = None) -> Value:
    product = b.add("MatMulFusion", x, weight, tag="" if bias is None else "matmul", transpose_b=True)
    return product if bias is None else b.add("AddFusion", product, bias)


def channels_first_only(format: str) -> None:
    if format not in ("NCHW", "NCDHW"):
        raise Refusal(f"the layout {format} is not supported.", attribute="format", suggestion="Export with NCHW.")


def pair(name: str, values: Sequence[int]) -> list[int]:
    """Height and width of a window attribute given as one number, (h, w) or (n, c, h, w)."""
    numbers = [int(v) for v in values]
    if len(numbers) == 1:
        return numbers * 2
    if len(numbers) in (2, 4):
        return numbers[-2:]
    raise Malformed(f"its attribute '{name}' has {len(numbers)} values: 1, 2 or 4 are expected")


def _four(pad: Sequence[int]) -> list[int]:
    values = list(pad)
    return values * 4 if len(values) == 1 else values


def _pads(pad_mode: str, resolved: Sequence[int] | None, user: Sequence[int]) -> list[int] | None:
    """Top, bottom, left, right; None where they depend on the size of an input that is not known yet."""
    if resolved is not None and len(resolved) == 4 and min(resolved) >= 0:
        return list(resolved)
    if pad_mode == "SAME":
        return None
    pads = _four(user)
    if pad_mode not in ("PAD", "VALID") or len(pads) != 4:
        raise Malformed(f"its padding {pads} in mode {pad_mode} is not top, bottom, left, right")
    return pads if pad_mode == "PAD" else [0, 0, 0, 0]


def _weight_shape(b: Scope, weight: Value) -> tuple[int, ...]:
    if weight.shape is None or min(weight.shape, default=0) < 1:
        raise Refusal("the shape of its weight is not known.")
    if len(weight.shape) != 4:
        raise Malformed(f"its weight has {len(weight.shape)} dimensions instead of 4")
    return weight.shape
