"""Convolutions, pooling, matrix products and resizing."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np

from converter.importers.tflite.context import Context, RefusedError, operator
from converter.ir.graph import Value

_PAD_MODE = ("SAME", "VALID")


def _padding(
    padding: int, extents: tuple[int, ...], kernel: list[int], stride: list[int], dilation: list[int]
) -> list[int]:
    """Pads (top, bottom, left, right) of a convolution or pooling; zeros where an extent is unknown."""
    pads = []
    for extent, k, s, d in zip(extents, kernel, stride, dilation):
        total = 0
        if _PAD_MODE[padding] == "SAME" and extent > 0:
            total = max(0, (-(-extent // s) - 1) * s + (k - 1) * d + 1 - extent)
        pads += [total // 2, total - total // 2]
    return pads


def _convolution(
    c: Context, weight: Value, group: int, padding: int, stride: list[int], dilation: list[int], activation: int
) -> None:
    out_channel, kh, kw, _ = weight.shape or ()
    inputs = [c.input(0), weight, *c.inputs()[2:]]
    c.emit_activated(
        "Conv2DFusion",
        inputs,
        activation,
        format="NHWC",
        kernel_size=[kh, kw],
        stride=stride,
        dilation=dilation,
        pad_mode=_PAD_MODE[padding],
        pad_list=_padding(padding, c.shape(0)[1:3], [kh, kw], stride, dilation),
        group=group,
        in_channel=c.shape(0)[3],
        out_channel=out_channel,
    )


@operator("CONV_2D")
def conv_2d(c: Context, padding: int = 0, stride_w: int = 0, stride_h: int = 0, fused_activation_function: int = 0,
            dilation_w_factor: int = 1, dilation_h_factor: int = 1, **_: Any) -> None:  # fmt: skip
    in_channel, per_group = c.shape(0)[3], c.shape(1)[3]
    if per_group < 1 or in_channel % per_group:
        raise RefusedError(f"{in_channel} input channels do not divide into groups of {per_group}")
    _convolution(c, c.input(1), in_channel // per_group, padding, [stride_h, stride_w],
                 [dilation_h_factor, dilation_w_factor], fused_activation_function)  # fmt: skip


@operator("DEPTHWISE_CONV_2D")
def depthwise_conv_2d(c: Context, padding: int = 0, stride_w: int = 0, stride_h: int = 0, depth_multiplier: int = 0,
                      fused_activation_function: int = 0, dilation_w_factor: int = 1, dilation_h_factor: int = 1,
                      ) -> None:  # fmt: skip
    """Weights [1, kh, kw, channels * multiplier] become [channels * multiplier, kh, kw, 1]."""
    weight = c.array(1)
    moved = c.const("weight", np.ascontiguousarray(weight.transpose(3, 1, 2, 0)), weight.dtype)
    moved.name, moved.quant = c.input(1).name, c.input(1).quant
    _convolution(c, moved, c.shape(0)[3], padding, [stride_h, stride_w],
                 [dilation_h_factor, dilation_w_factor], fused_activation_function)  # fmt: skip


def _transposed(c: Context, x: int, weight: int, bias: int, padding: int, stride: list[int], activation: int) -> None:
    """Weights [out, kh, kw, in] become [in, kh, kw, out]. The padding is what makes the stated output size."""
    w = c.array(weight)
    out_channel, kh, kw, in_channel = w.shape
    pads, extra = [], []
    for axis, (k, s) in enumerate(zip((kh, kw), stride), start=1):
        full = (c.shape(x)[axis] - 1) * s + k
        total = max(0, full - c.output_shape()[axis])
        if c.shape(x)[axis] < 0 or c.output_shape()[axis] < 0:
            raise RefusedError("a transposed convolution of dynamic size is not offered")
        pads += [total // 2, total - total // 2]
        extra.append(c.output_shape()[axis] - full + total)
    moved = c.const("weight", np.ascontiguousarray(w.transpose(3, 1, 2, 0)), w.dtype)
    moved.quant = c.input(weight).quant
    inputs = [c.input(x), moved]
    if c.has(bias):
        inputs.append(c.input(bias))
    c.emit_activated("Conv2dTransposeFusion", inputs, activation, format="NHWC", kernel_size=[kh, kw], stride=stride,
                     dilation=[1, 1], pad_mode="PAD", pad_list=pads, group=1, in_channel=in_channel,
                     out_channel=out_channel, output_paddings=extra)  # fmt: skip


@operator("TRANSPOSE_CONV")
def transpose_conv(c: Context, padding: int = 0, stride_w: int = 0, stride_h: int = 0,
                   fused_activation_function: int = 0, **_: Any) -> None:  # fmt: skip
    _transposed(c, 2, 1, 3, padding, [stride_h, stride_w], fused_activation_function)


@operator("Convolution2DTransposeBias")
def mediapipe_transpose_conv(c: Context) -> None:
    """MediaPipe's custom operator: inputs x, weights, bias; options are padding, stride_w, stride_h (int32)."""
    if len(c.operator.custom) < 12:
        raise RefusedError("its options are shorter than 12 bytes")
    padding, stride_w, stride_h = struct.unpack_from("<3i", c.operator.custom)
    # TfLitePadding counts from 1 (same, valid).
    _transposed(c, 0, 1, 2, padding - 1, [stride_h, stride_w], 0)


@operator("MAX_POOL_2D", "AVERAGE_POOL_2D")
def pool_2d(c: Context, padding: int = 0, stride_w: int = 0, stride_h: int = 0, filter_width: int = 0,
            filter_height: int = 0, fused_activation_function: int = 0) -> None:  # fmt: skip
    op = "MaxPoolFusion" if c.operator.op == "MAX_POOL_2D" else "AvgPoolFusion"
    kernel, stride = [filter_height, filter_width], [stride_h, stride_w]
    pads = _padding(padding, c.shape(0)[1:3], kernel, stride, [1, 1])
    c.emit_activated(op, c.inputs(), fused_activation_function, kernel_size=kernel, strides=stride, pad=pads,
                     pad_mode=_PAD_MODE[padding], format="NHWC")  # fmt: skip


@operator("FULLY_CONNECTED")
def fully_connected(c: Context, fused_activation_function: int = 0, weights_format: int = 0,
                    keep_num_dims: bool = False, **_: Any) -> None:  # fmt: skip
    if weights_format != 0:
        raise RefusedError("shuffled weights are not offered", "weights_format")
    x, depth = c.input(0), c.shape(1)[1]
    if not keep_num_dims and (len(c.shape(0)) != 2 or c.shape(0)[1] != depth):
        x = c.add("Reshape", [x, c.const("shape", [-1, depth])])
    c.emit_activated("MatMulFusion", [x, *c.inputs()[1:]], fused_activation_function, transpose_b=True)


@operator("BATCH_MATMUL")
def batch_matmul(c: Context, adj_x: bool = False, adj_y: bool = False, **_: Any) -> None:
    c.emit("MatMulFusion", c.inputs(), transpose_a=bool(adj_x), transpose_b=bool(adj_y))


@operator("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")
def resize(c: Context, align_corners: bool = False, half_pixel_centers: bool = False) -> None:
    height, width = (int(v) for v in c.array(1).reshape(-1))
    mode = "ALIGN_CORNERS" if align_corners else "HALF_PIXEL" if half_pixel_centers else "ASYMMETRIC"
    method = "LINEAR" if c.operator.op == "RESIZE_BILINEAR" else "NEAREST"
    # TFLite rounds halves up where it centres or aligns pixels, and down to the left pixel elsewhere.
    nearest = "FLOOR" if mode == "ASYMMETRIC" else "ROUND_HALF_UP"
    c.emit("Resize", [c.input(0)], format="NHWC", method=method, new_height=height, new_width=width,
           coordinate_transform_mode=mode, nearest_mode=nearest)  # fmt: skip
