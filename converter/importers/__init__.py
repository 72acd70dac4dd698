"""Readers of model files: one package for each format, imported when it is needed."""

from __future__ import annotations

import os
from importlib import import_module
from typing import Any

from converter.errors import UsageError
from converter.ir.graph import Model

# Format name -> the package or module whose ``load(path, **options)`` reads it.
_FORMATS = {
    "MINDIR": "mindir",
    "ONNX": "onnx",
    "TFLITE": "tflite",
    "MSLITE": "ms",
}


def load(fmk: str, path: str | os.PathLike[str], **options: Any) -> Model:
    """Reads the model at ``path``; ``fmk`` is its format as --fmk names it, ``options`` are the format's own.

    Raises UsageError for a format that is not offered, otherwise what the format's ``load`` raises.
    """
    if fmk not in _FORMATS:
        raise UsageError(f"{os.fspath(path)}: fmk={fmk} is not offered: use one of {', '.join(_FORMATS)}")
    model: Model = import_module(f"converter.importers.{_FORMATS[fmk]}").load(path, **options)
    return model
