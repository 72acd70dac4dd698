"""Removes operators that hand on their input as it is, and shortens chains of reshapes."""

from __future__ import annotations

from collections.abc import Callable

from converter.ir.graph import Graph, Node
from converter.passes.rewrite import VIEWS, ints, is_static, open_batch, replace_node, replace_value, shape_constant


def _always(_: Node) -> bool:
    return True


def _unmoved_slice(node: Node) -> bool:
    # With five inputs, the fourth holds axes.
    strides = ints(node.inputs[-1]) if len(node.inputs) > 3 else [1]
    plain = not any(node.attr(f"{name}_mask") for name in ("ellipsis", "new_axis", "shrink_axis"))
    return plain and strides is not None and all(step == 1 for step in strides)


def _no_padding(node: Node) -> bool:
    paddings = (
        ints(node.inputs[1]) if len(node.inputs) > 1 else [p for pair in node.attr("paddings") or [[1]] for p in pair]
    )
    return paddings is not None and not any(paddings)


def _one_input(node: Node) -> bool:
    return len(node.inputs) == 1


def _one_output(node: Node) -> bool:
    return len(node.outputs) == 1


# Does nothing when the result has its first input's shape and this holds.
_SAME_SHAPE: dict[str, Callable[[Node], bool]] = {
    **dict.fromkeys(VIEWS, _always),
    "BroadcastTo": _always,
    "TileFusion": _always,
    "SliceFusion": _always,
    "StridedSlice": _unmoved_slice,
    "PadFusion": _no_padding,
    "Concat": _one_input,
    "Split": _one_output,
}


def remove_no_ops(graph: Graph) -> bool:
    modified = False
    for node in graph.nodes:
        does_nothing = _SAME_SHAPE.get(node.op)
        if does_nothing is None or node.dead or len(node.outputs) != 1:
            continue
        source = node.inputs[0]
        same = is_static(source) and source.shape == node.output.shape and source.quant == node.output.quant
        if same and not source.is_const and does_nothing(node):
            modified |= replace_value(graph, node.output, source)
    return modified


def merge_views(graph: Graph) -> bool:
    """A chain of reshapes, squeezes and the like is one Reshape to the last one's shape."""
    modified = False
    for node in graph.nodes:
        if node.op not in VIEWS or node.dead:
            continue
        below = node.inputs[0].producer
        dims = node.output.shape
        if below is None or below.op not in VIEWS or dims is None or dims.count(-1) > 1:
            continue
        if 0 in dims:  # in a Reshape's shape 0 means "as in the input"
            continue
        source = below.inputs[0]
        constant = shape_constant(graph, f"{node.name}_shape", open_batch(source.shape, dims))
        replace_node(graph, node, "Reshape", [source, constant])
        modified = True
    return modified
