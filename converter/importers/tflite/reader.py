"""Reads a .tflite file into plain records. The only place that touches its untrusted bytes.

The field layout comes from the ``tflite`` package, which reads without verifying; so every vector
length is held against the file size here, and whatever the reader trips over becomes a SourceFormatError.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np

from converter.errors import SourceFileError, SourceFormatError, UsageError
from converter.ir.graph import QuantParam
from lite_runtime.types import DataType

try:
    import tflite
except ImportError as error:  # pragma: no cover - depends on the installation
    raise UsageError("TFLite models need the 'tflite' package: pip install tflite") from error

_MAX_RANK = 8
# Tables and vectors may be shared, so more entries may be read than the file has bytes, but not many more.
_ENTRIES_PER_BYTE = 8


@dataclass
class Tensor:
    """One tensor: ``data`` holds a constant's value, ``shape`` has -1 for unknown dimensions."""

    name: str
    type: str
    dtype: DataType
    shape: tuple[int, ...]
    data: np.ndarray | None = None
    quant: list[QuantParam] = field(default_factory=list)
    quant_axis: int = 0
    is_raw: bool = False  # data are undecoded bytes (strings, sparse or packed values)


@dataclass
class Operator:
    """One operator: tensor indices (-1: absent) and its options as {snake_case name: value}."""

    op: str
    inputs: list[int]
    outputs: list[int]
    options: dict[str, Any]
    custom: bytes = b""


@dataclass
class Subgraph:
    tensors: list[Tensor]
    operators: list[Operator]
    inputs: list[int]
    outputs: list[int]


def read(path: str) -> list[Subgraph]:
    """The sub-graphs of a file, the main one first.

    Raises SourceFileError when it cannot be read, SourceFormatError when it is not a valid TFLite model.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) < 8 or data[4:8] != b"TFL3":
        raise SourceFormatError(f"{path}: not a TFLite model (no TFL3 identifier)")
    try:
        return list(_Reader(data).subgraphs())
    except (struct.error, LookupError, ValueError, TypeError, AttributeError, OverflowError, RecursionError) as error:
        raise SourceFormatError(f"{path}: the TFLite model is damaged or truncated ({error})") from error


class _Reader:
    def __init__(self, data: bytes) -> None:
        self.data = data
        self._entries_left = _ENTRIES_PER_BYTE * len(data)
        self.model = tflite.Model.GetRootAs(data, 0)

    def subgraphs(self) -> Iterator[Subgraph]:
        for graph in self.items(self.model, "Subgraphs"):
            tensors = [self.tensor(t) for t in self.items(graph, "Tensors")]
            operators = [self.operator(o, len(tensors)) for o in self.items(graph, "Operators")]
            inputs, outputs = (self.indices(graph, ends, len(tensors), least=0) for ends in ("Inputs", "Outputs"))
            yield Subgraph(tensors, operators, inputs, outputs)

    def length(self, table: Any, name: str) -> int:
        """Length of a vector of 4-byte (or larger) elements, held against the file size."""
        count: int = getattr(table, f"{name}Length")()
        if count * 4 > len(self.data):
            raise ValueError(f"{name} claims {count} entries")
        return count

    def spend(self, count: int) -> None:
        self._entries_left -= count
        if self._entries_left < 0:
            raise ValueError("its tables refer to each other far more often than its size allows")

    def items(self, table: Any, name: str) -> Iterator[Any]:
        get, count = getattr(table, name), self.length(table, name)
        self.spend(count)
        return (get(i) for i in range(count))

    def indices(self, table: Any, name: str, limit: int, least: int = -1) -> list[int]:
        """Numbers of tensors; -1 stands for an operand that is absent."""
        found = [int(i) for i in self.items(table, name)]
        for index in found:
            if not least <= index < limit:
                raise ValueError(f"{name} names tensor {index} of {limit}")
        return found

    def tensor(self, t: Any) -> Tensor:
        type_name = _names(tflite.TensorType).get(t.Type())
        if type_name is None:
            raise ValueError(f"a tensor has the unknown type {t.Type()}")
        dtype = DataType.__members__.get(type_name, DataType.UNKNOWN)
        signature = list(self.items(t, "ShapeSignature"))
        shape = tuple(int(d) for d in signature or self.items(t, "Shape"))
        if len(shape) > _MAX_RANK or any(d < -1 for d in shape):
            raise ValueError(f"a tensor has shape {shape}")
        tensor = Tensor((t.Name() or b"").decode(), type_name, dtype, shape)
        self.quantization(t.Quantization(), tensor)
        raw = self.buffer(t.Buffer())
        if raw is None:
            return tensor
        if dtype is DataType.UNKNOWN or t.Sparsity() is not None:
            tensor.data, tensor.is_raw = raw, True
        elif int(np.prod(shape, dtype=np.int64)) * dtype.numpy.itemsize != raw.size:
            raise ValueError(f"constant '{tensor.name}' has {raw.size} bytes for shape {shape} of {type_name}")
        else:
            tensor.data = raw.view(dtype.numpy.newbyteorder("<")).reshape(shape)
        return tensor

    def buffer(self, index: int) -> np.ndarray | None:
        if index == 0:
            return None
        if index >= self.length(self.model, "Buffers"):
            raise ValueError(f"a tensor names buffer {index}")
        buffer = self.model.Buffers(index)
        if buffer.Offset() > 1:  # models above 2 GB keep constants behind the flatbuffer
            return np.frombuffer(self.data, np.uint8, buffer.Size(), buffer.Offset())
        if buffer.DataLength() == 0:
            return None
        if buffer.DataLength() > len(self.data):
            raise ValueError(f"buffer {index} claims {buffer.DataLength()} bytes")
        # A copy keeps no alignment surprises: flatbuffers only promises 16 bytes within the file.
        return np.array(buffer.DataAsNumpy(), copy=True)

    def quantization(self, q: Any, tensor: Tensor) -> None:
        if q is None or q.ScaleLength() == 0:
            return
        scales = list(self.items(q, "Scale"))
        zeros = [int(z) for z in self.items(q, "ZeroPoint")] or [0] * len(scales)
        if len(zeros) != len(scales):
            raise ValueError(f"'{tensor.name}' has {len(scales)} scales and {len(zeros)} zero points")
        bits = 16 if tensor.type == "INT16" else 8
        tensor.quant = [QuantParam(float(s), z, bits) for s, z in zip(scales, zeros)]
        tensor.quant_axis = q.QuantizedDimension()

    def operator(self, o: Any, tensors: int) -> Operator:
        if o.OpcodeIndex() >= self.length(self.model, "OperatorCodes"):
            raise ValueError(f"an operator names code {o.OpcodeIndex()}")
        code = self.model.OperatorCodes(o.OpcodeIndex())
        name = _names(tflite.BuiltinOperator).get(_builtin_code(code), "UNKNOWN")
        custom = b""
        if name == "CUSTOM":
            name = (code.CustomCode() or b"").decode()
            if o.CustomOptionsLength() > len(self.data):
                raise ValueError("custom options leave the file")
            custom = b"" if o.CustomOptionsIsNone() else o.CustomOptionsAsNumpy().tobytes()
        inputs = self.indices(o, "Inputs", tensors)
        return Operator(name, inputs, self.indices(o, "Outputs", tensors), self.options(o), custom)

    def options(self, o: Any) -> dict[str, Any]:
        kind = _names(tflite.BuiltinOptions).get(o.BuiltinOptionsType(), "NONE")
        table = o.BuiltinOptions()
        if kind == "NONE" or table is None:
            return {}
        options = getattr(tflite, kind)()
        options.Init(table.Bytes, table.Pos)
        values: dict[str, Any] = {}
        for name, attribute, is_vector in _option_fields(kind):
            values[name] = list(self.items(options, attribute)) if is_vector else getattr(options, attribute)()
        return values


def _builtin_code(code: Any) -> int:
    """The code of an operator: new files may state it in the wider field only, old ones in the narrow one only.

    The package's own BuiltinCode() takes the narrow field, present or not, for all codes that fit into it.
    """
    at = code._tab.Offset(10)
    wide = code._tab.Get(flatbuffers.number_types.Int32Flags, at + code._tab.Pos) if at else 0
    return max(int(wide), int(code.DeprecatedBuiltinCode()))


@cache
def _names(enum: type) -> dict[int, str]:
    return {value: name for name, value in vars(enum).items() if isinstance(value, int)}


@cache
def _option_fields(kind: str) -> list[tuple[str, str, bool]]:
    """(snake_case name, accessor, is a vector) of the scalar and vector fields of an options table."""
    methods = [m for m in vars(getattr(tflite, kind)) if m[0].isupper() and m != "Init" and not m.startswith("GetRoot")]
    methods = [m for m in methods if not m.endswith(("BufferHasIdentifier", "AsNumpy", "IsNone", "Length"))]
    every = vars(getattr(tflite, kind))
    return [(re.sub(r"(?<!^)(?=[A-Z])", "_", m).lower(), m, f"{m}Length" in every) for m in methods]
