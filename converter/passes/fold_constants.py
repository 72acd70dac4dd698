"""Computes what depends on constants alone; the runtime does the computing."""

from __future__ import annotations

import numpy as np

from converter.engine import evaluate
from converter.ir.graph import Graph, Model, Node, Value
from converter.passes.rewrite import IMPURE_OPS, is_plain, is_static, replace_value

# A result larger than this is kept as a computation when its operands are much smaller (a filled tensor).
_LARGE_BYTES = 1 << 20


def fold_constants(model: Model) -> bool:
    """Replaces nodes all of whose inputs are constants, and shapes that are known, by constants."""
    return sum(_fold_graph(model, graph) for graph in model.graphs) > 0


def _fold_graph(model: Model, graph: Graph) -> bool:
    modified = sum(_fold_shape(graph, node) for node in graph.nodes) > 0
    nodes = _constant_nodes(graph)
    if not nodes:
        return modified
    members = set(nodes)
    wanted = [
        value
        for node in nodes
        for value in node.outputs
        if graph.is_output(value) or any(reader not in members for reader, _ in value.uses)
    ]
    for value, data in zip(wanted, _values(model, nodes, wanted)):
        _replace(graph, value, data)
    return True


def _fold_shape(graph: Graph, node: Node) -> bool:
    """Shape, Rank and Size of a tensor whose dimensions are known."""
    if node.op not in ("Shape", "Rank", "Size") or node.dead or not is_static(node.inputs[0]):
        return False
    dims = node.inputs[0].shape or ()
    data = {
        "Shape": np.array(dims, np.int32).reshape(len(dims)),
        "Rank": np.array(len(dims), np.int32),
        "Size": np.array(np.prod(dims, dtype=np.int64), np.int32),
    }[node.op]
    if node.op == "Rank" and node.output.shape not in (None, ()):
        data = data.reshape(node.output.shape)
    return _replace(graph, node.output, data)


def _replace(graph: Graph, value: Value, data: np.ndarray) -> bool:
    return replace_value(graph, value, graph.constant(value.name, data))


def _constant_nodes(graph: Graph) -> list[Node]:
    """Nodes that can be computed now, in order."""
    known: set[Value] = set()
    nodes: list[Node] = []
    for node in graph.nodes:
        if node.dead or node.op in IMPURE_OPS or not node.inputs or any(v.quant for v in node.outputs):
            continue
        if all(v in known or is_plain(v) for v in node.inputs) and not _grows(node):
            nodes.append(node)
            known.update(node.outputs)
    return nodes


def _grows(node: Node) -> bool:
    size = sum(v.data.nbytes for v in node.inputs if v.data is not None)
    for value in node.outputs:
        if not is_static(value):
            continue
        count = int(np.prod(value.shape or (), dtype=np.int64))
        if count * 4 > max(_LARGE_BYTES, 4 * size):
            return True
    return False


def _values(model: Model, nodes: list[Node], wanted: list[Value]) -> list[np.ndarray]:
    """Runs a copy of the nodes."""
    graph = Graph("constants")
    copies: dict[Value, Value] = {}
    try:
        for node in nodes:
            inputs = [copies.get(v, v) for v in node.inputs]
            copy = graph.add(
                node.op, inputs, node.name, outputs=[v.name for v in node.outputs], source=node.source, **node.attrs
            )
            for old, new in zip(node.outputs, copy.outputs):
                new.dtype = old.dtype
                copies[old] = new
        graph.outputs = [copies[v] for v in wanted]
        return evaluate(graph, source=model.source)
    finally:
        for copy in graph.nodes:  # they must not count as readers of the constants
            copy.drop_inputs()
