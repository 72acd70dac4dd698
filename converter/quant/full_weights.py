"""The constants of int8 products: symmetric int8 weights, int32 biases, and what corrects them.

A bias counts in steps of the input's scale times its channel's weight scale.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from converter.ir.graph import Node, QuantParam
from converter.quant.weight import channel_axis

_GREATEST = 127
_LEAST_SCALE = float(np.finfo(np.float32).tiny)
# A bias above this many steps gets longer steps: the sum of products comes on top of it.
_LARGEST_BIAS = 1 << 30
# Steps of a scale as near as this to an integer are one, behind a rounding to float32.
_WHOLE = 1e-3


@dataclass(frozen=True)
class Constants:
    """``q`` int8 in the weight's shape, ``scales`` float32 values, one or one per channel, ``bias`` float64 or None."""

    q: np.ndarray
    scales: np.ndarray
    bias: np.ndarray | None

    def steps(self, input_scale: float) -> np.ndarray:
        """The bias as int32."""
        assert self.bias is not None
        steps: np.ndarray = np.rint(self.bias / (input_scale * self.scales.astype(np.float64)))
        return steps.astype(np.int32)


def constants(
    node: Node, input_scale: float, input_mean: np.ndarray | None, per_channel: bool, before: Sequence[QuantParam] = ()
) -> Constants:
    """Quantises weight and bias of a product with a constant weight.

    Args:
        input_scale: of the int8 input.
        input_mean: of each channel of the input (its last axis), to correct the bias by what rounding the weight
            shifts the mean of the results; None: no correction.
        per_channel: a scale per output channel, where the operator's int8 form has one; else one for all.
        before: parameters of the weight where it was int8 before: scales that still fit it are kept.
    """
    weight = node.inputs[1].data
    assert weight is not None
    w = weight.astype(np.float64)
    bias = node.inputs[2].data.astype(np.float64).reshape(-1) if _has_bias(node) else None  # type: ignore[union-attr]
    axis = channel_axis(node, 1)
    axis = axis if per_channel and not (node.op == "MatMulFusion" and w.ndim != 2) else None
    others = None if axis is None else tuple(i for i in range(w.ndim) if i != axis)
    largest = np.abs(w).max(axis=others, keepdims=True, initial=0)
    scale = np.where(largest > 0, np.maximum(largest / _GREATEST, _LEAST_SCALE), 1.0)
    if len(before) in (1, scale.size):
        kept = np.array([p.scale for p in before]).reshape(scale.shape if len(before) > 1 else ())
        steps = w / kept
        fits = (np.abs(steps - np.rint(steps)) < _WHOLE) & (np.abs(steps) < _GREATEST + _WHOLE)
        scale = np.where(fits.all(axis=others, keepdims=True), kept, scale)
    if bias is not None:
        least = np.abs(bias) / (input_scale * _LARGEST_BIAS)
        scale = np.maximum(scale, least.max(initial=0) if axis is None else least.reshape(scale.shape))
    scale = scale.astype(np.float32).astype(np.float64)
    q = np.clip(np.rint(w / scale), -_GREATEST, _GREATEST)
    if input_mean is not None:
        shift = mean_shift(node, q * scale - w, input_mean)
        if shift is not None and (bias is not None or np.abs(shift).max(initial=0) > 0):
            bias = (0.0 if bias is None else bias) - shift
    return Constants(q.astype(np.int8), scale.reshape(-1).astype(np.float32), bias)


def _has_bias(node: Node) -> bool:
    return len(node.inputs) > 2


def mean_shift(node: Node, error: np.ndarray, input_mean: np.ndarray) -> np.ndarray | None:
    """What an error of the weight adds to the mean of each result channel; None where the means do not fit."""
    if node.op == "Conv2DFusion":
        groups = max(1, int(node.attr("group")))
        if input_mean.size != groups * error.shape[3]:
            return None
        means = input_mean.reshape(groups, 1, 1, error.shape[3])
        by_channel = np.repeat(means, error.shape[0] // groups, axis=0)
        return np.asarray((error * by_channel).sum(axis=(1, 2, 3)))
    if node.op not in ("MatMulFusion", "FullConnection") or error.ndim != 2:
        return None
    by_row = node.op == "FullConnection" or bool(node.attr("transpose_b"))
    columns = error if by_row else error.T
    if columns.shape[1] != input_mean.size or (node.op == "MatMulFusion" and node.attr("transpose_a")):
        return None
    return np.asarray(columns @ input_mean)
