"""Pad."""

from __future__ import annotations

import numpy as np

from converter.importers.onnx.builder import INT32_MAX, Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.ir.graph import Value
from lite_runtime.types import DataType

_MODES = {"constant": "CONSTANT", "reflect": "REFLECT"}


@onnx_op("Pad")
def pad(
    b: Builder, x: Value, pads: Value, value: MaybeValue = None, axes: MaybeValue = None, *, mode: str = "constant"
) -> Value:
    rank = b.rank(x)
    if mode not in ("constant", "reflect", "edge", "wrap"):
        raise b.refuse(f"'{mode}' is not one of ONNX's modes.", attribute="mode")
    if pads.data is None or (axes is not None and axes.data is None):
        return _computed(b, x, rank, _computed_table(b, rank, pads, axes), value, mode)
    along = list(range(rank)) if axes is None else [b.axis(a, rank) for a in b.ints(axes, "the axes")]
    flat = b.ints(pads, "the padding")
    if len(flat) != 2 * len(along):
        raise b.refuse(f"{len(flat)} pads do not fit {len(along)} axes. The model is invalid: check the exporter.")
    table = [[0, 0] for _ in range(rank)]
    for i, axis in enumerate(along):
        table[axis] = [flat[i], flat[i + len(along)]]
    return _known(b, x, table, value, mode)


def _known(b: Builder, x: Value, table: list[list[int]], value: MaybeValue, mode: str) -> Value:
    """x with ``table[axis] = [before, after]`` elements more; negative counts crop."""
    lengths = [-1] * len(table) if x.shape is None else x.shape
    if any(0 <= length < _least_length(row, mode) for length, row in zip(lengths, table)):
        raise b.refuse(f"it crops more than there is of shape {list(lengths)}.", attribute="pads")
    if any(min(row) < 0 for row in table):
        added = [[max(0, n) for n in row] for row in table]
        if mode == "constant":  # filling first, as one end may crop what the other has filled
            return _crop(b, _known(b, x, added, value, mode), table)
        x = _crop(b, x, table)
        lengths = [n if n < 0 else n + min(0, before) + min(0, after) for n, (before, after) in zip(lengths, table)]
        table = added
    if not any(map(any, table)):
        return x
    if mode in _MODES:
        return _native(b, x, b.const(np.array(table, np.int32)), value, mode)
    if mode == "wrap" and any(length < 0 for length, row in zip(lengths, table) if any(row)):
        return _computed(b, x, len(table), b.const(np.array(table, np.int32)), value, mode)
    for axis, (before, after) in enumerate(table):
        if not before and not after:
            continue
        if mode == "edge":
            x = _edged(b, x, len(table), axis, before, after)
        elif lengths[axis] == 0:
            raise b.refuse(f"there is nothing to repeat along axis {axis}.", attribute="pads")
        else:
            places = np.arange(-before, lengths[axis] + after) % lengths[axis]
            x = b.gather(x, places.astype(np.int32), axis)
    return x


def _least_length(row: list[int], mode: str) -> int:
    """The least length that a row of the table, ``[before, after]``, can be applied to."""
    before, after = row
    return max(0, -before - after) if mode == "constant" else max(0, -before) + max(0, -after)


def _native(b: Builder, x: Value, table: Value, value: MaybeValue, mode: str) -> Value:
    if value is None or value.data is not None or mode != "constant":
        fill = b.number(value, 0.0, "the padding value") if mode == "constant" else 0.0
        return b.op("PadFusion", x, table, padding_mode=_MODES[mode], constant_value=fill)
    # The value is computed at run time: it goes wherever a padded tensor of ones is zero.
    ones = b.op("OnesLike", x)
    inside, padded = (b.op("PadFusion", v, table, padding_mode="CONSTANT", constant_value=0.0) for v in (ones, x))
    return b.where(b.op("NotEqual", inside, 0), padded, value)


def _crop(b: Builder, x: Value, table: list[list[int]]) -> Value:
    begin = [max(0, -before) for before, _ in table]
    end = [after if after < 0 else INT32_MAX for _, after in table]
    mask = sum(1 << i for i, e in enumerate(end) if e == INT32_MAX)
    return b.op("StridedSlice", x, begin, end, [1] * len(table), begin_mask=0, end_mask=mask)


def _edged(b: Builder, x: Value, rank: int, axis: int, before: int, after: int) -> Value:
    """Copies of the first and last elements joined to x along one axis."""
    first, last = b.slice(x, rank, axis, 0, 1), b.slice(x, rank, axis, -1, INT32_MAX)
    return b.concat([first] * before + [x] + [last] * after, axis)


def _computed_table(b: Builder, rank: int, pads: Value, axes: MaybeValue) -> Value:
    """The counts [rank, 2] known at run time; they must not be negative."""
    rows = b.transpose(b.reshape(b.int32(pads), [2, -1]), [1, 0])
    if axes is None:
        return rows
    axis = b.int32(axes)
    axis = b.where(b.op("Less", axis, 0), b.op("AddFusion", axis, rank), axis)
    return b.op("ScatterNdUpdate", b.const(np.zeros((rank, 2), np.int32)), b.reshape(axis, [-1, 1]), rows)


def _computed(b: Builder, x: Value, rank: int, table: Value, value: MaybeValue, mode: str) -> Value:
    if mode in _MODES:
        return _native(b, x, table, value, mode)
    # Which element stands at each place: positions from -before to length + after, brought into the tensor.
    flat = b.reshape(table, [-1])
    lengths = b.shape_of(x)
    for axis in range(rank):
        before, after = (b.gather(flat, np.array(2 * axis + i, np.int32)) for i in (0, 1))
        length = b.gather(lengths, np.array(axis, np.int32))
        one = b.const(np.array(1, np.int32))
        places = b.op("Range", b.op("Neg", before), b.op("AddFusion", length, after), one, dtype=DataType.INT32)
        if mode == "edge":
            last = b.op("SubFusion", length, 1)
            places = b.op("Minimum", b.op("Maximum", places, 0), last)
        else:
            places = b.op("FloorMod", places, length)
        x = b.gather(x, places, axis)
    return x
