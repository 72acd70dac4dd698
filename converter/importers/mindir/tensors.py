"""TensorProto to NumPy: types, sizes, and weights kept in files beside the model."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converter.errors import SourceFileError, SourceFormatError
from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.proto import Message, enum_names
from converter.importers.mindir.reader import Decryption, parse, read_file
from lite_runtime.types import DataType

_BFLOAT16 = 16
# TensorProto.DataType -> the type in the graph. The format has no 16-bit brain floats: they widen to float32.
_DTYPES: dict[int, DataType] = {
    1: DataType.FLOAT32,
    2: DataType.UINT8,
    3: DataType.INT8,
    4: DataType.UINT16,
    5: DataType.INT16,
    6: DataType.INT32,
    7: DataType.INT64,
    9: DataType.BOOL,
    10: DataType.FLOAT16,
    11: DataType.FLOAT64,
    12: DataType.UINT32,
    13: DataType.UINT64,
    _BFLOAT16: DataType.FLOAT32,
    17: DataType.FLOAT64,
}
# Numbers kept as repeated fields instead of raw bytes.
_REPEATED = ("float_data", "int32_data", "int64_data", "double_data", "uint64_data")

MAX_DIMS = 32
MAX_ELEMENTS = 2**40


def data_type(number: int) -> DataType:
    """The element type of a TensorProto.DataType; Refusal for strings, complex numbers and the like."""
    if number in _DTYPES:
        return _DTYPES[number]
    name = enum_names("TensorProto.DataType").get(number, str(number))
    raise Refusal(f"tensors of type {name} are not supported.")


def checked_shape(proto: Message, *, dynamic: bool) -> tuple[int, ...]:
    """The dimensions of a tensor, -1 for unknown ones where ``dynamic`` allows them."""
    dims = tuple(int(d) for d in proto.dims)
    if len(dims) > MAX_DIMS:
        raise Malformed(f"tensor '{proto.name}' has {len(dims)} dimensions")
    elements = 1
    for dim in dims:
        if dim < (-1 if dynamic else 0):
            raise Malformed(f"tensor '{proto.name}' has the impossible dimension {dim}")
        elements *= max(dim, 1)
    if elements > MAX_ELEMENTS:
        raise Malformed(f"tensor '{proto.name}' of shape {list(dims)} is impossibly large")
    return dims


class TensorStore:
    """Turns TensorProtos into arrays. Files beside the model are mapped once and never copied.

    External data must lie below the model's folder; or, where ``weights`` names another folder, in that one.
    """

    def __init__(self, path: Path, decrypt: Decryption, weights: Path | None = None) -> None:
        self._path = path
        self._weights = weights
        self._folder = (weights or path.parent).resolve()
        self._decrypt = decrypt
        self._files: dict[str, memoryview] = {}

    def array(self, proto: Message, raw: memoryview | None = None) -> np.ndarray:
        """The elements of a constant tensor, read-only; ``raw`` is its raw_data where that was split off.

        Raises Malformed, Refusal or SourceFileError.
        """
        if proto.compression_type or proto.quant_params:
            raise Refusal(
                f"tensor '{proto.name}' is stored compressed or quantised.",
                suggestion="Export the float model and let this converter quantise it.",
            )
        shape = checked_shape(proto, dynamic=False)
        dtype = data_type(proto.data_type)
        stored = np.dtype(np.uint16) if proto.data_type == _BFLOAT16 else dtype.numpy
        count = int(np.prod(shape, dtype=np.int64)) if shape else 1
        flat = self._flat(proto, raw, stored, count)
        if proto.data_type == _BFLOAT16:
            flat = (flat.astype(np.uint32) << 16).view(np.float32)
        array = flat.reshape(shape)
        array.flags.writeable = False
        return array

    def _flat(self, proto: Message, raw: memoryview | None, dtype: np.dtype, count: int) -> np.ndarray:
        if proto.HasField("external_data"):
            data = self._external(proto)
        elif raw is not None:
            data = raw
        elif proto.HasField("raw_data") or count == 0:
            data = memoryview(proto.raw_data)
        else:
            return _repeated(proto, dtype, count)
        if len(data) != count * dtype.itemsize:
            raise Malformed(
                f"tensor '{proto.name}' has {len(data)} bytes of data, "
                f"{list(proto.dims)} elements of type {dtype} need {count * dtype.itemsize}"
            )
        return np.frombuffer(data, dtype)

    def _external(self, proto: Message) -> memoryview:
        where = proto.external_data
        data = self._file(where.location, proto.name)
        if where.offset < 0 or where.length < 0 or where.offset + where.length > len(data):
            raise SourceFormatError(
                f"{self._path}: the weights of '{proto.name}' lie at bytes {where.offset} to "
                f"{where.offset + where.length} of '{where.location}', which has {len(data)} bytes: it is truncated"
            )
        return data[where.offset : where.offset + where.length]

    def _file(self, location: str, tensor: str) -> memoryview:
        if location not in self._files:
            sound = bool(location) and "\0" not in location
            path = (self._folder / (Path(location).name if self._weights else location)).resolve() if sound else None
            if path is None or self._folder not in path.parents:
                raise SourceFormatError(
                    f"{self._path}: the weights of '{tensor}' point outside the model's folder: {location!r}"
                )
            if not path.is_file():
                raise SourceFileError(f"{path}: this file with weights of {self._path} is missing")
            data = read_file(path, self._decrypt)
            if data[0] != 1 and not self._decrypt.key:
                raise SourceFormatError(
                    f"{path}: this is not a little-endian MindIR weights file (its first byte is {data[0]})"
                )
            self._files[location] = data
        return self._files[location]


def separate_parameters(path: Path, decrypt: Decryption, weights: Path | None = None) -> list[Message]:
    """The weights of the oldest split form: GraphProtos in ``<name>_variables/`` beside ``<name>_graph.mindir``.

    Raises SourceFileError when the folder is missing; models with another file name have none.
    """
    suffix = "_graph.mindir"
    if not path.name.endswith(suffix):
        return []
    folder = weights or path.with_name(path.name[: -len(suffix)] + "_variables")
    if not folder.is_dir():
        raise SourceFileError(f"{folder}: the folder with the weights of {path} is missing")
    found: list[Message] = []
    for file in sorted(f for f in folder.iterdir() if f.is_file() and not f.name.startswith(".")):
        found.extend(parse("GraphProto", read_file(file, decrypt), str(file)).parameter)
    return found


def _repeated(proto: Message, dtype: np.dtype, count: int) -> np.ndarray:
    for field in _REPEATED:
        values = getattr(proto, field)
        if values:
            if len(values) != count:
                raise Malformed(
                    f"tensor '{proto.name}' has {len(values)} elements, its shape {list(proto.dims)} needs {count}"
                )
            return np.array(values, np.int64 if field.startswith("int") else None).astype(dtype)
    raise Malformed(f"tensor '{proto.name}' has no data")
