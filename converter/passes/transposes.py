"""Shortens what is left of Transposes once the layouts are chosen."""

from __future__ import annotations

import numpy as np

from converter.ir.graph import Graph, Node, Value
from converter.passes.rewrite import (
    copy_type,
    ints,
    is_plain,
    is_static,
    only_units_move,
    only_use,
    open_batch,
    replace_node,
    replace_value,
    shape_constant,
)


def permutation(node: Node | None) -> tuple[int, ...] | None:
    """What a Transpose does to a tensor of known rank; None for other nodes."""
    if node is None or node.op != "Transpose" or len(node.inputs) != 2:
        return None
    perm = ints(node.inputs[1])
    if perm is None or len(perm) != node.inputs[0].rank or sorted(perm) != list(range(len(perm))):
        return None
    return tuple(perm)


def merge_transposes(graph: Graph) -> bool:
    """Two Transposes in a row are one; one that moves nothing is none."""
    modified = False
    for node in graph.nodes:
        perm = permutation(node)
        if node.dead or perm is None:
            continue
        source = node.inputs[0]
        inner = permutation(source.producer)
        if inner is not None and source.producer is not None:
            source, perm = source.producer.inputs[0], tuple(inner[axis] for axis in perm)
        if perm == tuple(range(len(perm))):
            modified |= replace_value(graph, node.output, source)
        elif inner is not None:
            constant = graph.constant(node.inputs[1].name, np.array(perm, np.int32))
            replace_node(graph, node, "Transpose", [source, constant])
            modified = True
    return modified


def reshape_unit_transposes(graph: Graph) -> bool:
    """A Transpose that moves only dimensions of one element is a Reshape, which costs nothing."""
    modified = False
    for node in graph.nodes:
        perm, shape = permutation(node), node.inputs[0].shape if node.inputs else None
        if perm is None or shape is None or not only_units_move(shape, perm):
            continue
        target = [shape[axis] for axis in perm]
        if target.count(-1) < 2 and 0 not in target:
            constant = shape_constant(graph, f"{node.name}_shape", open_batch(shape, target))
            replace_node(graph, node, "Reshape", [node.inputs[0], constant])
            modified = True
    return modified


def absorb_into_matmul(graph: Graph) -> bool:
    """A product's operand whose last two dimensions are exchanged before: the product's own attribute does it."""
    modified = False
    for node in graph.nodes:
        if node.dead or node.op != "MatMulFusion":
            continue
        for index, name in enumerate(("transpose_a", "transpose_b")):
            transpose = node.inputs[index].producer
            perm = permutation(transpose)
            if transpose is not None and perm is not None and perm == _last_two_exchanged(len(perm)):
                node.attrs[name] = not node.attr(name)
                node.set_input(index, transpose.inputs[0])
                modified = True
    return modified


def _last_two_exchanged(rank: int) -> tuple[int, ...]:
    return (*range(rank - 2), rank - 1, rank - 2)


def absorb_before_matmul(graph: Graph) -> bool:
    """Transpose, flatten, dense: the dense layer's rows take the order of the untransposed tensor."""
    modified = False
    for node in graph.nodes:
        if node.dead or node.op not in ("MatMulFusion", "FullConnection"):
            continue
        flatten = node.inputs[0].producer
        if flatten is None or flatten.op not in ("Reshape", "Flatten"):
            continue
        transpose = flatten.inputs[0].producer
        if transpose is None or transpose.op != "Transpose":
            continue
        private = only_use(graph, flatten.output) is node and only_use(graph, transpose.output) is flatten
        if private and _absorb_rows(graph, node, flatten, transpose):
            modified = True
    return modified


def _absorb_rows(graph: Graph, node: Node, flatten: Node, transpose: Node) -> bool:
    perm = permutation(transpose)
    source, weight = transpose.inputs[0], node.inputs[1]
    shape = transpose.outputs[0].shape
    if perm is None or perm[0] != 0 or shape is None or -1 in shape[1:]:
        return False
    rows = int(np.prod(shape[1:]))
    flat = flatten.output.shape
    if flat is None or len(flat) != 2 or flat[1] != rows or flat[0] != shape[0] or node.inputs[0] is weight:
        return False
    axis = _row_axis(node)
    if axis is None or not is_plain(weight) or not is_static(weight) or weight.rank != 2:
        return False
    assert weight.data is not None
    if weight.data.shape[axis] != rows:
        return False
    # order[i]: which old row the i-th element of the untransposed, flattened tensor meets
    old = np.arange(rows).reshape(shape[1:])
    back = np.argsort(perm[1:])
    order = old.transpose(tuple(back)).reshape(-1)
    data = np.ascontiguousarray(np.take(weight.data, order, axis=axis))
    reshaped = graph.add(
        "Reshape",
        [source, shape_constant(graph, f"{flatten.name}_shape", [-1, rows])],
        flatten.name,
        source=flatten.source,
    )
    copy_type(reshaped.output, flatten.output)
    inputs: list[Value] = [reshaped.output, graph.constant(weight.name, data), *node.inputs[2:]]
    replace_node(graph, node, node.op, inputs, **node.attrs)
    return True


def _row_axis(node: Node) -> int | None:
    """The weight's axis that is summed over, or None where the left operand is no plain matrix of rows."""
    if node.op == "FullConnection":
        return 1
    if node.attr("transpose_a"):
        return None
    return 1 if node.attr("transpose_b") else 0
