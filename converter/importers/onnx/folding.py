"""Values that are known before the model runs, computed with ONNX's own definition of the operators.

Lowerings need axes, sizes and scales as numbers, and exporters compute them in long chains (Shape, Gather,
Concat, ...). A node of such an operator is folded when all its inputs are small constants and its result is small
too. All others are lowered, and folded by the engine: ONNX's reference implementation of the layers of networks
departs from ONNX in places.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from onnx import NodeProto, ValueInfoProto, helper

from converter.ir.graph import Shape

MAX_ELEMENTS = 1 << 16
# Operators that only rearrange: also folded for weights, which lowerings want as constants.
MOVEMENT = frozenset(
    (  # noqa: SIM905
        "Cast Concat Flatten Gather Identity Reshape Slice Split Squeeze Transpose Unsqueeze"
    ).split()
)
MAX_MOVED_ELEMENTS = 1 << 27

# Operators on numbers and shapes.
_ARITHMETIC = frozenset(
    (  # noqa: SIM905
        "Abs Add And ArgMax ArgMin BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor CastLike Ceil Clip Compress "
        "ConstantOfShape Cos Div Equal Exp Expand EyeLike Floor Gather GatherElements GatherND Greater GreaterOrEqual "
        "IsInf IsNaN Less LessOrEqual Log Max Min Mod Mul Neg NonZero Not OneHot Or Pow Range Reciprocal ReduceMax "
        "ReduceMean ReduceMin ReduceProd ReduceSum Relu Round ScatterND Shape Sigmoid Sign Sin Size Sqrt Sub Sum Tanh "
        "Tile TopK Trilu Where Xor DequantizeLinear QuantizeLinear"
    ).split()
)

# Stands for an element that is not known yet in a partly known vector, see ``Importer.fold_partly``.
UNKNOWN = -(1 << 62)


def foldable(node: NodeProto, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> bool:
    """Whether the node may be folded; ``shapes`` are those inferred for its outputs."""
    if node.op_type not in MOVEMENT | _ARITHMETIC:
        return False
    limit = MAX_MOVED_ELEMENTS if node.op_type in MOVEMENT else MAX_ELEMENTS
    if any(s is None or math.prod(s) > limit or min(s, default=0) < 0 for s in shapes):
        return False
    return sum(a.size for a in inputs) <= limit


def fold(node: NodeProto, inputs: Mapping[str, np.ndarray], opsets: Mapping[str, int]) -> list[np.ndarray] | None:
    """The node's outputs, or None where ONNX's reference implementation does not offer it."""
    from onnx.reference import ReferenceEvaluator

    inputs = _from_the_first(node, inputs)
    graph = helper.make_graph(
        [_with_sorted_axes(node, inputs)],
        "fold",
        [ValueInfoProto(name=name) for name in inputs],
        [ValueInfoProto(name=name) for name in node.output if name],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid(d, v) for d, v in opsets.items()])
    try:
        with np.errstate(all="ignore"):
            results = ReferenceEvaluator(model).run(None, dict(inputs))
    except (NotImplementedError, RuntimeError, TypeError, ValueError, LookupError, AttributeError, ArithmeticError):
        return None  # it is lowered like any other node, and refused there if it is invalid
    if not all(isinstance(r, (np.ndarray, np.generic)) for r in results):
        return None
    return [np.asarray(r) for r in results]


def _with_sorted_axes(node: NodeProto, inputs: Mapping[str, np.ndarray]) -> NodeProto:
    """The reference implementation takes the axes of older Unsqueezes one by one, which is only right in order."""
    axes = next((list(a.ints) for a in node.attribute if a.name == "axes"), [])
    if node.op_type != "Unsqueeze" or not axes:
        return node
    rank = inputs[node.input[0]].ndim + len(axes)
    return helper.make_node("Unsqueeze", node.input, node.output, axes=sorted(a % rank for a in axes))


def _from_the_first(node: NodeProto, inputs: Mapping[str, np.ndarray]) -> Mapping[str, np.ndarray]:
    """A backward Slice from before the first element takes the first, in NumPy none."""
    if node.op_type != "Slice" or len(node.input) != 5:
        return inputs
    x, starts, _, axes, steps = (inputs.get(name) for name in node.input)
    if x is None or starts is None or steps is None:
        return inputs
    lengths = np.array(x.shape)[np.arange(starts.size) if axes is None else axes.ravel()]
    limited = np.where(steps < 0, np.maximum(starts, -lengths), starts).astype(starts.dtype)
    return {**inputs, node.input[1]: limited}
