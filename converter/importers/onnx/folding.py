"""Values that are known before the model runs, computed with ONNX's own definition of the operators.

Lowerings need axes, sizes and scales as numbers, and exporters compute them in long chains (Shape, Gather,
Concat, ...). A node is folded when all its inputs are small constants and its result is small too.
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

# Never folded: random, stateful or sequence-valued results, sub-graphs.
_NEVER = frozenset(
    (  # noqa: SIM905
        "Bernoulli Dropout If ImageDecoder Loop Multinomial Optional OptionalGetElement OptionalHasElement "
        "RandomNormal RandomNormalLike RandomUniform RandomUniformLike Scan"
    ).split()
)

# Stands for an element that is not known yet in a partly known vector, see ``Importer.fold_partly``.
UNKNOWN = -(1 << 62)


def foldable(node: NodeProto, inputs: Sequence[np.ndarray], shapes: Sequence[Shape]) -> bool:
    """Whether the node may be folded; ``shapes`` are those inferred for its outputs."""
    if node.op_type in _NEVER or node.op_type.startswith("Sequence"):
        return False
    limit = MAX_MOVED_ELEMENTS if node.op_type in MOVEMENT else MAX_ELEMENTS
    if any(s is None or math.prod(s) > limit or min(s, default=0) < 0 for s in shapes):
        return False
    return sum(a.size for a in inputs) <= limit


def fold(node: NodeProto, inputs: Mapping[str, np.ndarray], opsets: Mapping[str, int]) -> list[np.ndarray] | None:
    """The node's outputs, or None where ONNX's reference implementation does not offer it."""
    from onnx.reference import ReferenceEvaluator

    graph = helper.make_graph(
        [node],
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
