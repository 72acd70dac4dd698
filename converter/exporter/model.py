"""The container of a .ms file: tensors, nodes and sub-graphs. Operators need no code here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from converter.errors import InvalidGraphError, OutputError
from converter.exporter.layout import tensor_formats
from converter.exporter.tables import DATA_ALIGNMENT, Offset, TableWriter
from converter.ir.graph import Graph, Model, Node, QuantParam, Value
from lite_runtime.types import DataType

IDENTIFIER = b"MSL2"
# FlatBuffers addresses with signed 32-bit offsets.
MAX_FILE_BYTES = 2**31 - 1

_CONSTANT, _VARIABLE = 0, 2  # Tensor.nodeType


def export(model: Model) -> memoryview:
    """The bytes of the .ms file; the same model gives the same bytes.

    Every graph must be in execution order and stand on its own (see ``converter.ir.verify``).
    Raises InvalidGraphError for a graph that does not, OutputError for a model of 2 GiB or more.
    """
    return assemble(model, {})[0]


def assemble(model: Model, stand_ins: Mapping[Value, tuple[int, ...]]) -> tuple[memoryview, dict[Value, int]]:
    """Like ``export``, and every value's index in the file.

    ``stand_ins`` are inputs and constants of the main graph that the file declares as inputs of the given
    shape; inputs that are not model inputs already come last, in the mapping's order.
    """
    values = _indexed_values(model)
    expected = _expected_size(model, values, stand_ins)
    if expected > MAX_FILE_BYTES:
        raise OutputError(f"{model.source}: the model needs {expected} bytes, a .ms file holds less than 2 GiB")
    writer = TableWriter(expected, model.source)
    formats: dict[Value, str] = {}
    for graph in model.graphs:
        tensor_formats(graph, formats)
    names = _unique_names(model, values)
    tensors = [Offset(writer.table("Tensor", _tensor(v, names[v], formats[v], stand_ins))) for v in values]
    nodes = list(_nodes(model))
    cnodes = [Offset(writer.table("CNode", _cnode(writer, node, values))) for node in nodes]
    index = {node: i for i, node in enumerate(nodes)}
    subgraphs = [_subgraph(i, graph, values, index) for i, graph in enumerate(model.graphs)]
    subgraphs[0]["inputIndices"] += [values[v] for v in stand_ins if v.is_const]
    root = writer.table(
        "MetaGraph",
        {
            "fmkType": model.fmk,
            "inputIndex": subgraphs[0]["inputIndices"],
            "outputIndex": subgraphs[0]["outputIndices"],
            "nodes": cnodes,
            "allTensors": tensors,
            "subGraph": subgraphs,
        },
    )
    return writer.finish(root, IDENTIFIER), values


def _nodes(model: Model) -> Iterator[Node]:
    for graph in model.graphs:
        yield from graph.nodes


def _indexed_values(model: Model) -> dict[Value, int]:
    """Every value's place in the tensor table; sub-graphs share constants, nothing else."""
    index: dict[Value, int] = {}
    for graph in model.graphs:
        defined: set[Value] = set(graph.inputs)
        for node in graph.nodes:
            for value in node.inputs:
                if value.data is None and value not in defined:
                    raise InvalidGraphError(
                        f"{model.source}: {node.op} '{node.name}' in graph '{graph.name}' reads '{value.name}' "
                        "before any node has made it"
                    )
            defined.update(node.outputs)
        for value in graph.values():
            index.setdefault(value, len(index))
    return index


def _expected_size(model: Model, values: dict[Value, int], stand_ins: Mapping[Value, tuple[int, ...]]) -> int:
    """An upper bound in practice; the builder grows when it is not."""
    data = sum(v.data.nbytes + DATA_ALIGNMENT for v in values if v.data is not None and v not in stand_ins)
    quant = sum(len(v.quant) for v in values)
    nodes = sum(len(graph.nodes) for graph in model.graphs)
    return data + 160 * len(values) + 96 * quant + 320 * nodes + 4096


def _unique_names(model: Model, values: dict[Value, int]) -> dict[Value, str]:
    """Names as they are; of values that share one, inputs and outputs of the model keep it."""
    names: dict[Value, str] = {}
    taken: set[str] = set()
    for value in (*model.main.inputs, *model.main.outputs, *values):
        if value in names:
            continue
        name, suffix = value.name, 1
        while name in taken:
            name = f"{value.name}_{suffix}"
            suffix += 1
        names[value] = name
        taken.add(name)
    return names


def _tensor(value: Value, name: str, layout: str, stand_ins: Mapping[Value, tuple[int, ...]]) -> dict[str, Any]:
    constant = value.data is not None and value not in stand_ins
    is_input = value.producer is None and not constant
    dims = stand_ins.get(value, value.shape)
    if dims is not None and (len(dims) == 0 or (min(dims) < 0 and not is_input)):
        dims = None
    dtype = value.dtype if value.dtype != DataType.UNKNOWN else DataType.FLOAT32
    if value in stand_ins and value.is_const and _is_stored_float(value):
        dtype = DataType.FLOAT32
    return {
        "nodeType": _CONSTANT if constant else _VARIABLE,
        "dataType": int(dtype),
        "dims": dims,
        "format": layout,
        "data": value.data if constant else None,
        "quantParams": [_quant_param(p) for p in value.quant] or None,
        "weightQuantCompressType": value.compression,
        "name": name,
    }


def _is_stored_float(value: Value) -> bool:
    """A constant in a compact form, which the runtime turns into float32 as it loads."""
    weight_only = any(node.quant_type in ("QUANT_WEIGHT", "WeightQuant") for node, _ in value.uses)
    return value.dtype == DataType.FLOAT16 or (bool(value.quant) and weight_only)


def _quant_param(param: QuantParam) -> dict[str, Any]:
    return {
        "scale": param.scale,
        "zeroPoint": param.zero_point,
        "min": param.min,
        "max": param.max,
        "narrowRange": param.narrow_range,
        "numBits": param.bits,
        "varCorr": param.var_corr,
        "meanCorr": param.mean_corr,
    }


def _cnode(writer: TableWriter, node: Node, values: dict[Value, int]) -> dict[str, Any]:
    return {
        "name": node.name,
        "primitive": Offset(writer.primitive(node.op, node.attrs)),
        "inputIndex": [values[v] for v in node.inputs],
        "outputIndex": [values[v] for v in node.outputs],
        "quantType": node.quant_type,
    }


def _subgraph(number: int, graph: Graph, values: dict[Value, int], index: dict[Node, int]) -> dict[str, Any]:
    return {
        "name": "subgraph_0_main_graph" if number == 0 else f"subgraph_{number}_subgraph{number}",
        "inputIndices": [values[v] for v in graph.inputs],
        "outputIndices": [values[v] for v in graph.outputs],
        "nodeIndices": [index[n] for n in graph.nodes] or None,
        "tensorIndices": sorted(values[v] for v in graph.values()),
    }
