"""Lets the operator before a ReLU or ReLU6 apply it."""

from __future__ import annotations

from converter.ir.graph import Graph
from converter.passes.rewrite import has_activation, only_use, replace_node

# Where MindSpore Lite's runtime honours activation_type. It ignores it on SubFusion and DivFusion,
# and knows no other activation than these two there.
_FUSING = frozenset(
    {
        "AddFusion",
        "Conv2DFusion",
        "Conv2dTransposeFusion",
        "FullConnection",
        "MatMulFusion",
        "MulFusion",
        "ScaleFusion",
    }
)
_FUSED = frozenset({"RELU", "RELU6"})


def fuse_activation(graph: Graph) -> bool:
    modified = False
    for node in graph.nodes:
        if node.dead or node.op != "Activation" or node.attr("activation_type") not in _FUSED:
            continue
        value = node.inputs[0]
        below = value.producer
        if below is None or below.op not in _FUSING or has_activation(below) or only_use(graph, value) is not node:
            continue
        if not value.dtype.name.startswith("FLOAT") or value.quant or node.output.quant:
            continue
        attrs = {**below.attrs, "activation_type": node.attr("activation_type")}
        new = replace_node(graph, node, below.op, below.inputs, below.quant_type, **attrs)
        new.name, new.source = below.name, below.source
        modified = True
    return modified
