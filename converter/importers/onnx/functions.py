"""What surrounds a node: its schema, its definition as a function, the names it reads."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from onnx import AttributeProto, FunctionProto, GraphProto, NodeProto, TypeProto, defs

from converter.importers.onnx.scope import Scope


def find_schema(domain: str, op: str, version: int) -> defs.OpSchema | None:
    try:
        schema = defs.get_schema(op, version, domain)
    except defs.SchemaError:
        return None
    return None if schema.deprecated else schema


def names_read(node: NodeProto) -> set[str]:
    """Names a node reads, those that its sub-graphs take from outside included."""
    names = {name for name in node.input if name}
    for attribute in node.attribute:
        for graph in (
            (attribute.g, *attribute.graphs) if attribute.type in (AttributeProto.GRAPH, AttributeProto.GRAPHS) else ()
        ):
            names.update(names_captured(graph))
    return names


def names_captured(graph: GraphProto) -> set[str]:
    """Names that a sub-graph takes from the graph around it."""
    own = {t.name for t in graph.initializer} | {info.name for info in graph.input}
    captured: set[str] = set()
    for node in graph.node:
        captured |= names_read(node) - own
        own.update(node.output)
    return captured | ({info.name for info in graph.output} - own)


def function_body(node: NodeProto, schema: defs.OpSchema | None, version: int, scope: Scope) -> FunctionProto | None:
    """ONNX's definition of the operator in terms of others, or None."""
    known: Any = schema
    if known is None:
        return None
    if known.has_context_dependent_function:
        versions = [v for v in known.context_dependent_function_opset_versions if v <= version]
        types = [scope.types.get(name, TypeProto()).SerializeToString() for name in node.input]
        make = known.get_context_dependent_function_with_opset_version
        return parsed_function(make(versions[-1], node.SerializeToString(), types)) if versions else None
    if known.has_function:
        versions = [v for v in known.function_opset_versions if v <= version]
        return parsed_function(known.get_function_with_opset_version(versions[-1])) if versions else None
    return None


def parsed_function(found: FunctionProto | bytes | None) -> FunctionProto | None:
    """Some versions of onnx give the function, some its bytes."""
    return (FunctionProto.FromString(found) if isinstance(found, bytes) else found) if found else None


def resolved(node: NodeProto, scope: Scope) -> NodeProto:
    """The node with attribute references and absent inputs of the function it stands in filled in."""
    references = any(a.ref_attr_name for a in node.attribute)
    if not references and not any(scope.is_absent(name) for name in node.input):
        return node
    copy = NodeProto()
    copy.CopyFrom(node)
    copy.input[:] = ["" if scope.is_absent(name) else name for name in node.input]
    del copy.attribute[:]
    for attribute in node.attribute:
        value = scope.attributes.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
        if value is not None:
            copy.attribute.add().CopyFrom(value)
            copy.attribute[-1].name = attribute.name
    return copy


def live_nodes(nodes: Iterable[NodeProto], outputs: Iterable[str]) -> list[NodeProto]:
    """The nodes that the outputs depend on, in order."""
    needed = set(outputs)
    kept = []
    for node in reversed(list(nodes)):
        if any(name in needed for name in node.output if name):
            kept.append(node)
            needed.update(names_read(node))
    return kept[::-1]
