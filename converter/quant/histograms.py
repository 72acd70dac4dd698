"""Histograms of activations and weights, with the range that is kept of each, for the report."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from converter.ir.graph import Node, QuantParam
from converter.quant.full_ranges import Range
from converter.quant.ranges import limits

# Columns of a histogram.
_BARS = 64

Ranges = tuple[np.ndarray, np.ndarray, str]


@dataclass
class Histogram:
    """Values between ``low`` and ``high``, and the range kept of them: for a weight with several scales the widest one,
    while ``outside`` is the part of its values that lie outside the range of their own scale."""

    kind: str  # "activation" or "weight"
    name: str
    low: float
    high: float
    clip_low: float
    clip_high: float
    method: str
    outside: float
    counts: list[int]


def of_activation(name: str, found: Range) -> Histogram:
    seen = found.seen
    counts = [int(c) for c in seen.counts.reshape(_BARS, -1).sum(axis=1)]
    total = int(seen.counts.sum())
    centers = seen.centers
    out = int(seen.counts[(centers < found.low) | (centers > found.high)].sum())
    part = out / total if total else 0.0
    return Histogram("activation", name, seen.low, seen.high, found.low, found.high, found.method, part, counts)


def of_weight(name: str, data: np.ndarray, axis: int | None, node: Node, index: int) -> Histogram | None:
    """``data`` float32, with channels along ``axis``, and the node that now reads it quantised as its input ``index``;
    None where there are no ranges."""
    found = _ranges(data, axis, node, index)
    if found is None or data.size == 0:
        return None
    low, high = float(data.min()), float(data.max())
    first, last, method = found
    outside = float(np.mean((data < first) | (data > last)))
    counts = np.histogram(data, _BARS, (low, high) if high > low else (low - 1, low + 1))[0]
    clip = float(first.min()), float(last.max())
    return Histogram("weight", name, low, high, *clip, method, outside, [int(c) for c in counts])


def _ranges(data: np.ndarray, axis: int | None, node: Node, index: int) -> Ranges | None:
    """The ends of what a value can become, half a step around them included, as arrays that broadcast to ``data``; and
    the number of bits and scales in words."""
    if node.op == "Custom":
        scales = node.inputs[2].data
        by_column = axis == 1
        return None if scales is None else _of_blocks(scales.astype(np.float64), node, data.shape, by_column)
    quant = node.inputs[index].quant
    return _of_params(quant, data.ndim, axis or 0) if quant else None


def _of_params(quant: list[QuantParam], rank: int, axis: int) -> Ranges:
    def ends(p: QuantParam) -> tuple[float, float]:
        least, most = limits(p.bits)
        scale, mean = p.scale * p.var_corr, p.mean_corr
        return (least - 0.5 - p.zero_point) * scale + mean, (most + 0.5 - p.zero_point) * scale + mean

    first, last = np.array([ends(p) for p in quant]).T
    count = len(quant)
    shape = [count if count > 1 and i == axis else 1 for i in range(rank)]
    return first.reshape(shape), last.reshape(shape), f"{quant[0].bits} bits, {count} scale{'s' if count > 1 else ''}"


def _of_blocks(scales: np.ndarray, node: Node, shape: tuple[int, ...], by_column: bool) -> Ranges:
    size = next(int(a["data"]) for a in node.attrs["attr"] if a["name"] == "block_size")
    stored = node.inputs[3].data if len(node.inputs) > 3 else None
    zeros = stored if stored is not None and stored.dtype == np.uint8 else np.full(scales.shape, 8)
    ends = [(q - zeros.astype(np.float64)) * scales for q in (-0.5, 15.5)]
    columns = shape[0 if by_column else 1]
    first, last = (np.repeat(e, size, axis=1)[:, :columns] for e in (np.minimum(*ends), np.maximum(*ends)))
    if by_column:
        first, last = first.T, last.T
    return first, last, f"4 bits in blocks of {size}"
