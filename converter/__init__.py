"""Converts MindIR, ONNX and TFLite models to MindSpore Lite's .ms format.

>>> import converter
>>> report = converter.convert("net.mindir", "net.ms")
"""

from converter.api import convert
from converter.converter import Converter
from converter.errors import (
    CheckError,
    ConfigError,
    ConvertError,
    DecryptError,
    InvalidGraphError,
    OutputError,
    Problem,
    SourceFileError,
    SourceFormatError,
    UnsupportedError,
    UsageError,
)
from converter.fmk import FmkType
from converter.report import Report
from lite_runtime.types import DataType, Format, ModelType

__all__ = [
    "CheckError",
    "ConfigError",
    "ConvertError",
    "Converter",
    "DataType",
    "DecryptError",
    "FmkType",
    "Format",
    "InvalidGraphError",
    "ModelType",
    "OutputError",
    "Problem",
    "Report",
    "SourceFileError",
    "SourceFormatError",
    "UnsupportedError",
    "UsageError",
    "convert",
]
