"""The source formats (frameworks) a model can come from, and how to tell them apart."""

from __future__ import annotations

from enum import IntEnum
from pathlib import Path

from converter.errors import SourceFileError, UsageError


class FmkType(IntEnum):
    """Source format of a model, with MindSpore Lite's names and numbers."""

    TF = 0
    CAFFE = 1
    ONNX = 2
    MINDIR = 3
    TFLITE = 4
    PYTORCH = 5
    MSLITE = 7
    OM = 8


_SUFFIXES = {
    ".mindir": FmkType.MINDIR,
    ".onnx": FmkType.ONNX,
    ".tflite": FmkType.TFLITE,
    ".ms": FmkType.MSLITE,
    ".pb": FmkType.TF,
    ".prototxt": FmkType.CAFFE,
    ".pt": FmkType.PYTORCH,
    ".om": FmkType.OM,
}
# FlatBuffers put a file identifier after the first four bytes.
_IDENTIFIERS = {b"MSL2": FmkType.MSLITE, b"TFL3": FmkType.TFLITE}


def guess_fmk(path: Path) -> FmkType:
    """The format of a model file by its identifier or suffix. Raises SourceFileError or UsageError."""
    try:
        with path.open("rb") as file:
            identifier = file.read(8)[4:]
    except OSError as error:
        raise SourceFileError(f"{path}: cannot read the model file: {error.strerror or error}") from None
    fmk = _IDENTIFIERS.get(identifier, _SUFFIXES.get(path.suffix.lower()))
    if fmk is None:
        raise UsageError(
            f"{path}: cannot tell the format from the name: give --fmk (fmk= in Python), "
            f"one of {', '.join(FmkType.__members__)}"
        )
    return fmk
