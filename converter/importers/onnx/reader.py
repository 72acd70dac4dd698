"""Opens an ONNX file: the message without its weights, and the weights as views of the mapped file."""

from __future__ import annotations

import mmap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from google.protobuf.message import DecodeError
from onnx import ModelProto, TensorProto, defs

from converter.errors import Problem, SourceFileError, SourceFormatError, UnsupportedError
from converter.importers.onnx.tensors import to_array
from converter.importers.onnx.wire import split
from converter.importers.text import check_text

OLDEST_OPSET = 7


@dataclass
class OnnxFile:
    """A parsed file.

    Attributes:
        source: its path, for messages.
        model: the message; large initialisers have no data in it.
        weights: the initialisers' values by name; None where no .ms tensor can hold the element type.
        opsets: version by domain; the default domain is "".
    """

    source: str
    model: ModelProto
    weights: dict[str, np.ndarray | None]
    opsets: dict[str, int]


def read(path: str | Path) -> OnnxFile:
    """Reads and checks the file.

    Raises SourceFileError when it, or a file it refers to, cannot be read, SourceFormatError when it is not
    a valid ONNX model of an opset this converter knows.
    """
    source = str(path)
    try:
        skeleton, raw = split(_mapped(Path(path)))
        model = ModelProto.FromString(skeleton)
        check_text(model)
    except (DecodeError, ValueError) as error:
        raise SourceFormatError(f"{source}: not an ONNX model, or a damaged one ({error})") from error
    opsets = _opsets(source, model)
    weights: dict[str, np.ndarray | None] = {}
    for index, tensor in enumerate(model.graph.initializer):
        weights[tensor.name] = to_array(tensor, source, raw.get(index))
        if index in raw:
            tensor.data_location = TensorProto.EXTERNAL  # tells shape inference not to look for the value
    if model.graph.sparse_initializer:
        reason, suggestion = "sparse constants are not offered.", "Store it as a dense initializer."
        names = [tensor.values.name for tensor in model.graph.sparse_initializer]
        raise UnsupportedError(source, [Problem(name, "Initializer", reason, "", suggestion) for name in names])
    return OnnxFile(source, model, weights, opsets)


def fix_inputs(file: OnnxFile, shapes: Mapping[str, Sequence[int]]) -> None:
    """Gives inputs other dimensions; -1 leaves one as it is. Shapes of another rank are not for this model."""
    for info in file.model.graph.input:
        dims = info.type.tensor_type.shape.dim
        given = shapes.get(info.name, ())
        if info.type.tensor_type.HasField("shape") and len(given) == len(dims):
            for dim, size in zip(dims, given):
                if size >= 0:
                    dim.dim_value = size


def _mapped(path: Path) -> memoryview:
    try:
        size = path.stat().st_size
        if size == 0:
            raise SourceFormatError(f"{path}: the file is empty")
        with path.open("rb") as file:
            return memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
    except OSError as error:
        raise SourceFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def _opsets(source: str, model: ModelProto) -> dict[str, int]:
    if not model.HasField("graph") or not model.opset_import:
        raise SourceFormatError(f"{source}: not an ONNX model (it has no graph or no opset version)")
    opsets = {"" if o.domain == "ai.onnx" else o.domain: o.version for o in model.opset_import}
    version, newest = opsets.setdefault("", OLDEST_OPSET), defs.onnx_opset_version()
    if not OLDEST_OPSET <= version <= newest:
        reason = (
            f"the converter reads opsets {OLDEST_OPSET} to {newest}, the newest that the installed onnx package knows."
        )
        suggestion = "Convert the model with onnx.version_converter, or install a newer onnx."
        raise UnsupportedError(source, [Problem(model.graph.name, f"opset {version}", reason, "", suggestion)])
    return opsets
