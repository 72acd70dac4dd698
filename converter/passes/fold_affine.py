"""Folds per-channel scales and shifts into the weights and bias of the linear operator before them.

Two tables: what counts as ``y = scale * x + shift`` over the last axis, and how a linear operator's weight
is scaled along its output channels. Batch normalisation, bias, Mul, Add, ... need no code of their own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from converter.ir.graph import Graph, Node, Value
from converter.passes.rewrite import has_activation, is_plain, only_use, replace_node

_FLOAT = np.dtype(np.float32)


@dataclass(frozen=True)
class Affine:
    """``y = scale * x + shift``; each is a vector over the last axis or has one element. In float64."""

    source: Value
    scale: np.ndarray
    shift: np.ndarray


# ---- what is affine ----


def _channels(value: Value, rank: int | None) -> np.ndarray | None:
    """A constant that varies over the last axis only, as a vector; None for others.

    It must not have more dimensions than the tensor of rank ``rank`` it is combined with.
    """
    data = value.data
    if data is None or not is_plain(value) or data.dtype != _FLOAT or data.size == 0:
        return None
    if data.ndim > 0 and (rank is None or data.ndim > rank or data.size != data.shape[-1]):
        return None
    return data.reshape(-1).astype(np.float64)


def _binary(make: Callable[[Value, np.ndarray, bool], Affine | None]) -> Callable[[Node], Affine | None]:
    """An operator of a tensor and a constant; ``make`` gets both and whether the constant comes first."""

    def affine(node: Node) -> Affine | None:
        if len(node.inputs) != 2:
            return None
        for tensor, other, constant_first in ((*node.inputs, False), (*node.inputs[::-1], True)):
            constant = None if tensor.is_const else _channels(other, tensor.rank)
            if constant is not None:
                return make(tensor, constant, constant_first)
        return None

    return affine


def _add(x: Value, c: np.ndarray, _: bool) -> Affine:
    return Affine(x, np.ones(1), c)


def _mul(x: Value, c: np.ndarray, _: bool) -> Affine:
    return Affine(x, c, np.zeros(1))


def _sub(x: Value, c: np.ndarray, constant_first: bool) -> Affine:
    return Affine(x, -np.ones(1), c) if constant_first else Affine(x, np.ones(1), -c)


def _div(x: Value, c: np.ndarray, constant_first: bool) -> Affine | None:
    return None if constant_first or not c.all() else Affine(x, 1 / c, np.zeros(1))


def _scale_fusion(node: Node) -> Affine | None:
    x, *constants = node.inputs
    if x.rank is None or node.attr("axis") not in (-1, x.rank - 1):
        return None
    vectors = [_channels(c, 1) for c in constants]
    if not vectors or any(v is None for v in vectors):
        return None
    scale, shift = [*vectors, np.zeros(1)][:2]
    assert scale is not None
    assert shift is not None
    return Affine(x, scale, shift)


def _batch_norm(node: Node) -> Affine | None:
    if len(node.inputs) != 5 or node.attrs.get("is_training"):
        return None
    x, *constants = node.inputs
    vectors = [_channels(c, 1) for c in constants]
    if any(v is None for v in vectors):
        return None
    gamma, beta, mean, variance = (v for v in vectors if v is not None)
    if (variance + node.attr("epsilon") <= 0).any():
        return None
    scale = gamma / np.sqrt(variance + node.attr("epsilon"))
    return Affine(x, scale, beta - mean * scale)


_AFFINE: dict[str, Callable[[Node], Affine | None]] = {
    "AddFusion": _binary(_add),
    "BiasAdd": _binary(_add),
    "SubFusion": _binary(_sub),
    "MulFusion": _binary(_mul),
    "DivFusion": _binary(_div),
    "RealDiv": _binary(_div),
    "ScaleFusion": _scale_fusion,
    "FusedBatchNorm": _batch_norm,
}


# ---- what it is folded into ----


def _scale_conv(_: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.multiply(weight, scale.reshape(-1, 1, 1, 1))
    return scaled


def _scale_conv_transpose(node: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """[in, h, w, out / group]: the inputs of a group are consecutive, and so are its outputs."""
    group = max(1, node.attr("group"))
    inputs, height, width, outputs = weight.shape
    grouped = weight.reshape(group, inputs // group, height, width, outputs)
    per_output = np.broadcast_to(scale, (group * outputs,)).reshape(group, 1, 1, 1, outputs)
    scaled: np.ndarray = np.multiply(grouped, per_output).reshape(weight.shape)
    return scaled


def _scale_matmul(node: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.multiply(weight, scale.reshape(-1, 1) if node.attr("transpose_b") else scale)
    return scaled


def _scale_rows(_: Node, weight: np.ndarray, scale: np.ndarray) -> np.ndarray:
    scaled: np.ndarray = np.multiply(weight, scale.reshape(-1, 1))
    return scaled


@dataclass(frozen=True)
class _Linear:
    """``scale`` multiplies the weight's output channels, ``channels`` counts them."""

    scale: Callable[[Node, np.ndarray, np.ndarray], np.ndarray]
    channels: Callable[[Node], int | None]


def _weight_dim(axis: int) -> Callable[[Node], int | None]:
    def channels(node: Node) -> int | None:
        shape = node.inputs[1].shape
        return None if shape is None or len(shape) < 2 else shape[axis]

    return channels


def _transposed_channels(node: Node) -> int | None:
    shape = node.inputs[1].shape
    return None if shape is None else shape[3] * max(1, node.attr("group"))


def _matmul_channels(node: Node) -> int | None:
    return _weight_dim(-2 if node.attr("transpose_b") else -1)(node)


_LINEAR: dict[str, _Linear] = {
    "Conv2DFusion": _Linear(_scale_conv, _weight_dim(0)),
    "Conv2dTransposeFusion": _Linear(_scale_conv_transpose, _transposed_channels),
    "MatMulFusion": _Linear(_scale_matmul, _matmul_channels),
    "FullConnection": _Linear(_scale_rows, _weight_dim(0)),
}


def fold_affine(graph: Graph) -> bool:
    """Folds each affine node into the linear or affine node before it, where nothing else reads that."""
    modified = False
    for node in graph.nodes:
        if node.dead or node.op not in _AFFINE:
            continue
        affine = _AFFINE[node.op](node)
        before = None if affine is None else affine.source.producer
        if affine is None or before is None or only_use(graph, affine.source) is not node or has_activation(before):
            continue
        if any(v.quant for v in (*before.outputs, *node.outputs)):
            continue
        if before.op in _LINEAR:
            modified |= _fold(graph, before, node, affine)
        elif before.op in _AFFINE:
            modified |= _merge(graph, before, node, affine)
    return modified


def _fold(graph: Graph, linear: Node, node: Node, affine: Affine) -> bool:
    table = _LINEAR[linear.op]
    x, weight, *rest = linear.inputs
    channels = table.channels(linear)
    if channels is None or channels < 0 or len(rest) > 1 or linear.quant_type != "QUANT_NONE":
        return False
    if affine.scale.size not in (1, channels) or affine.shift.size not in (1, channels):
        return False
    bias = _channels(rest[0], 1) if rest else np.zeros(1)
    rescales = bool((affine.scale != 1).any())
    if bias is None or (rescales and (not is_plain(weight) or weight.dtype.name != "FLOAT32")):
        return False
    if rescales:
        assert weight.data is not None
        data = table.scale(linear, weight.data.astype(np.float64), affine.scale).astype(np.float32)
        weight = graph.constant(weight.name, data)
    shift = np.broadcast_to(bias * affine.scale + affine.shift, (channels,)).astype(np.float32)
    inputs = [x, weight]
    if rest or shift.any():
        inputs.append(graph.constant(rest[0].name if rest else f"{linear.name}_bias", shift))
    attrs = dict(linear.attrs)
    if has_activation(node):
        attrs["activation_type"] = node.attrs["activation_type"]
    if linear.op == "FullConnection":
        attrs["has_bias"] = len(inputs) == 3
    new = replace_node(graph, node, linear.op, inputs, linear.quant_type, **attrs)
    new.name, new.source = linear.name, linear.source
    return True


def _merge(graph: Graph, before: Node, node: Node, second: Affine) -> bool:
    """Two affine nodes are one ScaleFusion."""
    first = _AFFINE[before.op](before)
    if first is None or first.source.rank not in (2, 3, 4) or len(before.outputs) != 1:
        return False
    channels = (first.source.shape or ())[-1]
    sizes = {v.size for v in (first.scale, first.shift, second.scale, second.shift)} - {1, channels}
    if sizes or channels < 1:
        return False
    scale, shift = first.scale * second.scale, first.shift * second.scale + second.shift
    new = _scale_node(graph, node, first.source, np.broadcast_to(scale, channels), np.broadcast_to(shift, channels))
    new.name, new.source = before.name, before.source
    return True


def _scale_node(graph: Graph, node: Node, source: Value, scale: np.ndarray, shift: np.ndarray) -> Node:
    """Puts a ScaleFusion over the last axis in a node's place."""
    constants = [
        graph.constant(f"{node.name}_{name}", data.astype(np.float32))
        for name, data in (("scale", scale), ("shift", shift))
    ]
    attrs = {"activation_type": node.attrs["activation_type"]} if has_activation(node) else {}
    return replace_node(graph, node, "ScaleFusion", [source, *constants], axis=(source.rank or 0) - 1, **attrs)


def scale_batch_norms(graph: Graph) -> bool:
    """A batch normalisation with nothing to fold into is one ScaleFusion."""
    modified = False
    for node in graph.nodes:
        if node.dead or node.op != "FusedBatchNorm" or any(v.uses for v in node.outputs[1:]):
            continue
        affine = _batch_norm(node)
        shape = node.inputs[1].shape
        if affine is None or affine.source.rank is None or shape is None or len(node.outputs) != 1:
            continue
        scale, shift = (np.broadcast_to(v, shape) for v in (affine.scale, affine.shift))
        _scale_node(graph, node, affine.source, scale, shift)
        modified = True
    return modified
