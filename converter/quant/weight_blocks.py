"""4-bit weights in blocks of 32, 64 or 128 values of a row with a float16 scale each, for products and tables.

They are read by Custom nodes (docs/format.md): "MatMulNBits" in place of MatMulFusion and FullConnection, "GatherNBits"
in place of Gather.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converter.ir.graph import Node, Value
from converter.quant.ranges import Grid, Rounding, limits
from lite_runtime.types import DataType

BITS = 4
MATMUL, GATHER = "MatMulNBits", "GatherNBits"
_LOW, _HIGH = limits(BITS)
_GREATEST_SCALE = float(np.finfo(np.float16).max)
# Below this, float16 has less than 6 bits of a number. Blocks of so small values are rounded with this scale instead,
# which does not matter beside values of _LEAST_VALUE.
_LEAST_SCALE = 100 * float(np.finfo(np.float16).smallest_subnormal)
_LEAST_VALUE = 8 * 16 * _LEAST_SCALE
# Ranges tried for the least squared error, as parts of the whole.
_PARTS = np.linspace(1.0, 0.64, 10)
_ROWS = 1 << 16


@dataclass(frozen=True)
class Blocks:
    """packed uint8 [rows, bytes], scales float16 [rows, blocks], zero points uint8 [rows, blocks] or None."""

    packed: np.ndarray
    scales: np.ndarray
    zero_points: np.ndarray | None

    @property
    def nbytes(self) -> int:
        zeros = 0 if self.zero_points is None else self.zero_points.nbytes
        return self.packed.nbytes + self.scales.nbytes + zeros


def fits(node: Node, index: int) -> bool:
    """Whether there is a node of blocks for this reader of a weight."""
    weight = node.inputs[index]
    if weight.rank != 2:
        return False
    if node.op == "Gather":
        axis = node.inputs[2] if len(node.inputs) > 2 else None
        return axis is None or (axis.data is not None and not np.any(axis.data))
    if index != 1 or node.inputs[0].data is not None:
        return False
    if node.op == "MatMulFusion":
        return not node.attr("transpose_a")
    return node.op == "FullConnection" and node.inputs[0].rank == 2


def in_blocks(rows: np.ndarray, size: int, symmetric: bool, rounding: Rounding) -> Blocks | None:
    """Rows (float32 [rows, columns], finite) in blocks; None where their scales would leave the range of float16.

    A value is (q - zero point) * scale, q from 0 to 15; without zero points they are 8. ``rounding`` sees whole rows.
    """
    count, columns = rows.shape
    largest = np.abs(rows).max(initial=0)
    if largest < _LEAST_VALUE or largest > -_LOW * _GREATEST_SCALE:
        return None
    blocks = -(-columns // size)
    padded = np.zeros((count, blocks * size), np.float32)
    padded[:, :columns] = rows
    flat = padded.reshape(-1, size)
    scales, zeros = np.empty(len(flat), np.float16), np.empty(len(flat), np.int16)
    choose = _symmetric if symmetric else _between
    for start in range(0, len(flat), _ROWS):
        part = slice(start, start + _ROWS)
        scales[part], zeros[part] = choose(flat[part])
    by_row = scales.reshape(count, blocks), zeros.reshape(count, blocks)
    scale, zero = (np.repeat(a.astype(np.float64), size, axis=1)[:, :columns] for a in by_row)
    q = rounding(rows.astype(np.float64), Grid(scale, zero), BITS).astype(np.int16) - _LOW
    return Blocks(_packed(q.astype(np.uint8)), by_row[0], None if symmetric else (by_row[1] - _LOW).astype(np.uint8))


def use(readers: Sequence[tuple[Node, int]], name: str, blocks: Blocks, size: int) -> None:
    """Turns the readers of a weight into nodes that read it in blocks."""
    packed, scales = _constant(f"{name}_packed", blocks.packed), _constant(f"{name}_scales", blocks.scales)
    stored = [packed, scales]
    if blocks.zero_points is not None:
        stored.append(_constant(f"{name}_zero_points", blocks.zero_points))
    for node, _ in readers:
        attributes: dict[str, object] = {"bits": BITS, "block_size": size}
        x, rest, kind = node.inputs[0], node.inputs[2:], MATMUL
        if node.op == "Gather":
            x, rest, kind = node.inputs[1], (), GATHER
            attributes["columns"] = (node.inputs[0].shape or ())[1]
        else:
            attributes["activation"] = node.attr("activation_type")
        node.drop_inputs()
        for value in (x, *stored, *rest):
            node.add_input(value)
        node.op = "Custom"
        texts = [{"name": key, "data": str(value).encode()} for key, value in sorted(attributes.items())]
        node.attrs = {"type": kind, "attr": texts}


def _constant(name: str, data: np.ndarray) -> Value:
    return Value(name, DataType.of(data.dtype), data.shape, data)


def _packed(q: np.ndarray) -> np.ndarray:
    """Two values a byte, the first one in the low half; rows begin at bytes."""
    even = np.zeros((q.shape[0], -(-q.shape[1] // 2) * 2), np.uint8)
    even[:, : q.shape[1]] = q
    packed: np.ndarray = even[:, 0::2] | even[:, 1::2] << 4
    return packed


Chosen = tuple[np.ndarray, np.ndarray]  # scale as float16, zero point among _LOW.._HIGH


def _symmetric(rows: np.ndarray) -> Chosen:
    """Zero point 0. The scale's sign gives the end with one value more to the side that reaches further."""
    furthest = np.take_along_axis(rows, np.abs(rows).argmax(axis=1)[:, None], axis=1)
    return _best(rows, [(part * furthest / _LOW, np.zeros_like(furthest)) for part in _PARTS])


def _between(rows: np.ndarray) -> Chosen:
    low = np.minimum(rows.min(axis=1, keepdims=True), 0)
    high = np.maximum(rows.max(axis=1, keepdims=True), 0)
    span = (high - low) / (_HIGH - _LOW)
    zero = np.clip(np.rint(_LOW - low / np.where(span > 0, span, 1)), _LOW, _HIGH)
    return _best(rows, [(part * span, zero) for part in _PARTS])


def _best(rows: np.ndarray, candidates: Sequence[Chosen]) -> Chosen:
    """Of the candidates (each [rows, 1]) the one with the least squared error, per row."""
    best_scale = best_zero = least = None
    for wanted, zero in candidates:
        scale = np.where(np.abs(wanted) < _LEAST_SCALE, _LEAST_SCALE, wanted).astype(np.float16)
        q = np.clip(np.rint(rows / scale.astype(np.float32) + zero), _LOW, _HIGH)
        difference = (q - zero) * scale.astype(np.float32) - rows
        error = np.einsum("ij,ij->i", difference, difference)[:, None]
        if least is None or best_scale is None or best_zero is None:
            best_scale, best_zero, least = scale, zero, error
            continue
        better = error < least
        best_scale, best_zero = np.where(better, scale, best_scale), np.where(better, zero, best_zero)
        least = np.minimum(least, error)
    assert best_scale is not None and best_zero is not None
    return best_scale[:, 0], best_zero[:, 0]
