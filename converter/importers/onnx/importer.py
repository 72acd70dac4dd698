"""Walks an ONNX graph and lowers every node to .ms operators.

For each node in turn: find the types of its results, fold it if it is constant, else lower it by the table
(``registry``), else replace it by its function body (the model's own, or ONNX's definition of the operator).
Nodes for which nothing applies are gathered and reported together.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, defs, helper

from converter.errors import InvalidGraphError, Problem, UnsupportedError
from converter.importers.custom import alternatives, custom_node
from converter.importers.onnx import folding, inference, registry
from converter.importers.onnx.builder import Builder, Memo
from converter.importers.onnx.functions import find_schema, function_body, live_nodes, resolved
from converter.importers.onnx.quantized import MOVING, moved
from converter.importers.onnx.reader import OnnxFile
from converter.importers.onnx.registry import BECAME_INPUTS, Entry, LoweringError, find
from converter.importers.onnx.scope import Scope
from converter.importers.onnx.tensors import dtype_of, shape_of, stated_dtype, to_array, type_name, widened
from converter.ir.graph import Graph, Model, Value
from lite_runtime.types import DataType

FMK_ONNX = 2
_MAX_DEPTH = 64
# Functions may call each other twice as often at every level.
_MAX_EXPANSIONS = 1 << 14
# 8-bit constants above this many elements stay 8-bit in the file where that is possible.
_SMALL_WEIGHTS = 1024
NO_LOWERING = "no combination of .ms operators is known that computes it."


class Importer:
    """Imports one file; use ``run`` once."""

    def __init__(self, file: OnnxFile, allow_custom: bool = False) -> None:
        self.file = file
        self.allow_custom = allow_custom
        self.model = Model([Graph("main")], file.source, FMK_ONNX)
        self.problems: list[Problem] = []
        self.functions = {(f.domain, f.name): f for f in file.model.functions}
        self.depth = 0
        self.expansions = 0
        self.memo = Memo()
        # Results of refused nodes, and what was made of them: their types may be unknown for that reason alone.
        self.doubtful: set[Value] = set()

    def run(self) -> Model:
        proto = inference.infer_model(self.file.model, self.file.source).graph
        scope = Scope(self.model.main, "", self.file.opsets, types=inference.graph_types(proto))
        for name, data in self.file.weights.items():
            if data is not None:
                scope.define_constant(name, data)
        for info in proto.input:
            if info.name not in self.file.weights:
                self.add_input(scope, info.name, info.type)
        self.nodes(live_nodes(proto.node, [info.name for info in proto.output]), scope)
        for info in proto.output:
            value = self.output(scope, info.name)
            if stated_dtype(info.type) == DataType.FLOAT16:
                value.name = f"{value.name}/wide"
                value = self.cast(scope.graph, value, DataType.FLOAT16, info.name)
            scope.graph.outputs.append(value)
        if self.problems:
            raise UnsupportedError(self.file.source, self.problems)
        for graph in self.model.graphs:
            graph.cleanup()
        self.model.dynamic_weights = {value.name for value in self.memo.weights}
        return self.model

    # Inputs and outputs of graphs

    def add_input(self, scope: Scope, name: str, type_proto: TypeProto) -> Value:
        self.check_type(name, type_proto, f"input '{name}'", "Input")
        value = scope.graph.add_input(scope.prefix + name, stated_dtype(type_proto), shape_of(type_proto))
        if value.dtype == DataType.FLOAT16:
            value = self.cast(scope.graph, value, DataType.FLOAT32, f"{value.name}/wide")
        scope.define(name, value)
        return value

    def cast(self, graph: Graph, value: Value, dtype: DataType, name: str) -> Value:
        """A copy of the value in another (or the same) element type."""
        number = graph.constant(f"{name}/type", np.array(int(dtype), np.int32))
        result = graph.add("Cast", [value, number], name).output
        result.dtype, result.shape = dtype, value.shape
        return result

    def output(self, scope: Scope, name: str) -> Value:
        """The value of a graph output: made by a node of this graph and not an output already."""
        value = self.lookup(scope, name, "graph output")
        graph = scope.graph
        if value.producer is None or graph.is_output(value) or value.producer not in graph.nodes:
            value = self.cast(graph, value, value.dtype, f"{name}/copy")
        value.name = scope.prefix + name
        return value

    def inline(self, proto: GraphProto, scope: Scope) -> list[Value]:
        """Lowers a sub-graph's nodes into the scope's graph; its inputs must be defined. Gives its outputs.

        In a graph of its own every output is made by a node of that graph, as the .ms format wants it.
        """
        scope.types = {**inference.graph_types(proto), **scope.types}
        for tensor in proto.initializer:
            data = to_array(tensor, self.file.source)
            if data is not None:
                scope.define_constant(tensor.name, data)
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise InvalidGraphError(f"{self.file.source}: sub-graphs are nested deeper than {_MAX_DEPTH}")
        try:
            self.nodes(live_nodes(proto.node, [info.name for info in proto.output]), scope)
        finally:
            self.depth -= 1
        if scope.parent is not None and scope.graph is scope.parent.graph:
            return [self.lookup(scope, info.name, "sub-graph output") for info in proto.output]
        for info in proto.output:
            scope.graph.outputs.append(self.output(scope, info.name))
        outputs, scope.graph.outputs = scope.graph.outputs, []
        return outputs

    def lookup(self, scope: Scope, name: str, reader: str) -> Value:
        value = scope.lookup(name)
        if value is None:
            raise InvalidGraphError(
                f"{self.file.source}: {reader} reads '{name}', which nothing before it makes. "
                "The model is invalid: check the exporter."
            )
        return value

    # Nodes

    def nodes(self, nodes: Iterable[NodeProto], scope: Scope) -> None:
        for node in nodes:
            self.node(node, scope)

    def node(self, node: NodeProto, scope: Scope) -> None:
        node = resolved(node, scope)
        label = scope.prefix + (node.name or next((o for o in node.output if o), node.op_type))
        inputs = [self.lookup(scope, name, f"{node.op_type} '{label}'") if name else None for name in node.input]
        domain = "" if node.domain == "ai.onnx" else node.domain
        version = scope.opsets.get(domain, 1)
        schema = find_schema(domain, node.op_type, version)
        self.infer_types(node, schema, inputs, scope)
        if self.fold(node, inputs, scope) or self.define_empty(node, scope):
            return
        try:
            for name in (*node.input, *node.output):
                if name and name in scope.types:
                    self.check_type(name, scope.types[name], f"'{name}'", node.op_type)
        except LoweringError as refusal:
            self.refuse(node, label, refusal, inputs, scope)
            return
        try:
            self.lower(node, label, domain, version, schema, inputs, scope)
        except LoweringError as refusal:
            self.define(node, label, schema, version, refusal, inputs, scope)
        if node.op_type == "DynamicQuantizeLinear" and inputs[0] is not None:
            q, scale = (scope.lookup(name) for name in node.output[:2])
            if q is not None and scale is not None:
                self.memo.dynamic[q] = inputs[0], scale

    def infer_types(
        self, node: NodeProto, schema: defs.OpSchema | None, inputs: Sequence[Value | None], scope: Scope
    ) -> None:
        known = {name: value for name, value in zip(node.input, inputs) if value is not None}
        for name, value in known.items():
            found = inference.type_of(value)
            if found is not None:
                scope.types[name] = found
        for name, found in inference.infer_node(node, schema, known, scope.types, scope.opsets).items():
            merged = inference.merged(found, scope.types.get(name))
            if name and merged is not None:
                scope.types[name] = merged

    def fold(self, node: NodeProto, inputs: Sequence[Value | None], scope: Scope) -> bool:
        """Defines the node's results as constants if they are known now."""
        if node.op_type in ("Shape", "Size") and inputs and inputs[0] is not None:
            return self.fold_shape(node, inputs[0], scope)
        if node.op_type == "Constant":
            return False
        if self.keeps_integers(node, inputs):
            return False
        if not all(v is None or v.is_const for v in inputs):
            return self.fold_partly(node, inputs, scope)
        arrays = {name: v.data for name, v in zip(node.input, inputs) if v is not None and v.data is not None}
        wanted = [name for name in node.output if name]
        shapes = [shape_of(scope.types.get(name)) for name in wanted]
        if not folding.foldable(node, list(arrays.values()), shapes):
            return False
        results = folding.fold(node, arrays, scope.opsets)
        if results is None or len(results) != len(wanted):
            return False
        dtypes = [dtype_of(scope.types.get(name)) for name in wanted]
        results = [widened(result) for result in results]
        if any(d == DataType.UNKNOWN or r.dtype != d.numpy for d, r in zip(dtypes, results)):
            return False
        if any(shape != result.shape for shape, result in zip(shapes, results)):
            return False
        for name, result in zip(wanted, results):
            scope.define_constant(name, result)
        return True

    def define_empty(self, node: NodeProto, scope: Scope) -> bool:
        """Results without elements are constants, whatever the node computes."""
        names = [name for name in node.output if name]
        shapes = [shape_of(scope.types.get(name)) for name in names]
        dtypes = [dtype_of(scope.types.get(name)) for name in names]
        if not names or DataType.UNKNOWN in dtypes or any(s is None or 0 not in s or min(s) < 0 for s in shapes):
            return False
        for name, shape, dtype in zip(names, shapes, dtypes):
            scope.define_constant(name, np.zeros(shape or (), dtype.numpy))
        return True

    def fold_shape(self, node: NodeProto, x: Value, scope: Scope) -> bool:
        if x.shape is None:
            return False
        bounds = {a.name: a.i for a in node.attribute}
        dims = x.shape[slice(bounds.get("start", 0), bounds.get("end"))]
        if min(dims, default=0) >= 0:
            known = np.array(dims, np.int64)
            scope.define_constant(node.output[0], known if node.op_type == "Shape" else known.prod())
            return True
        if node.op_type == "Shape":
            scope.partial[node.output[0]] = np.array([d if d >= 0 else folding.UNKNOWN for d in dims], np.int64)
        return False

    def keeps_integers(self, node: NodeProto, inputs: Sequence[Value | None]) -> bool:
        """Whether the lowering remembers the integers that a constant comes from, which folding would not."""
        if node.op_type == "DequantizeLinear":
            return True
        if node.op_type == "Cast":
            data = inputs[0].data if inputs and inputs[0] is not None else None
            return data is not None and data.dtype in (np.int8, np.uint8) and data.size > _SMALL_WEIGHTS
        return node.op_type in ("Mul", "Transpose") and any(v in self.memo.stored for v in inputs if v is not None)

    def fold_partly(self, node: NodeProto, inputs: Sequence[Value | None], scope: Scope) -> bool:
        """Follows vectors of which some elements are known (shapes) through operators that rearrange them.

        Defines the result when it is wholly known, else notes what is known of it.
        """
        if node.op_type not in folding.MOVEMENT:
            return False
        arrays: dict[str, np.ndarray] = {}
        for index, (name, value) in enumerate(zip(node.input, inputs)):
            if value is None:
                continue
            # Only what is rearranged may be known in part, never a bound or an index.
            rearranged = index == 0 or node.op_type == "Concat"
            known = scope.partly_known(name) if value.data is None and rearranged else value.data
            if known is None:
                return False
            arrays[name] = known.astype(np.int64) if rearranged and known.dtype == np.int32 else known
        names = [name for name in node.output if name]
        dtypes = [dtype_of(scope.types.get(name)) for name in names]
        if any(dtype not in (DataType.INT32, DataType.INT64) for dtype in dtypes):
            return False
        # In 64 bits whatever the type: UNKNOWN is no 32-bit number.
        results = [*arrays.values()] if node.op_type == "Cast" else folding.fold(node, arrays, scope.opsets)
        if results is None or any(r.dtype != np.int64 for r in results):
            return False
        whole = not any((r == folding.UNKNOWN).any() for r in results)
        for name, dtype, result in zip(names, dtypes, results):
            if whole:
                scope.define_constant(name, result.astype(dtype.numpy))
            else:
                scope.partial[name] = result
        return whole

    def lower(
        self,
        node: NodeProto,
        label: str,
        domain: str,
        version: int,
        schema: defs.OpSchema | None,
        inputs: list[Value | None],
        scope: Scope,
    ) -> None:
        function = self.functions.get((domain, node.op_type))
        if function is not None:
            self.expand(node, label, function, inputs, scope)
            return
        entry = find(domain, node.op_type, version)
        if entry is None:
            known = [name for space, name in registry.entries() if space == domain]
            raise LoweringError(NO_LOWERING, suggestion=alternatives(node.op_type, known))
        attributes = self.attributes(node, schema)
        builder = Builder(scope.graph, label, node.op_type, version, [bool(o) for o in node.output], self.memo)
        results = self.call(entry, builder, node.op_type, schema, list(inputs), attributes, scope)
        self.bind(node, builder, results, scope)

    def call(
        self,
        entry: Entry,
        builder: Builder,
        op: str,
        schema: defs.OpSchema | None,
        inputs: list[Value | None],
        attributes: dict[str, Any],
        scope: Scope,
    ) -> list[Value | None]:
        since, names = BECAME_INPUTS.get(op, (0, ()))
        if builder.opset < since:
            taken = [attributes.pop(name, None) for name in names]
            inputs += [None if value is None else builder.const(attribute_array(value)) for value in taken]
        while inputs and inputs[-1] is None:
            inputs.pop()
        if len(inputs) > entry.most_inputs:
            raise LoweringError(f"its input {entry.most_inputs} is not offered.")
        if any(i >= len(inputs) or inputs[i] is None for i in entry.needed_inputs):
            raise LoweringError("an input it cannot do without is absent. The model is invalid: check the exporter.")
        inputs += [None] * (entry.stated_inputs - len(inputs))
        self.check_attributes(entry, attributes, schema)
        if "importer" in entry.attributes:
            attributes.update(importer=self, scope=scope)
        x = inputs[0] if inputs else None
        if op in MOVING and len(builder.wanted) == 1 and x in self.memo.quantized:
            found = moved(builder, x, lambda real: entry.lowering(builder, real, *inputs[1:], **attributes))
            if found is not None:
                return [found]
        results = entry.lowering(builder, *inputs, **attributes)
        return [results] if isinstance(results, Value) else list(results)

    def check_attributes(self, entry: Entry, attributes: dict[str, Any], schema: defs.OpSchema | None) -> None:
        """Drops attributes that have their default value; raises LoweringError for others the lowering lacks."""
        for name in [n for n in attributes if n not in entry.attributes]:
            default = schema.attributes[name].default_value if schema and name in schema.attributes else None
            if (
                default is None
                or default.type == AttributeProto.UNDEFINED
                or helper.get_attribute_value(default) != attributes[name]
            ):
                raise LoweringError(f"the value {attributes[name]!r} is not offered.", attribute=name)
            del attributes[name]
        missing = [name for name in entry.required - set(attributes) if name not in ("importer", "scope")]
        if missing:
            raise LoweringError(
                "the attribute is missing. The model is invalid: check the exporter.", attribute=missing[0]
            )

    def bind(self, node: NodeProto, builder: Builder, results: list[Value | None], scope: Scope) -> None:
        """Gives the node's results their ONNX names and types."""
        for index, name in enumerate(node.output):
            if not name:
                continue
            value = results[index] if index < len(results) else None
            if value is None:
                raise LoweringError(f"its output {index} ('{name}') is not offered.")
            scope.define(name, self.typed(builder, value, name, scope))
        first = next((r for r in results if r is not None), None)
        if first is not None and first.producer is not None and first.producer.source == builder.name:
            first.producer.name = builder.name

    def typed(self, builder: Builder, value: Value, name: str, scope: Scope) -> Value:
        found = scope.types.get(name)
        dtype = dtype_of(found)
        if dtype not in (DataType.UNKNOWN, value.dtype) and value.dtype == DataType.INT32:
            value = builder.cast(value, dtype)  # .ms operators give int32 where ONNX's give int64
        own = value.producer is not None and value.producer.source == builder.name
        if own and value.data is None and value.name.startswith(builder.name):
            value.name = scope.prefix + name
            value.dtype = dtype if dtype != DataType.UNKNOWN else value.dtype
            shape = shape_of(found)
            value.shape = shape if shape is not None else value.shape
        return value

    # Function bodies

    def define(
        self,
        node: NodeProto,
        label: str,
        schema: defs.OpSchema | None,
        version: int,
        refusal: LoweringError,
        inputs: Sequence[Value | None],
        scope: Scope,
    ) -> None:
        """Lowers ONNX's definition of an operator that was refused; failing that, reports one problem for all of it."""
        body = function_body(node, schema, version, scope)
        if body is None:
            self.refuse(node, label, refusal, inputs, scope)
            return
        known = len(self.problems)
        self.expand(node, label, body, inputs, scope, schema)
        inner = self.problems[known:]
        if not inner:
            return
        del self.problems[known:]
        if refusal.reason == NO_LOWERING:
            first = inner[0]
            reason = f"it is defined by operators of which {first.op} cannot be expressed: {first.reason}"
            refusal = LoweringError(reason, first.attribute, first.suggestion)
        self.refuse(node, label, refusal, inputs, scope)

    def expand(
        self,
        node: NodeProto,
        label: str,
        function: FunctionProto,
        inputs: Sequence[Value | None],
        scope: Scope,
        schema: defs.OpSchema | None = None,
    ) -> None:
        """Lowers the function's nodes in place of the node."""
        opsets = {
            **scope.opsets,
            **{"" if o.domain == "ai.onnx" else o.domain: o.version for o in function.opset_import},
        }
        body = Scope(scope.graph, f"{label}/", opsets)
        for name, value in zip(function.input, (*inputs, *[None] * len(function.input))):
            if value is None:
                body.absent.add(name)
            else:
                body.define(name, value)
        given = {a.name: a for a in node.attribute}
        defaults = (
            {} if schema is None else {n: a.default_value for n, a in schema.attributes.items() if a.default_value.type}
        )
        body.attributes = {**defaults, **{a.name: a for a in function.attribute_proto}, **given}
        self.depth += 1
        self.expansions += 1
        if self.depth > _MAX_DEPTH:
            raise InvalidGraphError(f"{self.file.source}: functions are nested deeper than {_MAX_DEPTH} at '{label}'")
        if self.expansions > _MAX_EXPANSIONS:
            raise InvalidGraphError(f"{self.file.source}: functions are called more than {_MAX_EXPANSIONS} times")
        try:
            self.nodes(live_nodes(function.node, [i for o, i in zip(node.output, function.output) if o]), body)
        finally:
            self.depth -= 1
        for name, inner in zip(node.output, function.output):
            if name:
                value = self.lookup(body, inner, f"{node.op_type} '{label}'")
                if value.producer is not None and value.name.startswith(body.prefix):
                    value.name = scope.prefix + name
                scope.define(name, value)

    # Attributes, types, problems

    def attributes(self, node: NodeProto, schema: defs.OpSchema | None) -> dict[str, Any]:
        """The node's attributes as Python values; tensors as arrays. Raises LoweringError for one of a wrong type."""
        for attribute in node.attribute:
            known = schema.attributes.get(attribute.name) if schema else None
            expected = AttributeProto.AttributeType.Name(int(known.type)) if known else ""  # type: ignore[call-overload]
            found = AttributeProto.AttributeType.Name(attribute.type)
            if known is not None and found != expected:
                raise LoweringError(
                    f"it has the type {found} instead of {expected}. The model is invalid: check the exporter.",
                    attribute=attribute.name,
                )
        return {attribute.name: self.attribute_value(attribute) for attribute in node.attribute}

    def attribute_value(self, attribute: AttributeProto) -> Any:
        value = helper.get_attribute_value(attribute)
        if attribute.type == AttributeProto.TENSOR:
            data = to_array(value, self.file.source)
            if data is None:
                raise LoweringError(
                    f"a tensor of type {type_name(value.data_type)} is not offered.", attribute=attribute.name
                )
            return data
        if attribute.type == AttributeProto.STRING:
            return value.decode("utf-8", "replace")
        if attribute.type == AttributeProto.STRINGS:
            return [v.decode("utf-8", "replace") for v in value]
        return list(value) if attribute.type in (AttributeProto.INTS, AttributeProto.FLOATS) else value

    def check_type(self, name: str, type_proto: TypeProto, what: str, op: str) -> None:
        kind = type_proto.WhichOneof("value")
        elem = type_proto.tensor_type.elem_type
        if kind == "tensor_type" and dtype_of(type_proto) != DataType.UNKNOWN:
            return
        found = type_name(elem) if kind == "tensor_type" else str(kind).replace("_type", "")
        if op == "Input":
            self.problems.append(Problem(name, op, f"a .ms model has no values of type {found}."))
            return
        raise LoweringError(f"{what} has the type {found}, which a .ms tensor cannot have.")

    def refuse(
        self, node: NodeProto, label: str, refusal: LoweringError, inputs: Sequence[Value | None], scope: Scope
    ) -> None:
        """Notes the problem and defines stand-ins for the results, so that the search goes on; or makes a Custom
        node of it."""
        if self.allow_custom:
            try:
                self.custom(node, label, inputs, scope)
                return
            except (LoweringError, ValueError) as error:
                reason = f"{refusal.reason} It cannot be a Custom node either: {error}."
                refusal = LoweringError(reason, refusal.attribute, refusal.suggestion)
        if not (refusal.consequence and any(v in self.doubtful for v in inputs)):
            self.problems.append(Problem(label, node.op_type, refusal.reason, refusal.attribute, refusal.suggestion))
        for name in node.output:
            if name:
                value = Value(scope.prefix + name, dtype_of(scope.types.get(name)), shape_of(scope.types.get(name)))
                self.doubtful.add(value)
                scope.define(name, value)

    def custom(self, node: NodeProto, label: str, inputs: Sequence[Value | None], scope: Scope) -> None:
        """A Custom node that gives the results as the file types them. Raises ValueError or LoweringError."""
        present = [value for value in inputs if value is not None]
        if len(present) < len(inputs) or any(value in self.doubtful for value in present):
            raise ValueError("an input is absent")
        attributes = self.attributes(node, None)
        if any(isinstance(value, GraphProto) for value in attributes.values()):
            raise ValueError("it has sub-graphs")
        names = [name for name in node.output if name]
        types = [scope.types.get(name) for name in names]
        results = [(scope.prefix + n, dtype_of(t), shape_of(t)) for n, t in zip(names, types)]
        for name, value in zip(names, custom_node(scope.graph, label, node.op_type, present, results, attributes)):
            scope.define(name, value)


def attribute_array(value: Any) -> np.ndarray:
    """An attribute as the input it became; ONNX has no other floats than float32 there."""
    array = np.asarray(value)
    return array.astype(np.float32) if array.dtype == np.float64 else array
