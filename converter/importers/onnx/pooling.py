"""Pooling."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from converter.importers.onnx.builder import Builder
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.spatial import Window, from_nhwc, to_nhwc, window
from converter.ir.graph import Value
from lite_runtime.types import DataType

# The attribute's name is a word of Python's own.
_GLOBAL: dict[str, Any] = {"global": True}
_LOCAL: dict[str, Any] = {"global": False}
_LOWEST = float(np.finfo(np.float32).min)


@onnx_op("MaxPool")
def max_pool(
    b: Builder, x: Value, *,
    kernel_shape: list[int], strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", ceil_mode: int = 0, storage_order: int = 0,
) -> Value:  # fmt: skip
    """Without the second output, the positions of the maxima, which ``storage_order`` is about."""
    if x.dtype in (DataType.INT8, DataType.UINT8):
        dtype = x.dtype
        x = b.cast(x, DataType.FLOAT32)
        return b.cast(_max_pool(b, x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode), dtype)
    return _max_pool(b, x, kernel_shape, strides, dilations, pads, auto_pad, ceil_mode)


def _max_pool(
    b: Builder, x: Value, kernel: list[int], strides: list[int] | None, dilations: list[int] | None,
    pads: list[int] | None, auto_pad: str, ceil_mode: int,
) -> Value:  # fmt: skip
    win, ceil = _rounded(b, x, window(b, x, kernel, strides, dilations, pads, auto_pad), ceil_mode)
    if max(win.dilations) > 1:
        return _dilated_max(b, x, win)
    return _separable(b, "MaxPoolFusion", x, win, ceil)


@onnx_op("AveragePool")
def average_pool(
    b: Builder, x: Value, *,
    kernel_shape: list[int], strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", ceil_mode: int = 0, count_include_pad: int = 0,
) -> Value:  # fmt: skip
    """The .ms operator averages over what lies inside the input; padding that counts is added before."""
    stated = window(b, x, kernel_shape, strides, dilations, pads, auto_pad)
    win, ceil = _rounded(b, x, stated, ceil_mode)
    if max(win.dilations) > 1:
        return _dilated_average(b, x, stated, win, bool(count_include_pad))
    if count_include_pad and any(map(any, stated.pads)):
        if win.same:
            raise b.refuse("padding that counts, of a length only known at run time.", attribute="count_include_pad")
        x = _padded(b, x, stated.pads, 0.0)
        rest = [(0, after - known) for (_, after), (_, known) in zip(win.pads, stated.pads)]
        win = Window(win.kernel, win.strides, win.dilations, rest)
    return _separable(b, "AvgPoolFusion", x, win, ceil)


def _rounded(b: Builder, x: Value, win: Window, ceil_mode: int) -> tuple[Window, bool]:
    """The window with the padding that makes rounding down give ONNX's number of results.

    With ``ceil_mode`` ONNX rounds up, but drops a window that begins in the padding after the input. Where a
    length is only known at run time, the second result tells the operator to round up itself.
    """
    if not ceil_mode or win.same:
        return win, False
    lengths = [-1] * win.rank if x.shape is None else x.shape[2:]
    if min(lengths) < 0:
        if max(win.dilations) > 1 or any(a + s > k for (_, a), s, k in zip(win.pads, win.strides, win.kernel)):
            raise b.refuse("rounding up a length that is only known at run time.", attribute="ceil_mode")
        return win, True
    pads = []
    for i, (length, (before, after)) in enumerate(zip(lengths, win.pads)):
        steps = -(-(length + before + after - win.reach(i)) // win.strides[i])
        if steps * win.strides[i] >= length + before:
            steps -= 1
        end = steps * win.strides[i] + win.reach(i)
        pads.append((before, max(after, end - length - before)))
    return Window(win.kernel, win.strides, win.dilations, pads), False


def _separable(b: Builder, op: str, x: Value, win: Window, ceil: bool) -> Value:
    """A pool over 1 or 2 dimensions; over 3 it is one over H and W followed by one over D."""
    if win.rank <= 2:
        rank = win.rank + 2
        return from_nhwc(b, _pool(b, op, to_nhwc(b, x, rank), win.planar(), ceil), rank)
    if win.rank > 3:
        raise b.refuse(f"it slides over {win.rank} dimensions, at most 3 are offered.")
    n, c, *lengths = b.need_dims(x, "pooling over three dimensions")
    depth, height, width = (
        (length + sum(win.pads[i]) - win.reach(i)) // win.strides[i] + 1 for i, length in enumerate(lengths)
    )
    y = b.reshape(b.transpose(x, [0, 2, 3, 4, 1]), [n * lengths[0], lengths[1], lengths[2], c])
    y = _pool(b, op, y, Window(win.kernel[1:], win.strides[1:], win.dilations[1:], win.pads[1:]), ceil)
    y = b.reshape(y, [n, lengths[0], height * width, c])
    deep = Window([win.kernel[0], 1], [win.strides[0], 1], [1, 1], [win.pads[0], (0, 0)])
    y = b.reshape(_pool(b, op, y, deep, ceil), [n, depth, height, width, c])
    return b.transpose(y, [0, 4, 1, 2, 3])


def _pool(b: Builder, op: str, x: Value, win: Window, ceil: bool) -> Value:
    return b.op(
        op,
        x,
        format="NHWC",
        kernel_size=win.kernel,
        strides=win.strides,
        pad=win.flat_pads(),
        pad_mode="SAME" if win.same else "PAD",
        round_mode="CEIL" if ceil else "FLOOR",
        activation_type="NO_ACTIVATION",
        **_LOCAL,
    )


def _padded(b: Builder, x: Value, pads: list[tuple[int, int]], value: float) -> Value:
    if not any(map(any, pads)):
        return x
    table = np.array([(0, 0), (0, 0), *pads], np.int32)
    return b.op("PadFusion", x, table, padding_mode="CONSTANT", constant_value=value)


def _taps(b: Builder, x: Value, win: Window, lengths: list[int]) -> list[Value]:
    """For each place in the window, what all windows see there. ``x`` is padded already."""
    rank = win.rank + 2
    results = [(n - win.reach(i)) // win.strides[i] + 1 for i, n in enumerate(lengths)]
    taps = []
    for place in np.ndindex(*win.kernel):
        begin = [0, 0, *(p * d for p, d in zip(place, win.dilations))]
        end = [0, 0, *(f + (r - 1) * s + 1 for f, r, s in zip(begin[2:], results, win.strides))]
        taps.append(b.op("StridedSlice", x, begin, end, [1, 1, *win.strides], begin_mask=3, end_mask=3))
    if len(taps) > 256:
        raise b.refuse(f"a dilated window of {len(taps)} elements over {rank - 2} dimensions.", attribute="dilations")
    return taps


def _dilated_max(b: Builder, x: Value, win: Window) -> Value:
    """The larger of what two places of the window see, for all places in turn."""
    lengths = [n + sum(p) for n, p in zip(b.need_dims(x, "a dilated window")[2:], win.pads)]
    first, *rest = _taps(b, _padded(b, x, win.pads, _LOWEST), win, lengths)
    for tap in rest:
        first = b.op("Maximum", first, tap)
    return first


def _dilated_average(b: Builder, x: Value, stated: Window, win: Window, include_pad: bool) -> Value:
    """The sum over the places of the window, times the reciprocal of how many of them count."""
    dims = b.need_dims(x, "a dilated window")[2:]
    lengths = [n + sum(p) for n, p in zip(dims, win.pads)]
    first, *rest = _taps(b, _padded(b, x, win.pads, 0.0), win, lengths)
    for tap in rest:
        first = b.op("AddFusion", first, tap)
    counts = np.ones((1, 1), np.float32)
    for i, length in enumerate(dims):
        counted = np.zeros(lengths[i], np.float32)
        before, after = stated.pads[i] if include_pad else (0, 0)
        start = win.pads[i][0]
        counted[start - before : start + length + after] = 1
        results = (lengths[i] - win.reach(i)) // win.strides[i] + 1
        seen = [
            sum(counted[r * win.strides[i] + p * win.dilations[i]] for p in range(win.kernel[i]))
            for r in range(results)
        ]
        counts = counts[..., None] * np.array(seen, np.float32)
    return b.op("MulFusion", first, (1 / np.maximum(counts, 1)).astype(np.float32))


@onnx_op("GlobalAveragePool")
def global_average_pool(b: Builder, x: Value) -> Value:
    return _global(b, x, "AvgPoolFusion", "ReduceMean")


@onnx_op("GlobalMaxPool")
def global_max_pool(b: Builder, x: Value) -> Value:
    return _global(b, x, "MaxPoolFusion", "ReduceMax")


def _global(b: Builder, x: Value, op: str, mode: str) -> Value:
    rank = b.rank(x)
    if rank != 4:
        return b.reduce(mode, x, list(range(2, rank)))
    # MindSpore Lite wants a window and steps even where the window is all of the image.
    y = b.op(
        op,
        to_nhwc(b, x, 4),
        format="NHWC",
        kernel_size=[1, 1],
        strides=[1, 1],
        pad=[0, 0, 0, 0],
        pad_mode="VALID",
        activation_type="NO_ACTIVATION",
        **_GLOBAL,
    )
    return from_nhwc(b, y, 4)


@onnx_op("GlobalLpPool")
def global_lp_pool(b: Builder, x: Value, *, p: int = 2) -> Value:
    total = b.reduce("ReduceSum", _power(b, x, p), list(range(2, b.rank(x))))
    return _root(b, total, p)


@onnx_op("LpPool")
def lp_pool(
    b: Builder, x: Value, *,
    kernel_shape: list[int], strides: list[int] | None = None, dilations: list[int] | None = None,
    pads: list[int] | None = None, auto_pad: str = "NOTSET", ceil_mode: int = 0, p: int = 2,
) -> Value:  # fmt: skip
    """The root of the window's size times the average of the powers, zeros of the padding included."""
    win, ceil = _rounded(b, x, window(b, x, kernel_shape, strides, dilations, pads, auto_pad), ceil_mode)
    if ceil or win.same:
        raise b.refuse("a length that is only known at run time.", suggestion="Fix the input shapes with --inputShape.")
    powers = _padded(b, _power(b, x, p), win.pads, 0.0)
    bare = Window(win.kernel, win.strides, win.dilations, [(0, 0)] * win.rank)
    if max(win.dilations) == 1:
        total = b.op("MulFusion", _separable(b, "AvgPoolFusion", powers, bare, False), float(math.prod(win.kernel)))
        return _root(b, total, p)
    lengths = [n + sum(pad) for n, pad in zip(b.need_dims(x, "a dilated window")[2:], win.pads)]
    first, *rest = _taps(b, powers, bare, lengths)
    for tap in rest:
        first = b.op("AddFusion", first, tap)
    return _root(b, first, p)


def _power(b: Builder, x: Value, p: int) -> Value:
    if p < 1:
        raise b.refuse(f"{p} is not a norm.", attribute="p")
    return b.op("Square", x) if p == 2 else b.op("Abs", x) if p == 1 else b.op("PowFusion", b.op("Abs", x), float(p))


def _root(b: Builder, x: Value, p: int) -> Value:
    return b.op("Sqrt", x) if p == 2 else x if p == 1 else b.op("PowFusion", x, 1.0 / p)
