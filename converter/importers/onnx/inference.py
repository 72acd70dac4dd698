"""Types and shapes of ONNX values, as far as ONNX's own shape inference finds them."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from onnx import (
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    TensorShapeProto,
    TypeProto,
    ValueInfoProto,
    checker,
    defs,
    helper,
    numpy_helper,
    shape_inference,
)

from converter.importers.onnx.tensors import onnx_type, shape_of
from converter.ir.graph import Shape, Value
from lite_runtime.types import DataType

# Constants up to this size are shown to shape inference.
_VISIBLE_ELEMENTS = 4096
_WITH_GRAPHS = frozenset(("If", "Loop", "Scan", "SequenceMap"))


def infer_model(model: ModelProto) -> ModelProto:
    """The model with what whole-graph inference finds, symbolic dimensions included; itself where that fails."""
    try:
        return shape_inference.infer_shapes(model, data_prop=True)
    except (shape_inference.InferenceError, ValueError, RuntimeError):
        return model


def graph_types(graph: GraphProto) -> dict[str, TypeProto]:
    """Types that a graph states for its values."""
    infos: list[ValueInfoProto] = [*graph.value_info, *graph.output, *graph.input]
    return {info.name: info.type for info in infos if info.type.WhichOneof("value") is not None}


def infer_node(
    node: NodeProto,
    schema: defs.OpSchema | None,
    inputs: Mapping[str, Value],
    types: Mapping[str, TypeProto],
    opsets: Mapping[str, int],
) -> dict[str, TypeProto]:
    """Types of the node's outputs from its inputs alone; empty where ONNX cannot tell."""
    if schema is None or node.op_type in _WITH_GRAPHS:
        return {}
    known = {name: types[name] for name in inputs if name in types}
    if len(known) < len(inputs):
        return {}
    data = {name: tensor for name, value in inputs.items() if (tensor := _visible(name, value)) is not None}
    imports = [helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        found: dict[str, TypeProto] = shape_inference.infer_node_outputs(
            schema, node, known, data, opset_imports=imports
        )
    except (shape_inference.InferenceError, checker.ValidationError, RuntimeError, ValueError, TypeError):
        return {}
    return found


def type_of(value: Value) -> TypeProto | None:
    """A value's type as ONNX writes it; None for a value whose element type is not known."""
    if value.dtype == DataType.UNKNOWN:
        return None
    return helper.make_tensor_type_proto(
        onnx_type(value.dtype), None if value.shape is None else [None if d < 0 else d for d in value.shape]
    )


def merged(first: TypeProto | None, second: TypeProto | None) -> TypeProto | None:
    """What two findings about one value say together; where they differ the first one counts."""
    if first is None or second is None:
        return first if second is None else second
    shapes = shape_of(first), shape_of(second)
    if first.WhichOneof("value") != "tensor_type" or shapes[1] is None:
        return first
    shape = _merged_shape(shapes[0], shapes[1])
    result = TypeProto()
    result.CopyFrom(first)
    result.tensor_type.shape.CopyFrom(TensorShapeProto())
    for dim in shape:
        entry = result.tensor_type.shape.dim.add()
        if dim >= 0:
            entry.dim_value = dim
    if result.tensor_type.elem_type == TensorProto.UNDEFINED:
        result.tensor_type.elem_type = second.tensor_type.elem_type
    return result


def _merged_shape(first: Shape, second: tuple[int, ...]) -> tuple[int, ...]:
    if first is None:
        return second
    if len(first) != len(second):
        return first
    return tuple(b if a < 0 else a for a, b in zip(first, second))


def _visible(name: str, value: Value) -> TensorProto | None:
    if value.data is None or value.data.size > _VISIBLE_ELEMENTS:
        return None
    return numpy_helper.from_array(np.ascontiguousarray(value.data).reshape(value.data.shape), name)
