"""DYNAMIC_QUANT: products with constant weights in int8; the activations' scale is found in each run.

A DynamicQuant node turns the activations of a product into int8. Tables that Gather reads and the weights of
recurrent layers are stored as int8, the layers compute in floats. Products of two activations stay float: their
factors, such as attention probabilities, lose most by one scale for all, and they are small.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from converter.ir.graph import Graph, Model, Node, QuantParam, Value
from converter.quant import weight
from converter.quant.calibration import statistics
from converter.quant.channel_scales import smooth
from converter.quant.recipe import DYNAMIC, WEIGHT, Plan, Settings
from lite_runtime.types import DataType

Tell = Callable[[str, int, int], None]

_PRODUCTS = ("MatMulFusion", "FullConnection")
_STORED = ("Gather", "LSTM", "GRU")
_GREATEST = 127
_LEAST_SCALE = float(np.finfo(np.float32).tiny)


def prepare(model: Model, plan: Plan, samples: Sequence[Sequence[np.ndarray]], tell: Tell) -> None:
    """Smooths what the products read, where that is asked for, in place. Raises UsageError without samples."""
    chosen = {n: s for n, s in plan.items() if s.algorithm == DYNAMIC and n in model.main.nodes and n.op in _PRODUCTS}
    alphas = {n: s["smooth_alpha"] for n, s in chosen.items() if s["enable_smooth_shift"] and _multiplies_weights(n)}
    if alphas:
        smooth(model.main, alphas, statistics(model, list(dict.fromkeys(n.inputs[0] for n in alphas)), samples, tell))


def apply(model: Model, plan: Plan) -> list[str]:
    """Quantises the nodes that are planned so, in place. Returns notes for the user."""
    chosen = {node: settings for node, settings in plan.items() if settings.algorithm == DYNAMIC}
    products = {node: s for node, s in chosen.items() if node.op in _PRODUCTS and _multiplies_weights(node)}
    notes = weight.Notes()
    ready: set[Value] = set()
    for found in list(weight.weights(model, products)):
        reason = weight.refusal(model, found, products)
        if reason:
            notes.add(found.value.name, reason)
            continue
        axis = weight.channel_axis(found.node, found.index)
        _store_symmetric(found.value, axis if axis is not None else 0)
        ready.add(found.value)
    for graph in model.graphs:
        _quantize_activations(graph, [n for n in graph.nodes if n in products and n.inputs[1] in ready])
    stored = {
        node: Settings(WEIGHT, {key: settings[key] for key in ("min_quant_weight_size", "min_quant_weight_channel")})
        for node, settings in chosen.items()
        if node.op in _STORED
    }
    return [*notes.lines(), *weight.apply(model, stored)]


def resume(model: Model) -> None:
    """Products of a source that quantised their activations in each run do so again, in place."""
    for graph in model.graphs:
        nodes = [n for n in graph.nodes if n.op in _PRODUCTS and n.quant_type == "QUANT_WEIGHT"]
        named = [n for n in nodes if n.inputs[1].name in model.dynamic_weights and n.inputs[0].data is None]
        _quantize_activations(graph, [n for n in named if n.inputs[1].quant])


def is_product(node: Node) -> bool:
    """Whether the node can multiply in int8: a product of an activation with a constant weight."""
    return node.op in _PRODUCTS and _multiplies_weights(node)


def _multiplies_weights(node: Node) -> bool:
    return len(node.inputs) > 1 and not node.inputs[0].is_const and weight.weight_inputs(node) == [1]


def symmetric(w: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """int8 values within +-127 and the scale of each channel, for finite float32 weights."""
    others = tuple(i for i in range(w.ndim) if i != axis)
    largest = np.abs(w.astype(np.float64)).max(axis=others, keepdims=True, initial=0)
    scale = np.where(largest > 0, np.maximum(largest / _GREATEST, _LEAST_SCALE), 1.0)
    return np.rint(w / scale).astype(np.int8), scale.reshape(-1)


def _store_symmetric(value: Value, axis: int) -> None:
    assert value.data is not None
    q, scales = symmetric(value.data, axis)
    value.data, value.dtype = q, DataType.INT8
    value.quant = [QuantParam(float(scale)) for scale in scales]


def _quantize_activations(graph: Graph, nodes: list[Node]) -> None:
    """Puts a DynamicQuant before the first reader of each activation; all readers share it."""
    quantized: dict[Value, Value] = {}
    for node in nodes:
        x = node.inputs[0]
        if x not in quantized:
            dynamic = graph.add("DynamicQuant", [x], f"{x.name}_dynamic_quant", source=node.source)
            graph.nodes.insert(graph.nodes.index(node), graph.nodes.pop())
            dynamic.quant_type = "QUANT_DYNAMIC"
            dynamic.output.dtype, dynamic.output.shape = DataType.INT8, x.shape
            quantized[x] = dynamic.output
        node.set_input(0, quantized[x])
        node.quant_type = "QUANT_DYNAMIC"
