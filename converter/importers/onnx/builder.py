"""What lowerings build with: .ms nodes named after one ONNX node, constants, and what is known of values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Optional, Union

import numpy as np

from converter.importers.onnx.registry import LoweringError
from converter.ir.graph import Graph, QuantParam, Shape, Value
from lite_runtime.types import DataType

# Anything a node input can be given as; Python numbers take the dtype of the first Value among the inputs.
Operand = Union[Value, np.ndarray, float, int, bool, Sequence[int]]
MaybeValue = Optional[Value]

INT32_MIN, INT32_MAX = -(2**31), 2**31 - 1

_RESULT_DTYPE = {
    **dict.fromkeys(
        (
            "Equal",
            "NotEqual",
            "Less",
            "LessEqual",
            "Greater",
            "GreaterEqual",
            "LogicalAnd",
            "LogicalOr",
            "LogicalNot",
            "IsFinite",
        ),
        DataType.BOOL,
    ),
    **dict.fromkeys(
        ("Shape", "Size", "Rank", "ArgMaxFusion", "ArgMinFusion", "NonZero", "NonMaxSuppression"), DataType.INT32
    ),
}
# Operators whose result has the dtype of another input than the first.
_DTYPE_INPUT = {"Where": 1, "Select": 1, "OneHot": 2, "ConstantOfShape": None}
# Operators whose constant operands may be stored as integers.
_WEIGHTED = frozenset(("Conv2DFusion", "Conv2dTransposeFusion", "MatMulFusion"))
# Operators whose result has the shape that their inputs broadcast to.
_ELEMENTWISE = frozenset(
    (  # noqa: SIM905
        "Abs Activation AddFusion Ceil Cos DivFusion Equal Erf ExpFusion Floor FloorMod Greater GreaterEqual IsFinite "
        "Less LessEqual Log Log1p LogicalAnd LogicalNot LogicalOr Maximum Minimum Mod MulFusion Neg NotEqual PowFusion "
        "Reciprocal Round Rsqrt Sin Sqrt Square SubFusion Where"
    ).split()
)


@dataclass(frozen=True)
class StoredAs:
    """Integers that a constant was dequantised from: (q - zeros) * scales, one or one along ``axis``."""

    q: np.ndarray
    scales: np.ndarray
    zeros: np.ndarray
    axis: int


@dataclass(frozen=True)
class QuantizedFrom:
    """The float that a value was quantised from, with constant parameters for the whole tensor."""

    value: Value
    scale: float
    zero_point: int


@dataclass(frozen=True)
class Sums:
    """Sums of products of integers that a float was quantised to in this run, by constant integers of symmetric
    steps."""

    value: Value
    weight: Value
    zero: MaybeValue


@dataclass
class Memo:
    """What lowerings remember of values for later ones.

    ``dynamic``: the float that a value was quantised from in this run, and its scale; ``steps``: products of such a
    scale with the constant scale of a weight; ``weights``: those of products that are to be computed so.
    """

    stored: dict[Value, StoredAs] = field(default_factory=dict)
    quantized: dict[Value, QuantizedFrom] = field(default_factory=dict)
    dynamic: dict[Value, tuple[Value, Value]] = field(default_factory=dict)
    sums: dict[Value, Sums] = field(default_factory=dict)
    steps: dict[Value, tuple[Value, Value]] = field(default_factory=dict)
    weights: list[Value] = field(default_factory=list)


class Builder:
    """Adds the .ms nodes that stand for one ONNX node.

    Attributes:
        graph: where nodes go.
        name: name of the ONNX node; the nodes are called ``name/Operator``, numbered from the second of a kind on.
        op: its operator.
        opset: opset version of its domain.
        wanted: for each of its outputs, whether it is used.
        memo: shared by all nodes of a model.
    """

    def __init__(
        self, graph: Graph, name: str, op: str, opset: int, wanted: Sequence[bool], memo: Memo | None = None
    ) -> None:
        self.graph = graph
        self.name = name
        self.op_type = op
        self.opset = opset
        self.wanted = tuple(wanted)
        self.memo = memo if memo is not None else Memo()
        self._counts: dict[str, int] = {}

    # Nodes

    def op(self, op: str, *inputs: Operand, dtype: DataType | None = None, **attrs: Any) -> Value:
        """Adds a node with one output."""
        return self.ops(op, inputs, 1, dtype=dtype, **attrs)[0]

    def ops(
        self, op: str, inputs: Sequence[Operand], count: int, *, dtype: DataType | None = None, **attrs: Any
    ) -> list[Value]:
        """Adds a node with ``count`` outputs."""
        values = self._operands(inputs)
        name = self._unique(op)
        names = [name] if count == 1 else [f"{name}:{i}" for i in range(count)]
        node = self.graph.add(op, values, name, outputs=names, source=self.name, **attrs)
        if op in _WEIGHTED and any(v.is_const and v.quant for v in values):
            node.quant_type = "QUANT_WEIGHT"
        for output in node.outputs:
            output.dtype = _result_dtype(op, values) if dtype is None else dtype
            output.shape = _result_shape(op, values, attrs)
        return node.outputs

    def cast(self, x: Value, dtype: DataType) -> Value:
        """x with another element type; x itself when it has it."""
        if x.dtype == dtype:
            return x
        if x.data is not None and x.data.size <= 4096:
            return self.const(x.data.astype(dtype.numpy))
        result = self.op("Cast", x, np.array(int(dtype), np.int32), dtype=dtype)
        result.shape = x.shape
        return result

    def transpose(self, x: Value, perm: Sequence[int]) -> Value:
        if list(perm) == list(range(len(perm))):
            return x
        result = self.op("Transpose", x, list(perm))
        if x.shape is not None and len(x.shape) == len(perm):
            result.shape = tuple(x.shape[i] for i in perm)
        return result

    def reshape(self, x: Value, shape: Sequence[int] | Value) -> Value:
        """x in another shape; a -1 stands for what is left over. A zero in a list is a dimension of 0."""
        if isinstance(shape, Value):
            return self.op("Reshape", x, shape)
        if 0 in shape and min(shape) >= 0 and x.dtype is not None:
            # Reshape itself would take the zero for the length of x's dimension.
            return self.const(np.zeros(shape, x.dtype.numpy))
        result = self.op("Reshape", x, list(shape))
        result.shape = tuple(shape)
        return result

    def squeeze(self, x: Value, axes: Sequence[int]) -> Value:
        return self.op("Squeeze", x, axis=list(axes)) if axes else x

    def unsqueeze(self, x: Value, axes: Sequence[int]) -> Value:
        """Inserts dimensions of 1 at ``axes`` of the result (all >= 0)."""
        for axis in sorted(axes):
            x = self.op("ExpandDims", x, np.array(axis, np.int32))
        return x

    def reduce(self, mode: str, x: Value, axes: Sequence[int] | Value, keep_dims: bool = True) -> Value:
        return self.op("ReduceFusion", x, axes, mode=mode, keep_dims=keep_dims, coeff=1.0)

    def slice(self, x: Value, rank: int, axis: int, begin: int, end: int, step: int = 1) -> Value:
        """x[..., begin:end:step, ...] along one axis; ``end`` INT32_MAX goes to the last element."""
        begins, ends, steps = [0] * rank, [INT32_MAX] * rank, [1] * rank
        begins[axis], ends[axis], steps[axis] = begin, end, step
        others = sum(1 << i for i in range(rank) if i != axis)
        mask = others | (1 << axis if end == INT32_MAX else 0)
        return self.op("StridedSlice", x, begins, ends, steps, begin_mask=others, end_mask=mask)

    def gather(self, x: Value, indices: Operand, axis: int = 0) -> Value:
        return self.op("Gather", x, indices, np.array(axis, np.int32))

    def concat(self, values: Sequence[Operand], axis: int = 0) -> Value:
        return self.op("Concat", *values, axis=axis)

    def where(self, condition: Value, x: Operand, y: Operand) -> Value:
        """Element-wise choice with broadcasting."""
        dtype = next((v.dtype for v in (x, y) if isinstance(v, Value)), DataType.FLOAT32)
        choices = [self._operand(v, dtype) for v in (x, y)]
        return self.op("Where", condition, *choices, dtype=dtype)

    def shape_of(self, x: Value) -> Value:
        """The shape as an int32 vector: a constant where all dimensions are known, else computed at run time."""
        if x.shape is not None and min(x.shape, default=0) >= 0:
            return self.const(np.array(x.shape, np.int32))
        return self.op("Shape", x)

    # Constants

    def const(self, data: np.ndarray) -> Value:
        return self.graph.constant(f"{self._unique('const')}", np.ascontiguousarray(data).reshape(data.shape))

    def dequantized(self, q: np.ndarray, scales: np.ndarray, zeros: np.ndarray, axis: int) -> Value:
        """The float constant (q - zeros) * scales, and a note of where it comes from.

        ``scales`` and ``zeros`` hold one number, or one for each position along ``axis``.
        """
        shape = [-1 if i == axis else 1 for i in range(q.ndim)] if scales.size > 1 else ()
        scale, zero = scales.astype(np.float32).reshape(shape), zeros.astype(np.int64).reshape(shape)
        # Integers above 24 bits (biases) lose digits in float32, so the difference is taken before.
        result = self.const(((q - zero).astype(np.float32) * scale).astype(np.float32))
        if q.dtype in (np.int8, np.uint8):
            self.memo.stored[result] = StoredAs(q, scale.ravel(), zero.ravel(), axis)
        return result

    def weights(self, w: Value, data: np.ndarray, order: Sequence[int], channel: int) -> Value:
        """The constant w for a convolution or matrix product, with its dimensions in another order.

        ``data`` are its numbers in that order. Where w was dequantised from 8-bit integers, by channels along
        dimension ``channel`` of the result or by one scale, these are what is stored.
        """
        origin = self.memo.stored.get(w)
        if origin is None or (origin.scales.size > 1 and origin.axis != order[channel]):
            return self.const(data)
        q, zeros = origin.q, origin.zeros
        if q.dtype == np.uint8:
            q, zeros = (q.astype(np.int16) - 128).astype(np.int8), zeros - 128
        value = self.const(np.ascontiguousarray(q.transpose(order)).reshape(data.shape))
        value.quant = [QuantParam(float(s), int(z), narrow_range=False) for s, z in zip(origin.scales, zeros)]
        return value

    def scalar(self, value: float, like: Value) -> Value:
        """A rank-0 constant of the dtype of ``like``."""
        return self._operand(value, like.dtype)

    def int32(self, x: Value) -> Value:
        """x as int32: what .ms operators take for axes, shapes and indices. Constants are clamped."""
        if x.data is None:
            return self.cast(x, DataType.INT32)
        if x.data.dtype == np.int32:
            return x
        return self.const(np.clip(x.data, INT32_MIN, INT32_MAX).astype(np.int32))

    # What is known

    def rank(self, x: Value) -> int:
        """Number of dimensions; raises LoweringError when it is not known."""
        if x.shape is None:
            raise LoweringError(
                f"the rank of its input '{x.name}' is not known.",
                suggestion="Fix the input shapes with --inputShape.",
                consequence=True,
            )
        return len(x.shape)

    def dims(self, x: Value) -> tuple[int, ...] | None:
        """All dimensions when every one is known, else None."""
        return x.shape if x.shape is not None and min(x.shape, default=0) >= 0 else None

    def need_dims(self, x: Value, why: str) -> tuple[int, ...]:
        """All dimensions; raises LoweringError when one is unknown."""
        dims = self.dims(x)
        if dims is None:
            raise LoweringError(
                f"{why} needs the shape of '{x.name}', which is only known at run time.",
                suggestion="Fix the input shapes with --inputShape.",
                consequence=x.shape is None,
            )
        return dims

    def axis(self, axis: int, rank: int) -> int:
        """The axis counted from the front; raises LoweringError when it is out of range."""
        if not -rank <= axis < rank:
            raise LoweringError(f"axis {axis} is outside the {rank} dimensions of its input.", attribute="axis")
        return axis % rank

    def ints(self, x: Value, what: str) -> list[int]:
        """The value of a constant integer tensor; raises LoweringError when it is not constant."""
        if x.data is None:
            raise LoweringError(
                f"{what} is computed at run time ('{x.name}').", suggestion=f"Make {what} a constant of the model."
            )
        return [int(v) for v in x.data.ravel()]

    def number(self, x: MaybeValue, default: float, what: str) -> float:
        """The value of a constant scalar, or the default when the input is absent."""
        if x is None:
            return default
        if x.data is None or x.data.size != 1:
            raise LoweringError(f"{what} is not a constant scalar ('{x.name}').")
        return float(x.data.ravel()[0])

    def refuse(self, reason: str, attribute: str = "", suggestion: str = "") -> LoweringError:
        """The exception to raise: ``raise b.refuse("...")``."""
        return LoweringError(reason, attribute, suggestion)

    def _operands(self, inputs: Sequence[Operand]) -> list[Value]:
        dtype = next((v.dtype for v in inputs if isinstance(v, Value)), DataType.FLOAT32)
        return [self._operand(v, dtype) for v in inputs]

    def _operand(self, operand: Operand, dtype: DataType) -> Value:
        if isinstance(operand, Value):
            return operand
        if isinstance(operand, np.ndarray):
            return self.const(operand)
        if isinstance(operand, (bool, int, float)):
            numpy = np.float32 if dtype == DataType.UNKNOWN else dtype.numpy
            return self.const(np.array(operand, numpy))
        return self.const(np.array(list(operand), np.int32))

    def _unique(self, op: str) -> str:
        count = self._counts[op] = self._counts.get(op, 0) + 1
        return f"{self.name}/{op}" if count == 1 else f"{self.name}/{op}_{count - 1}"


def _result_dtype(op: str, inputs: Sequence[Value]) -> DataType:
    if op in _RESULT_DTYPE:
        return _RESULT_DTYPE[op]
    index = _DTYPE_INPUT.get(op, 0)
    return inputs[index].dtype if index is not None and index < len(inputs) else DataType.UNKNOWN


def _result_shape(op: str, inputs: Sequence[Value], attrs: dict[str, Any]) -> Shape:
    """What later steps of a lowering may want to know; None for other operators."""
    if op in _ELEMENTWISE:
        return broadcast_shape([v.shape for v in inputs])
    if op != "ReduceFusion" or inputs[0].shape is None or inputs[1].data is None:
        return None
    dims, keep = inputs[0].shape, attrs["keep_dims"]
    over = {int(a) % max(1, len(dims)) for a in inputs[1].data.ravel()}
    return tuple(1 if i in over else d for i, d in enumerate(dims) if keep or i not in over)


def broadcast_shape(shapes: Sequence[Shape]) -> Shape:
    """The shape that tensors of these shapes broadcast to, -1 where it is not known; None without the ranks."""
    known = [s for s in shapes if s is not None]
    if len(known) < len(shapes):
        return None
    rank = max(map(len, known), default=0)
    columns = zip(*((1,) * (rank - len(s)) + s for s in known))
    return tuple(_broadcast_dim(column) for column in columns)


def _broadcast_dim(dims: tuple[int, ...]) -> int:
    fixed = [d for d in dims if d not in (1, -1)]
    if fixed:
        return fixed[0]
    return -1 if -1 in dims else 1
