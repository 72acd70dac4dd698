"""Which memory layout each tensor of a graph is labelled with.

MindSpore Lite's shape inference insists on NHWC labels around 4-D convolutions and pools. A label says
nothing about the numbers: dimensions stand as the tensor has them.
"""

from __future__ import annotations

from converter.ir.graph import Graph, Node, Value

_PERMS: dict[tuple[int, ...], str] = {(0, 2, 3, 1): "NHWC", (0, 3, 1, 2): "NCHW"}


def tensor_formats(graph: Graph, formats: dict[Value, str]) -> None:
    """Adds a label for every value of ``graph``; its nodes must be in execution order.

    Values are NHWC until a Transpose to NCHW, and NCHW from there until a Transpose back. Exchanging the last two
    of three dimensions changes one into the other too.
    """
    for value in graph.inputs:
        to_nhwc = any(_target(node) == "NHWC" for node, index in value.uses if index == 0)
        formats.setdefault(value, "NCHW" if to_nhwc else "NHWC")
    for node in graph.nodes:
        for value in node.inputs:
            formats.setdefault(value, "NHWC")
        source = next((v for v in node.inputs if not v.is_const), None)
        inherited = formats[source] if source is not None else "NHWC"
        if _perm(node) == (0, 2, 1):
            inherited = "NHWC" if inherited == "NCHW" else "NCHW"
        for value in node.outputs:
            formats[value] = _target(node) or inherited
    for value in graph.outputs:
        formats.setdefault(value, "NHWC")


def _target(node: Node) -> str | None:
    """The layout a Transpose produces, or None for other nodes and permutations."""
    return _PERMS.get(_perm(node))


def _perm(node: Node) -> tuple[int, ...]:
    """The permutation of a Transpose; () for other nodes and unknown permutations."""
    if node.op != "Transpose" or len(node.inputs) < 2 or node.inputs[1].data is None:
        return ()
    return tuple(node.inputs[1].data.ravel().tolist())
