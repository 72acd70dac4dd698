"""Types and shapes of ONNX values, as far as ONNX's own shape inference finds them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping

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

from converter.errors import InvalidGraphError
from converter.importers.onnx.tensors import onnx_type, shape_of
from converter.ir.graph import Shape, Value
from lite_runtime.types import DataType

# Constants up to this size are shown to shape inference.
_VISIBLE_ELEMENTS = 4096
# Vectors up to this size have their values followed through the graph.
_PROPAGATED_ELEMENTS = 1 << 20
# What functions may expand to, and how deeply they may call each other.
_MAX_NODES, _MAX_CALLS = 1_000_000, 64
_WITH_GRAPHS = frozenset(("If", "Loop", "Scan", "SequenceMap"))


def infer_model(model: ModelProto, source: str) -> ModelProto:
    """The model with what whole-graph inference finds, symbolic dimensions included; itself where that fails.

    Raises InvalidGraphError for functions that call themselves, or expand to absurdly many nodes.
    """
    _check_functions(model, source)
    _sort_axes(model.graph)
    try:
        return shape_inference.infer_shapes(model, data_prop=_values_stay_small(model.graph))
    except checker.ValidationError as error:
        raise InvalidGraphError(f"{source}: {error}") from error
    except (shape_inference.InferenceError, ValueError, RuntimeError, MemoryError):
        return model  # also when a shape it computes is absurdly large


def _sort_axes(graph: GraphProto) -> None:
    """Before opset 13, inference wants the axes of Squeeze in ascending order, which ONNX does not."""
    for node in _all_nodes(graph.node):
        for attribute in node.attribute:
            axes = list(attribute.ints)
            if node.op_type == "Squeeze" and attribute.name == "axes" and len({axis < 0 for axis in axes}) == 1:
                attribute.ints[:] = sorted(axes)


def _check_functions(model: ModelProto, source: str) -> None:
    bodies = {(f.domain, f.name): list(_all_nodes(f.node)) for f in model.functions}
    sizes: dict[tuple[str, str], int] = {}

    def expanded(nodes: Iterable[NodeProto], depth: int) -> int:
        if depth > _MAX_CALLS:
            raise InvalidGraphError(f"{source}: its functions call themselves, or each other too deeply")
        total = 0
        for node in nodes:
            key = (node.domain, node.op_type)
            if key in bodies and key not in sizes:
                sizes[key] = expanded(bodies[key], depth + 1)
            total += sizes.get(key, 1)
        return total

    count = expanded(_all_nodes(model.graph.node), 0) if bodies else 0
    if count > _MAX_NODES:
        raise InvalidGraphError(f"{source}: its functions expand to {count} nodes, more than {_MAX_NODES}")


def _all_nodes(nodes: Iterable[NodeProto]) -> Iterator[NodeProto]:
    """The nodes and those of the graphs inside them."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for graph in (attribute.g, *attribute.graphs):
                yield from _all_nodes(graph.node)


def _values_stay_small(graph: GraphProto) -> bool:
    """Whether inference may follow values too: it sets no limit to Range, nor to vectors that double."""
    sizes = {t.name: math.prod(t.dims) for t in graph.initializer if len(t.dims) == 1}
    for node in graph.node:
        inputs = [sizes.get(name, 1) for name in node.input]
        size = sum(inputs) if node.op_type == "Concat" else max(inputs, default=1)
        if node.op_type == "Range" or (node.op_type == "Concat" and size > _PROPAGATED_ELEMENTS):
            return False
        sizes.update(dict.fromkeys(node.output, size))
    return True


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
    except (shape_inference.InferenceError, checker.ValidationError, RuntimeError, ValueError, TypeError, MemoryError):
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
