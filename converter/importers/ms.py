"""Reads a .ms file (``--fmk=MSLITE``). Tables and operators need no code here: the schema drives it.

Nothing in the file is trusted: every offset and length is checked against the file's size, and the work
done is bounded by it, however the offsets point. Constants stay in the file (memory-mapped).
"""

from __future__ import annotations

import mmap
import os
import struct
from pathlib import Path
from typing import Any

import numpy as np

from converter.errors import Problem, SourceFileError, SourceFormatError, UnsupportedError
from converter.ir.graph import Graph, Model, Node, QuantParam, Value
from converter.schema import Field, number_type, schema
from lite_runtime.types import DataType

_IDENTIFIER = b"MSL2"
_CONSTANT = 0  # Tensor.nodeType
# Vectors and strings may be shared between tables, so more than the file's size may be read, but not much more.
_WORK_PER_BYTE = 32


def load(path: str | os.PathLike[str]) -> Model:
    """The model in a .ms file: names, attributes, quantisation and the order of everything as in the file.

    Raises SourceFileError, SourceFormatError, or UnsupportedError for tensors stored in other files.
    """
    source = os.fspath(path)
    try:
        with Path(path).open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)) if size else memoryview(b"")
    except (OSError, ValueError) as error:
        raise SourceFileError(f"{source}: cannot read the model file: {error}") from error
    return parse(data, source)


def parse(data: bytes | memoryview, source: str) -> Model:
    """Like ``load``, of bytes. The model's constants refer to ``data``."""
    file = _File(memoryview(data), source)
    if bytes(file.data[4:8]) != _IDENTIFIER:
        raise SourceFormatError(f"{source}: not a .ms model: bytes 4 to 8 are {bytes(file.data[4:8])!r}, not 'MSL2'")
    meta = file.table("MetaGraph", file.reference(0))
    return _ModelBuilder(meta, source).build()


class _File:
    """Generic, bounds-checked reading of tables into dictionaries. Absent fields are absent keys."""

    def __init__(self, data: memoryview, source: str) -> None:
        self.data = data
        self._source = source
        self._schema = schema()
        self._work = _WORK_PER_BYTE * len(data)

    def number(self, kind: struct.Struct, at: int) -> Any:
        if not 0 <= at <= len(self.data) - kind.size:
            raise self._damaged(f"an offset points to byte {at}")
        return kind.unpack_from(self.data, at)[0]

    def reference(self, at: int) -> int:
        return at + int(self.number(_UINT, at))

    def table(self, name: str, at: int) -> dict[str, Any]:
        vtable = at - self.number(_INT, at)
        length = self.number(_USHORT, vtable)
        self._spend(length + 4)
        values: dict[str, Any] = {}
        for f in self._schema.tables[name].fields.values():
            entry = 4 + 2 * f.slot
            offset = self.number(_USHORT, vtable + entry) if entry + 2 <= length else 0
            if offset and not f.deprecated:
                values[f.name] = self._field(f, at + offset, values)
        return values

    def _field(self, f: Field, at: int, before: dict[str, Any]) -> Any:
        if f.kind == "string":
            return self._string(self.reference(at))
        if f.kind == "table":
            return self._inner(f.table, self.reference(at))
        if f.kind == "union":
            return self._primitive(before.get("value_type", 0), self.reference(at))
        if f.kind == "vector":
            return self._vector(f, self.reference(at))
        return self._scalar(f, self.number(_struct(f.kind), at))

    def _scalar(self, f: Field, number: Any) -> Any:
        if f.enum is None or f.kind == "utype":
            return bool(number) if f.kind == "bool" else number
        try:
            return f.enum.names[number]
        except KeyError:
            raise self._damaged(f"{f.name} is {number}, which {f.enum.name} does not define") from None

    def _string(self, at: int) -> str:
        start, count = self._extent(at, 1)
        self._spend(count)
        return bytes(self.data[start : start + count]).decode("utf-8", "replace")

    def _vector(self, f: Field, at: int) -> Any:
        if f.element == "ubyte":
            start, count = self._extent(at, 1)
            return np.frombuffer(self.data[start : start + count], np.uint8)
        if f.element in ("table", "string"):
            start, count = self._extent(at, 4)
            self._spend(4 * count)
            places = [self.reference(start + 4 * i) for i in range(count)]
            return [self._inner(f.table, p) if f.element == "table" else self._string(p) for p in places]
        kind = _struct(f.element)
        start, count = self._extent(at, kind.size)
        self._spend(kind.size * count)
        numbers = struct.unpack_from(f"<{count}{kind.format[-1]}", self.data, start)
        return [self._scalar(f, n) for n in numbers]

    def _inner(self, name: str, at: int) -> Any:
        """A nested table; Vec and Vec2D are plain lists."""
        values = self.table(name, at)
        return values.get("data", []) if name in ("Vec", "Vec2D") else values

    def _primitive(self, number: int, at: int) -> tuple[str, dict[str, Any]]:
        name = self._schema.primitive_names.get(number)
        if name is None:
            raise self._damaged(f"primitive number {number} is not one of the format's {len(self._schema.primitives)}")
        return name, self.table(name, at)

    def _extent(self, at: int, size: int) -> tuple[int, int]:
        """Start and count of a vector's elements."""
        count = self.number(_UINT, at)
        if count * size > len(self.data) - at - 4:
            raise self._damaged(f"a vector of {count} elements at byte {at} leaves the file")
        return at + 4, count

    def _spend(self, amount: int) -> None:
        self._work -= amount + 1
        if self._work < 0:
            raise self._damaged("its tables refer to each other far more often than its size allows")

    def _damaged(self, what: str) -> SourceFormatError:
        return SourceFormatError(f"{self._source}: the .ms file is damaged ({len(self.data)} bytes): {what}")


_INT, _UINT, _USHORT = (struct.Struct(f) for f in ("<i", "<I", "<H"))
_STRUCTS: dict[str, struct.Struct] = {}


def _struct(kind: str) -> struct.Struct:
    if kind not in _STRUCTS:
        _STRUCTS[kind] = struct.Struct("<" + number_type(kind).packer_type.format[-1])
    return _STRUCTS[kind]


class _ModelBuilder:
    """Makes the graph of the file's tables."""

    def __init__(self, meta: dict[str, Any], source: str) -> None:
        self._meta = meta
        self._source = source
        self._tensors: list[dict[str, Any]] = meta.get("allTensors", [])
        self._values: list[Value] = []
        self._used_nodes: set[int] = set()

    def build(self) -> Model:
        self._values = [self._value(i, t) for i, t in enumerate(self._tensors)]
        subgraphs = self._meta.get("subGraph") or [self._whole()]
        for ends in ("input", "output"):
            if list(self._meta.get(f"{ends}Index", [])) != list(subgraphs[0].get(f"{ends}Indices", [])):
                raise self._invalid(
                    f"the {ends}s of the model are not those of its main graph, "
                    "so the converter that wrote it lost an operator"
                )
        if not self._meta.get("nodes"):
            raise self._invalid("it has no operators")
        graphs = [self._graph(i, s) for i, s in enumerate(subgraphs)]
        return Model(graphs, self._source, self._meta.get("fmkType", 0), channels_last=True)

    def _whole(self) -> dict[str, Any]:
        """The only graph of a file that names no sub-graphs."""
        meta = self._meta
        nodes = list(range(len(meta.get("nodes", []))))
        return {
            "name": meta.get("name", ""),
            "inputIndices": meta.get("inputIndex", []),
            "outputIndices": meta.get("outputIndex", []),
            "nodeIndices": nodes,
        }

    def _graph(self, number: int, table: dict[str, Any]) -> Graph:
        graph = Graph(table.get("name") or f"graph {number}")
        graph.inputs = [self._pick(i, "graph input") for i in table.get("inputIndices", [])]
        for index in table.get("nodeIndices", []):
            self._add_node(graph, index)
        graph.outputs = [self._pick(i, "graph output") for i in table.get("outputIndices", [])]
        return graph

    def _add_node(self, graph: Graph, index: int) -> None:
        nodes = self._meta.get("nodes", [])
        if index >= len(nodes) or index in self._used_nodes:
            raise self._invalid(f"graph '{graph.name}' lists node {index}, which does not exist or is in use")
        self._used_nodes.add(index)
        table = nodes[index]
        name = table.get("name") or f"node_{index}"
        if "value" not in table.get("primitive", {}):
            raise self._invalid(f"node '{name}' has no operator")
        op, attrs = table["primitive"]["value"]
        node = Node(op, name, attrs, name)
        node.quant_type = table.get("quantType", "QUANT_NONE")
        for i in table.get("inputIndex", []):
            node.add_input(self._pick(i, f"{op} '{name}'"))
        for i in table.get("outputIndex", []):
            value = self._pick(i, f"{op} '{name}'")
            if value.data is not None or value.producer is not None:
                raise self._invalid(f"{op} '{name}' writes tensor {i}, which is a constant or another node's result")
            value.producer = node
            node.outputs.append(value)
        if op == "Assign" and node.inputs and node.inputs[0].data is not None:
            node.inputs[0].variable = True
        graph.nodes.append(node)

    def _pick(self, index: int, where: str) -> Value:
        if index >= len(self._values):
            raise self._invalid(f"{where} refers to tensor {index} of {len(self._values)}")
        return self._values[index]

    def _value(self, index: int, table: dict[str, Any]) -> Value:
        name = table.get("name") or f"tensor_{index}"
        try:
            dtype = DataType(table.get("dataType", 0))
        except ValueError:
            raise self._unsupported(name, f"has data type {table.get('dataType')}") from None
        if table.get("externalData") or table.get("quantClusters") or table.get("enableHuffmanCode"):
            raise self._unsupported(name, "is stored outside the file, by clusters or Huffman-coded")
        dims = table.get("dims")
        constant = "data" in table or (table.get("nodeType", 0) == _CONSTANT and dims is not None and 0 in dims)
        shape = tuple(dims) if dims is not None else () if constant else None
        value = Value(name, dtype, shape)
        value.quant = [_quant_param(p) for p in table.get("quantParams", [])]
        value.compression = table.get("weightQuantCompressType", "NONE")
        if constant:
            value.data = self._data(value, table.get("data", np.empty(0, np.uint8)))
        return value

    def _data(self, value: Value, data: np.ndarray) -> np.ndarray:
        if value.compression != "NONE":
            return data
        dims = value.shape or ()
        if value.dtype in (DataType.UNKNOWN, DataType.INVALID) or min(dims, default=0) < 0:
            raise self._invalid(f"constant '{value.name}' has dimensions {list(dims)} and type {value.dtype.name}")
        dtype = value.dtype.numpy
        count = 1
        for d in dims:
            count *= d
        if count * dtype.itemsize != data.nbytes:
            raise self._invalid(
                f"constant '{value.name}' holds {data.nbytes} bytes, "
                f"its {list(dims)} {dtype} elements need {count * dtype.itemsize}"
            )
        try:
            return data.view(dtype).reshape(dims)
        except ValueError:  # too many dimensions, or too large ones beside a 0
            raise self._invalid(f"constant '{value.name}' has dimensions {list(dims)}") from None

    def _invalid(self, what: str) -> SourceFormatError:
        return SourceFormatError(f"{self._source}: the .ms file contradicts itself: {what}")

    def _unsupported(self, name: str, reason: str) -> UnsupportedError:
        return UnsupportedError(self._source, [Problem(name, "Tensor", f"it {reason}.")])


def _quant_param(table: dict[str, Any]) -> QuantParam:
    return QuantParam(
        scale=table.get("scale", 1.0),
        zero_point=table.get("zeroPoint", 0),
        bits=table.get("numBits", 8),
        narrow_range=table.get("narrowRange", True),
        min=table.get("min", 0.0),
        max=table.get("max", 0.0),
        var_corr=table.get("varCorr", 1.0),
        mean_corr=table.get("meanCorr", 0.0),
    )
