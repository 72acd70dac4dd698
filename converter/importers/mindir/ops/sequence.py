"""Tuples, side-effect tokens, and arithmetic on shapes, which the importer mostly carries out itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.registry import add, op
from converter.importers.mindir.scope import Integers, Scalar, Scope
from converter.ir.graph import Value
from lite_runtime.types import DataType


@op("MakeTuple")
def make_tuple(b: Scope, *items: Any) -> tuple[Any, ...]:
    return items


@op("TupleGetItem", "RealTupleGetItem")
def tuple_get_item(b: Scope, items: Any, index: int) -> Any:
    if isinstance(items, Integers):
        return Scalar(_element(b, items.value, index))
    if not isinstance(items, tuple):
        raise Malformed("it takes an element of something that is not a sequence")
    if not -len(items) <= index < len(items):
        raise Malformed(f"it takes element {index} of a sequence of {len(items)}")
    return items[index]


def _element(b: Scope, vector: Value, index: int) -> Value:
    """One element of a vector of integers, as a vector of one."""
    last = 2**31 - 1 if index == -1 else index + 1
    bounds = (b.constant("begin", [index]), b.constant("end", [last]), b.constant("strides", [1]))
    y = b.add("StridedSlice", vector, *bounds)
    y.dtype, y.shape = DataType.INT32, (1,)
    return y


@op("Depend")
def depend(b: Scope, value: Any, *tokens: Any) -> Any:
    return value


@op("Shape", "DynamicShape")
def shape(b: Scope, x: Value) -> Any:
    return Integers(_shape(b, x))


@op("TensorShape")
def tensor_shape(b: Scope, x: Value) -> Value:
    return _shape(b, x)


def _shape(b: Scope, x: Value) -> Value:
    y = b.add("Shape", x)
    y.dtype, y.shape = DataType.INT32, None if x.shape is None else (len(x.shape),)
    return y


@op("TupleToTensor", "TupleToArray", "ScalarToTensor", "ScalarToArray", "ListToTensor")
def to_tensor(b: Scope, x: Any, *, dtype: DataType | None = None) -> Value:
    if isinstance(x, (int, float)) and dtype is not None:
        return b.constant("value", x, dtype.numpy)
    value = b.tensor(x)
    if dtype is None or value.dtype in (dtype, DataType.UNKNOWN):
        return value
    return b.add("Cast", value, b.constant("type", [int(dtype)]))


@op("TensorToScalar", "TensorToTuple", "TensorToList")
def from_tensor(b: Scope, x: Value) -> Any:
    if x.data is not None:
        return x.data.item() if b.op == "TensorToScalar" else tuple(x.data.ravel().tolist())
    if b.op == "TensorToScalar":
        return Scalar(b.add("Reshape", x, b.constant("one", [1])))
    return Integers(x)


_SCALAR_ARITHMETIC: dict[str, tuple[str, Callable[[Any, Any], Any]]] = {
    "ScalarAdd": ("AddFusion", lambda x, y: x + y),
    "ScalarSub": ("SubFusion", lambda x, y: x - y),
    "ScalarMul": ("MulFusion", lambda x, y: x * y),
    "ScalarFloorDiv": ("FloorDiv", lambda x, y: x // y),
    "ScalarMod": ("FloorMod", lambda x, y: x % y),
    "ScalarMax": ("Maximum", max),
    "ScalarMin": ("Minimum", min),
}


def scalar_arithmetic(b: Scope, x: Any, y: Any, target: str, compute: Callable[[Any, Any], Any]) -> Any:
    """On integers that come from shapes; those that are known are computed here."""
    if all(isinstance(v, (int, float)) for v in (x, y)):
        try:
            return compute(x, y)
        except (ZeroDivisionError, OverflowError) as error:
            raise Malformed(f"its result cannot be computed: {error}") from None
    result = b.add(target, *(b.vector(v, tag) for v, tag in ((x, "x"), (y, "y"))))
    result.dtype, result.shape = DataType.INT32, (1,)
    return Scalar(result)


for _name, (_target, _compute) in _SCALAR_ARITHMETIC.items():
    add(_name, scalar_arithmetic, target=_target, compute=_compute)


@op("ScalarCast", "ScalarToDtype")
def scalar_cast(b: Scope, x: Any, dtype: DataType) -> Any:
    if dtype not in (DataType.INT32, DataType.INT64):
        raise Refusal(f"the conversion of a shape to {dtype.name} is not supported.")
    return int(x) if isinstance(x, (int, float)) else x
