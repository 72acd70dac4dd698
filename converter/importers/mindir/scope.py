"""What the functions that translate one primitive work with: operands, their conversion, and new nodes.

An operand is what a name in MindIR stands for: a Value of the graph being built, a Python constant (int,
float, bool, str, None, DataType, array), a tuple of operands, MONAD, Scalar or Integers (shape arithmetic
at run time), Absent (a result no inference needs), or a function closure (see ``control``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.values import ResultType, TensorType, flat_types
from converter.ir.graph import Graph, Shape, Value
from lite_runtime.types import DataType, Format

# Elements of a constant that the importer makes itself.
_MAX_MADE = 2**26


@dataclass(frozen=True)
class Scalar:
    """An integer computed at run time, held as an int32 tensor of shape [1]."""

    value: Value


@dataclass(frozen=True)
class Integers:
    """A tuple of integers computed at run time, held as an int32 tensor of shape [n]."""

    value: Value


@dataclass(frozen=True)
class Absent:
    """A result that only training reads; using it is refused."""

    what: str


class Constants:
    """The constants of a model: one Value for each weight and each transposed weight, shared by all graphs."""

    def __init__(self) -> None:
        self._transposed: dict[tuple[int, tuple[int, ...]], tuple[Value, Value]] = {}
        self._arrays: dict[int, tuple[np.ndarray, Value]] = {}

    def of_array(self, array: np.ndarray, name: str) -> Value:
        if id(array) not in self._arrays:
            self._arrays[id(array)] = (array, Value(name, DataType.of(array.dtype), tuple(array.shape), array))
        return self._arrays[id(array)][1]

    def transposed(self, value: Value, perm: Sequence[int]) -> Value:
        """The constant with its axes permuted; a view, nothing is copied."""
        key = (id(value), tuple(perm))
        if key not in self._transposed:
            assert value.data is not None
            data = value.data.transpose(perm)
            self._transposed[key] = (value, Value(value.name, value.dtype, tuple(data.shape), data))
        return self._transposed[key][1]


class Scope:
    """The node being translated: its name, what is known of its result, and the graph that grows."""

    def __init__(self, graph: Graph, constants: Constants, name: str, op: str, result: ResultType) -> None:
        self.graph = graph
        self.name = name
        self.op = op
        self.result = result
        self._constants = constants

    # New nodes and constants

    def add(self, op: str, *inputs: Value, tag: str = "", **attrs: Any) -> Value:
        """A new node with one result. The node that gives the final result has no tag, helpers have one.

        Attributes that are None stay absent.
        """
        return self.add_many(op, *inputs, outputs=1, tag=tag, **attrs)[0]

    def add_many(self, op: str, *inputs: Value, outputs: int, tag: str = "", **attrs: Any) -> list[Value]:
        name = f"{self.name}_{tag}" if tag else self.name
        attrs = {k: list(v) if isinstance(v, tuple) else v for k, v in attrs.items() if v is not None}
        return self.graph.add(op, inputs, name, outputs=outputs, source=self.name, **attrs).outputs

    def constant(self, tag: str, data: Any, dtype: Any = np.int32) -> Value:
        """A new constant; int32 unless told otherwise. Raises Malformed for numbers its type cannot hold."""
        return self.graph.constant(f"{self.name}_{tag}", _converted(data, np.dtype(dtype)))

    def filled(self, tag: str, shape: Sequence[int], number: float, dtype: Any) -> Value:
        """A new constant of one number. Refuses sizes that no model needs."""
        check_size(shape)
        return self.constant(tag, np.full(tuple(shape), number), dtype)

    def like(self, value: Value, tag: str, number: float) -> Value:
        """A scalar constant of ``value``'s type, float32 where that is unknown."""
        return self.constant(tag, number, _float_type(value))

    # Operands

    def tensor(self, operand: Any, like: Value | None = None) -> Value:
        """An operand as a tensor; Python numbers take the type of ``like`` where that can hold them."""
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, np.ndarray):
            return self._constants.of_array(operand, f"{self.name}_const")
        if isinstance(operand, Scalar):
            return self.add("Squeeze", operand.value, tag="scalar", axis=[0])
        if isinstance(operand, Integers):
            return operand.value
        if isinstance(operand, Absent):
            raise Refusal(f"it uses {operand.what}, which inference does not compute.")
        if isinstance(operand, (bool, int, float)):
            return self.constant("const", operand, _number_type(operand, like))
        if isinstance(operand, tuple):
            return self._tensor_of(operand)
        raise Malformed(f"an input is {_described(operand)} where a tensor is expected")

    def _tensor_of(self, items: tuple[Any, ...]) -> Value:
        if all(isinstance(i, (bool, int, float)) for i in items):
            return self.constant(
                "const", items, np.int64 if not any(isinstance(i, float) for i in items) else np.float32
            )
        return self.vector(items)

    def vector(self, operand: Any, tag: str = "shape") -> Value:
        """A tuple of integers, known or computed at run time, as an int32 tensor of one dimension."""
        if isinstance(operand, Integers):
            return operand.value
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, np.ndarray):
            return self.constant(tag, operand.ravel())
        items = operand if isinstance(operand, tuple) else (operand,)
        if all(_is_int(i) for i in items):
            return self.constant(tag, np.array(items, np.int64).clip(-(2**31), 2**31 - 1))
        parts = []
        for index, item in enumerate(items):
            if isinstance(item, Scalar):
                parts.append(item.value)
            elif _is_int(item):
                parts.append(self.constant(f"{tag}_{index}", [item]))
            elif isinstance(item, Value):
                parts.append(self.add("Reshape", item, self.constant("one", [1]), tag=f"{tag}_{index}"))
            else:
                raise Malformed(f"an integer is expected, found {_described(item)}")
        return parts[0] if len(parts) == 1 else self.add("Concat", *parts, tag=tag, axis=0)

    def results(self) -> list[TensorType | None]:
        """What is known of each tensor of the node's result."""
        return list(flat_types(self.result))

    def result_shape(self) -> Shape:
        known = self.results()
        return known[0].shape if len(known) == 1 and known[0] is not None else None

    def result_dtype(self) -> DataType:
        known = self.results()
        return known[0].dtype if known and known[0] is not None else DataType.UNKNOWN

    def rank(self, value: Value) -> int:
        """The number of dimensions, which most layout decisions need."""
        if value.shape is None:
            raise Refusal("the number of dimensions of its input is unknown.", suggestion="Export with static shapes.")
        return len(value.shape)

    def static_shape(self, value: Value) -> tuple[int, ...]:
        if value.shape is None or min(value.shape, default=0) < 0:
            raise Refusal("it needs an input of known size.", suggestion="Export with static shapes.")
        return value.shape

    # Layout

    def channels_last(self, value: Value, tag: str = "pre") -> Value:
        """NC... -> N...C."""
        return self.transpose(value, channels_last_perm(self.rank(value)), tag)

    def channels_first(self, value: Value, rank: int, tag: str = "post") -> Value:
        """N...C -> NC..."""
        return self.transpose(value, channels_first_perm(rank), tag)

    def transpose(self, value: Value, perm: Sequence[int], tag: str) -> Value:
        """A Transpose node; constants are transposed at once."""
        if value.shape is not None and len(perm) != len(value.shape):
            raise Malformed(f"a tensor of {len(perm)} dimensions is expected, found {len(value.shape)}")
        if value.is_const:
            return self._constants.transposed(value, perm)
        result = self.add("Transpose", value, self.constant(f"{tag}_perm", list(perm)), tag=tag)
        result.dtype = value.dtype
        result.shape = None if value.shape is None else tuple(value.shape[p] for p in perm)
        return result


def check_size(shape: Sequence[int]) -> None:
    """Refuses constants that would be made just because a shape says so, and are huge."""
    if min(shape, default=0) < 0:
        raise Malformed(f"a tensor of shape {list(shape)} is impossible")
    if math.prod(shape) > _MAX_MADE:
        raise Refusal(f"it needs a constant of shape {list(shape)}, which is too large.")


def _converted(data: Any, dtype: np.dtype) -> np.ndarray:
    array = np.asarray(data)
    if array.dtype == object:
        raise Malformed("a list of numbers is expected, all below 2**63")
    if dtype.kind in "iu" and array.size and array.dtype.kind in "iu":
        limits = np.iinfo(dtype)
        if int(array.min()) < limits.min or int(array.max()) > limits.max:
            raise Malformed(f"the number {int(array.max())} or {int(array.min())} does not fit into {dtype}")
    return array.astype(dtype, copy=False)


def _float_type(value: Value) -> Any:
    return value.dtype.numpy if value.dtype not in (DataType.UNKNOWN, DataType.INVALID) else np.float32


def _number_type(number: float, like: Value | None) -> Any:
    """Mixed arithmetic keeps the tensor's type unless it has no fractions and the number has."""
    if like is not None and like.dtype not in (DataType.UNKNOWN, DataType.INVALID):
        kind = like.dtype.numpy
        if (
            kind.kind == "f"
            or (isinstance(number, int) and kind.kind in "iu")
            or (isinstance(number, bool) and kind.kind == "b")
        ):
            return kind
    if isinstance(number, bool):
        return np.bool_
    return np.float32 if isinstance(number, float) else np.int64


def _is_int(item: Any) -> bool:
    return isinstance(item, int) and not isinstance(item, bool)


def _described(operand: Any) -> str:
    if isinstance(operand, tuple):
        return f"a sequence of {len(operand)}"
    return {"NoneType": "None", "Monad": "a monad", "Value": "a tensor"}.get(type(operand).__name__, repr(operand)[:60])


# Conversion of operands to what a function's parameter is annotated with


def _to_int(scope: Scope, operand: Any) -> int:
    if isinstance(operand, np.ndarray) and operand.size == 1 and operand.dtype.kind in "iub":
        operand = operand.item()
    if isinstance(operand, Value) and operand.data is not None:
        return _to_int(scope, operand.data)
    if isinstance(operand, (Value, Scalar, Integers)):
        raise Refusal("its value is only known at run time.")
    if isinstance(operand, int):
        return int(operand)
    raise Malformed(f"an integer is expected, found {_described(operand)}")


def to_ints(scope: Scope, operand: Any) -> list[int]:
    if isinstance(operand, Value) and operand.data is not None:
        operand = operand.data
    if isinstance(operand, np.ndarray) and operand.dtype.kind in "iu":
        return [int(i) for i in operand.ravel()]
    items = operand if isinstance(operand, tuple) else (operand,)
    return [_to_int(scope, item) for item in items]


def _to_float(scope: Scope, operand: Any) -> float:
    if isinstance(operand, Value) and operand.data is not None:
        operand = operand.data
    if isinstance(operand, np.ndarray) and operand.size == 1 and operand.dtype.kind in "iuf":
        operand = operand.item()
    if isinstance(operand, (Value, Scalar)):
        raise Refusal("its value is only known at run time.")
    if isinstance(operand, (int, float)):
        return float(operand)
    raise Malformed(f"a number is expected, found {_described(operand)}")


def _to_bool(scope: Scope, operand: Any) -> bool:
    return bool(_to_int(scope, operand))


def _to_str(scope: Scope, operand: Any) -> str:
    if isinstance(operand, str):
        return operand
    raise Malformed(f"a text is expected, found {_described(operand)}")


def _to_tensors(scope: Scope, operand: Any) -> list[Value]:
    if not isinstance(operand, tuple):
        raise Malformed(f"a sequence of tensors is expected, found {_described(operand)}")
    return [scope.tensor(item) for item in operand]


def _to_dtype(scope: Scope, operand: Any) -> DataType:
    """A type, its number, or its name."""
    try:
        if isinstance(operand, str):
            return DataType[operand.upper().replace("FLOAT_", "FLOAT")]
        return DataType(_to_int(scope, operand)) if not isinstance(operand, DataType) else operand
    except (KeyError, ValueError):
        raise Refusal(f"the element type {operand} is not supported.") from None


def _to_enum(*names: str) -> Callable[[Scope, Any], str]:
    """An enumeration that is written as its name in any case, or as its number."""

    def convert(scope: Scope, operand: Any) -> str:
        if isinstance(operand, str):
            name = operand.upper()
        else:
            number = _to_int(scope, operand)
            name = names[number] if 0 <= number < len(names) else str(number)
        if name not in names:
            raise Refusal(f"'{operand}' is not one of {', '.join(names)}.")
        return name

    return convert


def _identity(scope: Scope, operand: Any) -> Any:
    return operand


def _tensor(scope: Scope, operand: Any) -> Value:
    return scope.tensor(operand)


# Names for annotations; a function's parameters are converted by them.
Ints = Sequence[int]
Indexing = str
PadMode = str
Layout = str

CONVERTERS: dict[str, Callable[[Scope, Any], Any]] = {
    "Any": _identity,
    "Value": _tensor,
    "list[Value]": _to_tensors,
    "int": _to_int,
    "Ints": to_ints,
    "float": _to_float,
    "bool": _to_bool,
    "str": _to_str,
    "DataType": _to_dtype,
    "Indexing": _to_enum("IJ", "XY"),
    "PadMode": _to_enum("PAD", "SAME", "VALID", "FULL"),
    "Layout": _to_enum(*(Format(n).name if n in set(Format) else "" for n in range(18))),
}
