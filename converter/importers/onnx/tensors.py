"""ONNX tensors as NumPy arrays: embedded, typed or external, every size checked before it is used."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from onnx import TensorProto, TypeProto, numpy_helper

from converter.errors import SourceFileError, SourceFormatError
from converter.ir.graph import Shape
from lite_runtime.types import DataType

# Element types a .ms tensor can hold.
DTYPES: dict[int, DataType] = {
    TensorProto.FLOAT: DataType.FLOAT32,
    TensorProto.UINT8: DataType.UINT8,
    TensorProto.INT8: DataType.INT8,
    TensorProto.UINT16: DataType.UINT16,
    TensorProto.INT16: DataType.INT16,
    TensorProto.INT32: DataType.INT32,
    TensorProto.INT64: DataType.INT64,
    TensorProto.BOOL: DataType.BOOL,
    TensorProto.FLOAT16: DataType.FLOAT16,
    TensorProto.DOUBLE: DataType.FLOAT64,
    TensorProto.UINT32: DataType.UINT32,
    TensorProto.UINT64: DataType.UINT64,
}
_MAX_RANK = 32  # NumPy's limit
# Packed constants are stored one element a byte.
_WIDENED: dict[int, type] = {TensorProto.INT4: np.int8, TensorProto.UINT4: np.uint8}


def type_name(elem_type: int) -> str:
    """ONNX's name of an element type."""
    known = elem_type in TensorProto.DataType.values()
    return str(TensorProto.DataType.Name(elem_type)) if known else f"type {elem_type}"


def onnx_type(dtype: DataType) -> int:
    """The ONNX element type of a DataType; raises KeyError for one ONNX lacks."""
    return next(elem for elem, known in DTYPES.items() if known == dtype)


def shape_of(type_proto: TypeProto | None) -> Shape:
    """Dimensions of a tensor type, -1 where unknown; None when not even the rank is known."""
    if type_proto is None or not type_proto.tensor_type.HasField("shape"):
        return None
    dims = type_proto.tensor_type.shape.dim
    return tuple(d.dim_value if d.HasField("dim_value") and d.dim_value >= 0 else -1 for d in dims)


def stated_dtype(type_proto: TypeProto | None) -> DataType:
    """Element type that the model states; UNKNOWN for anything a .ms tensor cannot hold."""
    if type_proto is None:
        return DataType.UNKNOWN
    return DTYPES.get(type_proto.tensor_type.elem_type, DataType.UNKNOWN)


def dtype_of(type_proto: TypeProto | None) -> DataType:
    """Element type that values of this type are computed in; UNKNOWN for what a .ms tensor cannot hold.

    float16 is a storage type in .ms models: it is computed in float32.
    """
    stated = stated_dtype(type_proto)
    return DataType.FLOAT32 if stated == DataType.FLOAT16 else stated


def to_array(tensor: TensorProto, source: str, raw: memoryview | None = None) -> np.ndarray | None:
    """The tensor's value, float16 as float32; None for element types that .ms tensors cannot hold.

    ``raw`` are its bytes where they were taken out of the message (see ``wire``), else they are read from
    the message or, mapped and read-only, from the external file it names beside ``source``.
    Raises SourceFormatError when the bytes do not fit the shape, SourceFileError for the external file.
    """
    where = f"{source}: tensor '{tensor.name}'"
    if tensor.data_type not in DTYPES and tensor.data_type not in _WIDENED:
        return None
    if any(d < 0 for d in tensor.dims) or len(tensor.dims) > _MAX_RANK:
        raise SourceFormatError(f"{where} has the shape {list(tensor.dims)[: _MAX_RANK + 1]}")
    if tensor.data_location == TensorProto.EXTERNAL:
        raw = _external(tensor, source, where)
    if tensor.data_type in _WIDENED:
        return _typed(tensor, where, raw).astype(_WIDENED[tensor.data_type])
    if raw is None and not tensor.HasField("raw_data"):
        return widened(_typed(tensor, where, None))
    return widened(_from_bytes(tensor, where, raw if raw is not None else memoryview(tensor.raw_data)))


def widened(data: np.ndarray) -> np.ndarray:
    """float16 as float32, anything else as it is."""
    return data.astype(np.float32) if data.dtype == np.float16 else data


def _from_bytes(tensor: TensorProto, where: str, raw: memoryview) -> np.ndarray:
    dtype = DTYPES[tensor.data_type].numpy.newbyteorder("<")
    expected = math.prod(tensor.dims) * dtype.itemsize
    if len(raw) != expected:
        raise SourceFormatError(
            f"{where} of shape {list(tensor.dims)} and type {type_name(tensor.data_type)} has {len(raw)} bytes, "
            f"expected {expected}"
        )
    return np.frombuffer(raw, dtype).reshape(tuple(tensor.dims))


def _typed(tensor: TensorProto, where: str, raw: memoryview | None) -> np.ndarray:
    """The value in the message's typed fields, or packed in ``raw``."""
    if raw is not None:
        tensor = TensorProto(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, raw_data=bytes(raw))
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, RuntimeError) as error:
        raise SourceFormatError(f"{where}: {error}") from error


def _external(tensor: TensorProto, source: str, where: str) -> memoryview:
    """The tensor's bytes in a file beside the model; the path may not lead out of the model's folder."""
    entries = {e.key: e.value for e in tensor.external_data}
    folder = Path(source).resolve().parent
    location = entries.get("location", "")
    sound = bool(location) and "\0" not in location and not Path(location).is_absolute()
    path = (folder / location).resolve() if sound else None
    if path is None or not path.is_relative_to(folder):
        raise SourceFileError(f"{where} is in {location!r}, which is outside the model's folder")
    if not path.is_file():
        raise SourceFileError(f"{where} is in '{location}', which is not in the model's folder {folder}")
    try:
        offset, length = int(entries.get("offset", 0)), int(entries.get("length", -1))
    except ValueError as error:
        raise SourceFormatError(f"{where}: bad offset or length of its external data ({error})") from error
    size = path.stat().st_size
    length = size - offset if length < 0 else length
    if offset < 0 or offset + length > size:
        raise SourceFileError(f"{where} is at bytes {offset} to {offset + length} of '{location}', which has {size}")
    if length == 0:
        return memoryview(b"")
    mapped: Any = np.memmap(path, np.uint8, "r", offset, (length,))
    return memoryview(mapped)
