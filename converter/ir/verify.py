"""What holds for every graph, at every stage: importers promise it, every pass keeps it.

Names need not be unique: the exporter numbers those that are not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from converter.errors import InvalidGraphError
from converter.ir.graph import Graph, Model, Node, attribute_fields
from converter.schema import Field, number_type, schema
from lite_runtime.types import DataType

_SHOWN = 5


def verify(model: Model, after: str = "") -> None:
    """Raises InvalidGraphError naming the first few broken invariants; ``after`` names the pass to blame."""
    problems: list[str] = []
    for graph in model.graphs:
        for check in _GRAPH_CHECKS:
            problems += [f"graph '{graph.name}': {problem}" for problem in check(model, graph)]
    if problems:
        blame = f"pass '{after}' broke the graph: " if after else "the graph is invalid: "
        more = f" (and {len(problems) - _SHOWN} more)" if len(problems) > _SHOWN else ""
        raise InvalidGraphError(f"{model.source}: {blame}{'; '.join(problems[:_SHOWN])}{more}")


def _operators_exist(_: Model, graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.op not in schema().primitives:
            yield f"'{node.name}' has operator {node.op}, which the format does not define"


def _attributes_are_typed(_: Model, graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.op not in schema().primitives:
            continue
        fields = attribute_fields(node.op)
        for name, value in node.attrs.items():
            if name not in fields:
                yield f"{node.op} '{node.name}' has attribute '{name}', which the format does not define"
            elif not fits(fields[name], value):
                yield f"{node.op} '{node.name}', attribute {name}: {value!r} is not {describe(fields[name])}"


def _inputs_come_before_use(_: Model, graph: Graph) -> Iterator[str]:
    defined = set(graph.inputs)
    for node in graph.nodes:
        for value in node.inputs:
            if value.data is None and value not in defined:
                yield f"{node.op} '{node.name}' reads '{value.name}' before any node has made it"
        defined.update(node.outputs)
    for value in graph.outputs:
        if value.data is None and value not in defined:
            yield f"output '{value.name}' is not made by any node of the graph"


def _links_agree(_: Model, graph: Graph) -> Iterator[str]:
    """Uses and producers are what the nodes say."""
    uses: dict[Any, set[tuple[Node, int]]] = {}
    for node in graph.nodes:
        if node.dead:
            yield f"{node.op} '{node.name}' was dropped but is still listed"
        for index, value in enumerate(node.inputs):
            uses.setdefault(value, set()).add((node, index))
        for value in node.outputs:
            if value.producer is not node:
                yield f"'{value.name}' does not name '{node.name}' as its producer"
            if value.is_const:
                yield f"'{value.name}' is both a constant and a result of '{node.name}'"
    for value, found in uses.items():
        if value.data is None and set(value.uses) != found:
            yield f"the uses of '{value.name}' are not those of the nodes"


def _constants_are_whole(_: Model, graph: Graph) -> Iterator[str]:
    for value in graph.values():
        if value.data is None or value.compression != "NONE":
            continue
        held = DataType.of(value.data.dtype), tuple(value.data.shape)
        if held != (value.dtype, value.shape):
            yield f"constant '{value.name}' says {value.dtype.name} {value.shape}, it holds {held[0].name} {held[1]}"


def _inputs_have_types(_: Model, graph: Graph) -> Iterator[str]:
    for value in graph.inputs:
        if value.dtype == DataType.UNKNOWN or value.is_const or value.producer is not None:
            yield f"input '{value.name}' has no data type, a value or a producer"


def _subgraphs_exist(model: Model, graph: Graph) -> Iterator[str]:
    for node in graph.nodes:
        if node.op == "PartialFusion" and not 0 < node.attr("sub_graph_index") < len(model.graphs):
            yield f"PartialFusion '{node.name}' names sub-graph {node.attr('sub_graph_index')} of {len(model.graphs)}"


_GRAPH_CHECKS: tuple[Callable[[Model, Graph], Iterator[str]], ...] = (
    _operators_exist,
    _attributes_are_typed,
    _inputs_come_before_use,
    _links_agree,
    _constants_are_whole,
    _inputs_have_types,
    _subgraphs_exist,
)


def fits(f: Field, value: Any) -> bool:
    """Whether an attribute's value is of its field's type, as ``Node`` describes it."""
    if f.kind == "vector":
        inner = Field(f.name, f.slot, f.element, None, table=f.table, enum=f.enum)
        return isinstance(value, list) and all(fits(inner, item) for item in value)
    if f.kind == "table":
        return _fits_table(f.table, value)
    if f.kind == "string" or f.enum is not None:
        return isinstance(value, str) and (f.enum is None or value in f.enum.values)
    if f.kind == "bool":
        return isinstance(value, bool)
    if f.kind in ("float", "double"):
        return isinstance(value, (int, float)) and not isinstance(value, bool)
    kind = number_type(f.kind)
    return isinstance(value, int) and not isinstance(value, bool) and kind.min_val <= value <= kind.max_val


def _fits_table(name: str, value: Any) -> bool:
    fields = schema().tables[name].fields
    if isinstance(value, dict):
        return all(
            key in fields and (fields[key].element == "ubyte" or fits(fields[key], v)) for key, v in value.items()
        )
    return isinstance(value, list) and list(fields) == ["data"] and fits(fields["data"], value)


def describe(f: Field) -> str:
    """A field's type for an error message."""
    if f.enum is not None:
        return f"one of {', '.join(f.enum.values)}"
    names = {"vector": f"a list of {f.table or f.element}", "table": f"a {f.table} list", "bool": "True or False"}
    return names.get(f.kind, f"a {f.kind}")
