"""Scales moved between the layers of a float model, which keep its meaning and make it easier to quantise.

``equalize`` (Nagel and others, 2019): between two products the channels get factors that make the ranges of both
weights alike. ``smooth`` (Xiao and others, 2022): before a product the activations' channels are shifted to be
symmetric and divided by what the weight takes up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converter.ir.graph import Graph, Node, Value
from converter.quant.calibration import Statistics
from converter.quant.weight import channel_axis, is_plain_weight

_HOMOGENEOUS = ("NO_ACTIVATION", "RELU")
_ITERATIONS = 8
# Factors are limited, so that a channel that is almost always 0 is not blown up.
_MOST = 1e4


def input_axis(node: Node) -> int | None:
    """The axis of a product's constant weight that belongs to the channels of its input; None where there is none."""
    weight = node.inputs[1]
    if not is_plain_weight(weight) or node.inputs[0].data is not None:
        return None
    rank = weight.rank
    if node.op == "Conv2DFusion" and rank == 4:
        assert weight.shape is not None
        depthwise = int(node.attr("group")) == weight.shape[0] and weight.shape[3] == 1
        return 0 if depthwise and weight.shape[0] > 1 else 3 if int(node.attr("group")) <= 1 else None
    if node.op == "MatMulFusion" and rank == 2 and not node.attr("transpose_a"):
        return 1 if node.attr("transpose_b") else 0
    return 1 if node.op == "FullConnection" and rank == 2 and node.inputs[0].rank == 2 else None


def _output_axis(node: Node) -> int | None:
    fits = node.op in ("Conv2DFusion", "MatMulFusion", "FullConnection") and input_axis(node) is not None
    return channel_axis(node, 1) if fits else None


def equalize(graph: Graph, nodes: Sequence[Node]) -> bool:
    """Equalises each pair of these products that stand one behind the other. Returns whether there is one."""
    known = set(nodes)
    pairs = []
    for first in nodes:
        uses = first.output.uses
        if len(uses) != 1 or graph.is_output(first.output) or first.attr("activation_type") not in _HOMOGENEOUS:
            continue
        second, index = uses[0]
        fits = second in known and index == 0 and _output_axis(first) is not None and input_axis(second) is not None
        if fits and _biases_are_constant(first):
            pairs.append((first, second))
    for _ in range(_ITERATIONS):
        for first, second in pairs:
            _equalize(graph, first, second)
    return bool(pairs)


def _biases_are_constant(node: Node) -> bool:
    return len(node.inputs) < 3 or is_plain_weight(node.inputs[2])


def _equalize(graph: Graph, first: Node, second: Node) -> None:
    out_axis, in_axis = _output_axis(first), input_axis(second)
    assert out_axis is not None and in_axis is not None
    giving, taking = _largest(first, out_axis), _largest(second, in_axis)
    if giving.shape != taking.shape:
        return
    factor = np.sqrt(_ratio(giving, taking))
    _scale_results(graph, first, out_axis, 1 / factor)
    _scale_weight(graph, second, in_axis, factor)


def _largest(node: Node, axis: int) -> np.ndarray:
    data = node.inputs[1].data
    assert data is not None
    largest: np.ndarray = np.abs(data.astype(np.float64)).max(axis=tuple(i for i in range(data.ndim) if i != axis))
    return largest


def _ratio(over: np.ndarray, under: np.ndarray) -> np.ndarray:
    """over / under within limits; 1 where either is 0."""
    usable = (over > 0) & (under > 0)
    ratio = np.divide(over, under, out=np.ones_like(over), where=usable)
    limited: np.ndarray = np.clip(ratio, 1 / _MOST, _MOST)
    return limited


def _scale_weight(graph: Graph, node: Node, axis: int, factor: np.ndarray) -> None:
    old = node.inputs[1]
    assert old.data is not None
    shape = [1] * old.data.ndim
    shape[axis] = -1
    node.set_input(1, graph.constant(old.name, (old.data * factor.reshape(shape)).astype(np.float32)))


def _scale_results(graph: Graph, node: Node, axis: int, factor: np.ndarray) -> None:
    _scale_weight(graph, node, axis, factor)
    if len(node.inputs) > 2:
        old = node.inputs[2]
        assert old.data is not None
        node.set_input(2, graph.constant(old.name, (old.data.reshape(-1) * factor).astype(np.float32)))


def smooth(graph: Graph, alphas: Mapping[Node, float], seen: Mapping[Value, Statistics]) -> bool:
    """Smooths what these matrix products read, with the strength alpha of each. Returns whether anything changed.

    A LayerNorm that nothing else reads takes the factors up; elsewhere a ScaleFusion does that before the product.
    """
    readers: dict[Value, list[Node]] = {}
    for node in alphas:
        if node.op in ("MatMulFusion", "FullConnection") and input_axis(node) is not None:
            readers.setdefault(node.inputs[0], []).append(node)
    changed = False
    for value, nodes in readers.items():
        found = seen.get(value)
        if found is None or found.channel_low is None or found.channel_high is None:
            continue
        if all(_biases_are_constant(node) for node in nodes):
            low, high = found.channel_low.astype(np.float64), found.channel_high.astype(np.float64)
            middle, reach = (low + high) / 2, (high - low) / 2
            changed = _smooth(graph, value, nodes, middle, reach, alphas[nodes[0]], found.rank) or changed
    return changed


def _smooth(
    graph: Graph, value: Value, nodes: Sequence[Node], middle: np.ndarray, reach: np.ndarray, alpha: float, rank: int
) -> bool:
    axes = [input_axis(node) or 0 for node in nodes]
    taken = np.max([_largest(node, axis) for node, axis in zip(nodes, axes)], axis=0)
    if taken.shape != middle.shape:
        return False
    # A channel that was quiet in calibration need not stay so: it is not made much louder than others.
    reach = np.maximum(reach, np.median(reach))
    usable = (reach > 0) & (taken > 0)
    factor = np.ones_like(reach)
    factor[usable] = reach[usable] ** alpha / taken[usable] ** (1 - alpha)
    # Only their ratios matter; around 1 they leave the scales in the range of the numbers.
    factor = np.clip(factor / np.exp(np.log(factor).mean()), 1 / _MOST, _MOST)
    for node, axis in zip(nodes, axes):
        _add_to_bias(graph, node, axis, middle)
        _scale_weight(graph, node, axis, factor)
    scale, offset = (1 / factor).astype(np.float32), (-middle / factor).astype(np.float32)
    if not _into_norm(graph, value, nodes, scale, offset):
        _before(graph, value, nodes, scale, offset, rank)
    return True


def _add_to_bias(graph: Graph, node: Node, axis: int, x: np.ndarray) -> None:
    """Adds the product of the weight with the constant row ``x``."""
    weight = node.inputs[1]
    assert weight.data is not None
    product = np.tensordot(weight.data.astype(np.float64), x, (axis, 0))
    if len(node.inputs) > 2:
        old = node.inputs[2]
        assert old.data is not None
        node.set_input(2, graph.constant(old.name, (old.data.reshape(-1) + product).astype(np.float32)))
        return
    node.add_input(graph.constant(f"{node.name}_bias", product.astype(np.float32)))
    if node.op == "FullConnection":
        node.attrs["has_bias"] = True


def _into_norm(graph: Graph, value: Value, nodes: Sequence[Node], scale: np.ndarray, offset: np.ndarray) -> bool:
    norm = value.producer
    if norm is None or norm.op != "LayerNormFusion" or len(norm.inputs) != 3 or graph.is_output(value):
        return False
    if any(reader not in nodes for reader, _ in value.uses):
        return False
    gamma, beta = norm.inputs[1:]
    if (
        not (is_plain_weight(gamma) and is_plain_weight(beta))
        or gamma.shape != scale.shape
        or beta.shape != scale.shape
    ):
        return False
    assert gamma.data is not None and beta.data is not None
    norm.set_input(1, graph.constant(gamma.name, gamma.data * scale))
    norm.set_input(2, graph.constant(beta.name, beta.data * scale + offset))
    return True


def _before(
    graph: Graph, value: Value, nodes: Sequence[Node], scale: np.ndarray, offset: np.ndarray, rank: int
) -> None:
    name = f"{value.name}_smoothed"
    inputs = [value, graph.constant(f"{name}_scale", scale), graph.constant(f"{name}_offset", offset)]
    node = graph.add("ScaleFusion", inputs, name, source=nodes[0].source, axis=rank - 1)
    graph.nodes.insert(min(graph.nodes.index(n) for n in nodes), graph.nodes.pop())
    node.output.dtype, node.output.shape = value.dtype, value.shape
    for reader in nodes:
        reader.set_input(0, node.output)
