"""Runs .ms models (MindSpore Lite's format). The names are mindspore_lite's, so scripts change one import.

The short way:
    >>> import lite_runtime
    >>> y = lite_runtime.load("model.ms")(x)
"""

from lite_runtime._native import VERSION, isa
from lite_runtime.context import Context
from lite_runtime.custom import install_custom_kernels, register_op
from lite_runtime.errors import (
    ArgumentError,
    ExecutionError,
    LiteRuntimeError,
    ModelFileError,
    ModelFormatError,
    OutOfMemoryError,
    ShapeError,
    UnsupportedModelError,
)
from lite_runtime.interpreter import Interpreter
from lite_runtime.model import Model, ModelParallelRunner
from lite_runtime.predictor import Predictor, TensorSpec, load
from lite_runtime.tensor import Tensor
from lite_runtime.types import DataType, Format, ModelType

__version__ = VERSION

__all__ = [
    "ArgumentError",
    "Context",
    "DataType",
    "ExecutionError",
    "Format",
    "Interpreter",
    "LiteRuntimeError",
    "Model",
    "ModelFileError",
    "ModelFormatError",
    "ModelParallelRunner",
    "ModelType",
    "OutOfMemoryError",
    "Predictor",
    "ShapeError",
    "Tensor",
    "TensorSpec",
    "UnsupportedModelError",
    "__version__",
    "install_custom_kernels",
    "isa",
    "load",
    "register_op",
]
