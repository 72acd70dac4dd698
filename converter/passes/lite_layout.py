"""Keeps MindSpore Lite's runtime from losing track of layouts: it labels tensors NHWC or NCHW and drops Transposes."""

from __future__ import annotations

import numpy as np

from converter.exporter.layout import tensor_formats
from converter.ir.graph import Graph, Node, Value
from converter.passes.rewrite import copy_type, ints, shape_constant

# Operators it refuses to compute on a 4-D tensor labelled NCHW.
_CHANNELS_LAST = frozenset(
    {
        "AvgPoolFusion",
        "Conv2DFusion",
        "Conv2dTransposeFusion",
        "DepthToSpace",
        "MaxPoolFusion",
        "PReLUFusion",
        "Resize",
        "SpaceToDepth",
    }
)


def label_channels_last(graph: Graph) -> bool:
    """A tensor that only views made channels-last gets the label NHWC.

    Only a Transpose changes a label, so the tensor passes one that moves nothing but a dimension of one element.
    Left as it is where more than one dimension is unknown.
    """
    formats: dict[Value, str] = {}
    tensor_formats(graph, formats)
    labelled: dict[Value, Value] = {}
    for node in graph.nodes:
        value = node.inputs[0] if node.op in _CHANNELS_LAST and node.inputs else None
        if value is None or value.is_const or formats[value] == "NHWC":
            continue
        if value.shape is None or len(value.shape) != 4 or value.shape.count(-1) > 1 or 0 in value.shape:
            continue
        if value not in labelled:
            labelled[value] = _labelled(graph, value, value.shape)
        node.set_input(0, labelled[value])
    return bool(labelled)


def _labelled(graph: Graph, value: Value, shape: tuple[int, ...]) -> Value:
    """The value through Reshape [n, 1, h, w * c], Transpose to [n, h, w * c, 1], and Reshape back."""
    n, h, w, c = shape
    row = -1 if -1 in (w, c) else w * c
    source, name = value, f"{value.name}_nhwc"
    if value.producer is not None and value.producer.op == "Reshape":
        source = value.producer.inputs[0]
    flat = _reshape(graph, value, source, f"{name}_rows", (n, 1, h, row))
    perm = graph.constant(f"{name}_perm", np.array((0, 2, 3, 1), np.int32))
    turned = _like(graph.add("Transpose", [flat, perm], name, source=_origin(value)).output, value, (n, h, row, 1))
    return _reshape(graph, value, turned, f"{name}_back", shape)


def _reshape(graph: Graph, like: Value, source: Value, name: str, shape: tuple[int, ...]) -> Value:
    target = shape_constant(graph, f"{name}_shape", shape)
    return _like(graph.add("Reshape", [source, target], name, source=_origin(like)).output, like, shape)


def _like(value: Value, other: Value, shape: tuple[int, ...]) -> Value:
    copy_type(value, other)
    value.shape = shape
    return value


def _origin(value: Value) -> str:
    return value.producer.source if value.producer is not None else value.name


def keep_square_transposes(graph: Graph) -> bool:
    """An ExpandDims between a Transpose and a Reshape, where the Transpose leaves the shape as it was.

    MindSpore Lite takes such a Transpose for one that does nothing, and drops it.
    """
    modified = False
    for node in graph.nodes:
        transpose = node.inputs[0].producer if node.op == "Reshape" else None
        if transpose is None or transpose.op != "Transpose" or not _may_look_idle(transpose):
            continue
        value, name = transpose.outputs[0], f"{node.name}_kept"
        axis = graph.constant(f"{name}_axis", np.array([-1], np.int32))
        kept = graph.add("ExpandDims", [value, axis], name, source=node.source).output
        copy_type(kept, value)
        kept.shape = None if value.shape is None else (*value.shape, 1)
        node.set_input(0, kept)
        modified = True
    return modified


def _may_look_idle(transpose: Node) -> bool:
    """Whether elements move while the shape may stay the same."""
    before, after = transpose.inputs[0].shape, transpose.outputs[0].shape
    perm = ints(transpose.inputs[1]) if len(transpose.inputs) > 1 else None
    if perm is not None and perm == sorted(perm):
        return False
    if before is None or after is None:
        return True
    return all(a == b or -1 in (a, b) for a, b in zip(before, after))
