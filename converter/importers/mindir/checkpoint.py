"""MindSpore checkpoints (``.ckpt``): weights that replace those of a model with the same parameters."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from converter.errors import SourceFormatError
from converter.importers.mindir.proto import Message
from converter.importers.mindir.reader import Decryption, parse, read_file

# TensorProto.tensor_type of the parameters of a network for inference.
_TYPES = {
    "Float16": np.float16,
    "Float32": np.float32,
    "Float64": np.float64,
    "Int8": np.int8,
    "Int16": np.int16,
    "Int32": np.int32,
    "Int64": np.int64,
    "UInt8": np.uint8,
    "Bool": np.bool_,
}


def read_checkpoint(path: Path) -> dict[str, np.ndarray]:
    """The parameters by name. Raises SourceFileError or SourceFormatError.

    Those of types that no network for inference has (strings, counters of an optimiser) are left out.
    """
    parts: dict[str, list[Message]] = {}
    for value in parse("Checkpoint", read_file(path, Decryption()), str(path), "checkpoint").value:
        parts.setdefault(value.tag, []).append(value.tensor)
    if not parts:
        raise SourceFormatError(f"{path}: the checkpoint holds no parameters")
    return {name: _array(name, tensors, path) for name, tensors in parts.items() if tensors[0].tensor_type in _TYPES}


def _array(name: str, tensors: list[Message], path: Path) -> np.ndarray:
    """One parameter, from its parts."""
    shape = tuple(int(d) for d in tensors[0].dims)
    dtype = np.dtype(_TYPES[tensors[0].tensor_type])
    content = b"".join(t.tensor_content for t in tensors)
    count = 1
    for dim in shape:
        count *= dim
    if min(shape, default=0) < 0 or count * dtype.itemsize != len(content):
        raise SourceFormatError(f"{path}: parameter '{name}' of shape {list(shape)} has {len(content)} bytes")
    return np.frombuffer(content, dtype).reshape(shape)
