"""Operators of the user's own, written in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import numpy as np

from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError
from lite_runtime.types import DataType

_Shape = Sequence[int]
_Type = tuple[_Shape, object]  # shape, dtype


def install_custom_kernels() -> NoReturn:
    """What MindSpore Lite copies its kernels for Ascend processors with; refused with a LiteRuntimeError."""
    raise LiteRuntimeError(
        "install_custom_kernels installs kernels for Ascend processors; models run on the CPU here and need none. "
        "For an operator of your own use register_op."
    )


def register_op(
    name: str,
    infer: Callable[..., _Type | list[_Type]],
    compute: Callable[..., np.ndarray | Sequence[np.ndarray]],
) -> None:
    """Runs Custom nodes of type ``name`` with Python functions, in this process.

    Args:
        name: the node's type; for a node that the converter let through with ``--allowCustom``, the operator's name
            in the source model. Registering a name again replaces it for models loaded later.
        infer: gets (shape, NumPy dtype) per input and the attributes as keywords; gives (shape, dtype) of the
            output, or a list of them.
        compute: gets one array per input and the attributes as keywords; gives the output array, or a sequence.

    Attributes are passed as str. An exception in either function becomes an ExecutionError of the call that runs the
    model.

    Example:
        >>> register_op("Cube", infer=lambda x: x, compute=lambda x: x**3)
    """

    def infer_call(call: _native.CustomCall) -> list[tuple[_Shape, DataType]]:
        types = infer(*((i.shape, i.dtype.numpy) for i in call.inputs), **_attributes(call))
        return [(tuple(shape), DataType.of(dtype)) for shape, dtype in (types if isinstance(types, list) else [types])]

    def compute_call(call: _native.CustomCall) -> list[np.ndarray]:
        arrays = compute(*call.values, **_attributes(call))
        return [arrays] if isinstance(arrays, np.ndarray) else list(arrays)

    _native.register_custom(name, infer_call, compute_call)
    _names.add(name)


_names: set[str] = set()


def registered_ops() -> frozenset[str]:
    """The names given to ``register_op`` in this process."""
    return frozenset(_names)


def _attributes(call: _native.CustomCall) -> dict[str, Any]:
    return {name: data.decode("utf-8", "replace") for name, data in call.attributes.items()}
