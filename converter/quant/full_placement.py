"""Which nodes compute in int8, and why the others do not.

Products run in int8 wherever they can. Other operators do only between int8 nodes: behind one, and before one. What a
normalisation or a Softmax reads stays float, as does what nothing in int8 reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from converter.ir.graph import Graph, Model, Node, Value
from converter.quant.calibration import Statistics
from converter.quant.recipe import FULL, Plan
from converter.quant.weight import is_plain_weight

PRODUCT, ARITHMETIC, KEEPING, REQUANTIZING, TABLE = "product", "arithmetic", "keeping", "requantizing", "table"

# How each operator computes in int8: sums of products; two operands; moving values, with one scale for input and
# results; results with a scale of their own; a table of all 256 results.
KINDS: dict[str, str] = {
    **dict.fromkeys(("Conv2DFusion", "Conv2dTransposeFusion", "MatMulFusion", "FullConnection"), PRODUCT),
    **dict.fromkeys(("AddFusion", "SubFusion", "MulFusion"), ARITHMETIC),
    **dict.fromkeys(
        ("MaxPoolFusion", "Reshape", "Transpose", "Squeeze", "ExpandDims", "Unsqueeze", "StridedSlice", "SliceFusion",
         "Split", "Flatten", "Gather", "TileFusion", "DepthToSpace", "SpaceToDepth", "PadFusion", "Resize"),
        KEEPING,
    ),
    **dict.fromkeys(("AvgPoolFusion", "Concat", "ReduceFusion"), REQUANTIZING),
    **dict.fromkeys(
        ("Abs", "Activation", "Ceil", "Clip", "Cos", "Elu", "Erf", "ExpFusion", "Floor", "LeakyRelu", "Log", "Log1p",
         "Neg", "Reciprocal", "Round", "Rsqrt", "Sin", "Sqrt", "Square"),
        TABLE,
    ),
}  # fmt: skip
# What they read stays float: a value far from the others decides over all their results.
_SENSITIVE = frozenset(
    {"LayerNormFusion", "InstanceNorm", "GroupNormFusion", "L2NormalizeFusion", "Softmax", "LogSoftmax", "LRN"}
)
_REDUCTIONS = frozenset({"ReduceMean", "ReduceMax", "ReduceMin", "ReduceSum"})
_CLAMPS = frozenset({"NO_ACTIVATION", "RELU", "RELU6", "RELU1"})


@dataclass
class Placement:
    """``int8``: the nodes that compute in int8; ``gives_floats``: products of these whose result is float32.
    ``reasons``: why each other node that was planned stays float."""

    int8: dict[Node, str] = field(default_factory=dict)
    gives_floats: set[Node] = field(default_factory=set)
    reasons: dict[Node, str] = field(default_factory=dict)

    def gives_int8(self, node: Node | None) -> bool:
        return node is not None and node in self.int8 and node not in self.gives_floats


def candidates(model: Model, plan: Plan) -> list[Node]:
    """The nodes of the main graph that are planned for int8 and have a form in it."""
    return [n for n in model.main.nodes if n in plan and plan[n].algorithm == FULL and n.op in KINDS]


def place(model: Model, plan: Plan, seen: Mapping[Value, Statistics]) -> Placement:
    graph = model.main
    result = Placement()
    for each in model.graphs:
        for node in each.nodes:
            if node not in plan or plan[node].algorithm != FULL:
                continue
            reason = refusal(node, seen, plan) if each is graph else "it is in a sub-graph"
            if reason:
                result.reasons[node] = reason
            else:
                result.int8[node] = KINDS[node.op]
    _settle(graph, result)
    for node, kind in result.int8.items():
        if kind == PRODUCT and node.op in ("MatMulFusion", "FullConnection"):
            all_int8 = all(reader in result.int8 for reader, _ in node.output.uses) and bool(node.output.uses)
            known = node.output in seen and seen[node.output].finite
            if needs_float_result(node) or not all_int8 or not known or graph.is_output(node.output):
                result.gives_floats.add(node)
    _settle(graph, result)
    return result


def _settle(graph: Graph, result: Placement) -> None:
    """Takes nodes that gain nothing by int8 out of it, until none is left."""
    changed = True
    while changed:
        changed = False
        for node, kind in list(result.int8.items()):
            reason = "" if kind == PRODUCT else _pointless(graph, node, result)
            if reason:
                del result.int8[node]
                result.reasons[node] = reason
                changed = True


def _pointless(graph: Graph, node: Node, placed: Placement) -> str:
    readers = [reader for value in node.outputs for reader, _ in value.uses]
    sensitive = next((r for r in readers if r.op in _SENSITIVE), None)
    if sensitive is not None and node.op not in ("Reshape", "Transpose"):
        return f"{sensitive.op} '{sensitive.name}' reads it in full precision"
    if not any(reader in placed.int8 for reader in readers):
        return "no int8 node reads its result"
    if not any(placed.gives_int8(value.producer) for value in operands(node)):
        return "its input is computed in floats"
    return ""


def operands(node: Node) -> list[Value]:
    """The inputs of a node that are quantised when it computes in int8, constants included."""
    if node.op in ("Concat", "AddFusion", "SubFusion", "MulFusion"):
        return list(node.inputs)
    if node.op == "MatMulFusion" and not node.inputs[1].is_const:
        return list(node.inputs[:2])
    return [node.inputs[0]]


def needs_float_result(node: Node) -> bool:
    """Matrix products that only have a form with float results: all but rows times a constant matrix."""
    weight = node.inputs[1]
    return node.op == "MatMulFusion" and (not weight.is_const or weight.rank != 2 or node.attr("transpose_a"))


def refusal(node: Node, seen: Mapping[Value, Statistics], plan: Plan) -> str:
    """Why a node cannot compute in int8, or ""."""
    kind = KINDS.get(node.op)
    if kind is None:
        return f"{node.op} has no int8 form"
    if node.quant_type != "QUANT_NONE" or any(v.quant for v in (*node.inputs, *node.outputs)):
        return "it is quantised already"
    reason = _CHECKS[kind](node, plan)
    if reason:
        return reason
    # A matrix product can give floats, so what is not known of its results does not matter.
    outputs = [] if node.op in ("MatMulFusion", "FullConnection") else node.outputs
    for value in (*operands(node), *outputs):
        if value.data is not None:
            if not is_plain_weight(value):
                return f"its constant '{value.name}' is not float32"
            if not np.isfinite(value.data).all():
                return f"NaN or infinity in the constant '{value.name}'"
        elif value not in seen:
            return f"the range of '{value.name}' is not known"
        elif not seen[value].finite:
            return f"'{value.name}' was NaN or infinite in calibration"
    return ""


def _product(node: Node, plan: Plan) -> str:
    weight, settings = node.inputs[1], plan[node]
    bias = node.inputs[2] if len(node.inputs) > 2 else None
    if bias is not None and not is_plain_weight(bias):
        return "its bias is not a float32 constant"
    if bias is not None and bias.data is not None and not np.isfinite(bias.data).all():
        return f"NaN or infinity in the bias '{bias.name}'"
    if node.attr("activation_type") not in _CLAMPS:
        return f"its activation {node.attr('activation_type')} has no int8 form"
    if node.op == "MatMulFusion" and not weight.is_const:
        return ""
    if not is_plain_weight(weight) or node.inputs[0].is_const:
        return "its weight is not a float32 constant"
    assert weight.data is not None
    if weight.data.size == 0:
        return "its weight is empty"
    if not np.isfinite(weight.data).all():
        return f"NaN or infinity in the weight '{weight.name}'"
    # Thresholds of weight quantisation, whose defaults are not for this.
    least = settings.values.get("min_quant_weight_size", -1)
    if weight.data.size <= least:
        return f"no more than min_quant_weight_size={least} elements"
    channels = settings.values.get("min_quant_weight_channel", -1)
    if weight.data.ndim == 4 and weight.data.shape[0] <= channels:
        return f"no more than min_quant_weight_channel={channels} channels"
    return ""


def _arithmetic(node: Node, plan: Plan) -> str:
    if len(node.inputs) != 2 or all(v.is_const for v in node.inputs):
        return "it does not have two operands"
    return "" if node.attr("activation_type") in _CLAMPS else "its activation has no int8 form"


def _keeping(node: Node, plan: Plan) -> str:
    if node.inputs[0].is_const:
        return "it reads a constant"
    if node.op == "PadFusion" and len(node.inputs) > 2:
        return "its padding value is an input"
    if node.op == "MaxPoolFusion" and node.attr("activation_type") not in _CLAMPS:
        return "its activation has no int8 form"
    if node.op == "Resize" and node.attr("method") not in ("LINEAR", "NEAREST"):
        return f"its method {node.attr('method')} gives values outside the range of its input"
    return ""


def _requantizing(node: Node, plan: Plan) -> str:
    if node.op == "ReduceFusion" and node.attr("mode") not in _REDUCTIONS:
        return f"its mode {node.attr('mode')} has no int8 form"
    if node.op == "AvgPoolFusion" and node.attr("activation_type") not in _CLAMPS:
        return "its activation has no int8 form"
    return "it reads a constant" if all(v.is_const for v in operands(node)) else ""


def _table(node: Node, plan: Plan) -> str:
    if node.op == "Clip" and any(v.data is None for v in node.inputs[1:]):
        return "its limits are computed"
    return "it reads a constant" if node.inputs[0].is_const else ""


_CHECKS = {
    PRODUCT: _product,
    ARITHMETIC: _arithmetic,
    KEEPING: _keeping,
    REQUANTIZING: _requantizing,
    TABLE: _table,
}
