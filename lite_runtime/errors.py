"""Everything that can go wrong at run time, one class per kind of failure.

All derive from RuntimeError, which is what mindspore_lite raises.
"""

from __future__ import annotations


class LiteRuntimeError(RuntimeError):
    """Base of all failures of the runtime."""


class ModelFileError(LiteRuntimeError):
    """The model file is missing or unreadable."""


class ModelFormatError(LiteRuntimeError):
    """The bytes are not a valid .ms model."""


class UnsupportedModelError(LiteRuntimeError):
    """A valid model that needs an operator, attribute or type the runtime does not offer."""


class ShapeError(LiteRuntimeError, ValueError):
    """Shapes or dtypes do not fit the model or each other."""


class ArgumentError(LiteRuntimeError, ValueError):
    """A wrong argument, for example a wrong number of inputs."""


class OutOfMemoryError(LiteRuntimeError, MemoryError):
    """Memory ran out, or a model asks for an absurd amount."""


class ExecutionError(LiteRuntimeError):
    """A value met while running is invalid, for example an index out of range."""


# By lr_status of the C interface.
BY_STATUS: dict[int, type[LiteRuntimeError]] = {
    1: ModelFileError,
    2: ModelFormatError,
    3: UnsupportedModelError,
    4: ShapeError,
    5: ArgumentError,
    6: OutOfMemoryError,
    7: ExecutionError,
}
