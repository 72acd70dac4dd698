"""Reductions along axes, and where their extremes lie."""

from __future__ import annotations

import math
from typing import Any

from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.registry import add, op
from converter.importers.mindir.scope import Ints, Scope
from converter.ir.graph import Value

_MODES = {
    "MeanExt": "ReduceMean",
    "ProdExt": "ReduceProd",
    "ReduceAll": "ReduceAll",
    "ReduceMax": "ReduceMax",
    "ReduceMean": "ReduceMean",
    "ReduceMin": "ReduceMin",
    "ReduceProd": "ReduceProd",
    "ReduceSum": "ReduceSum",
    "SumExt": "ReduceSum",
}


def _reduced(b: Scope, x: Value, axes: Ints, mode: str, keep_dims: bool, tag: str = "") -> Value:
    constant = b.constant(f"{tag}_axes" if tag else "axes", axes)
    return b.add("ReduceFusion", x, constant, tag=tag, mode=mode, keep_dims=keep_dims, coeff=1.0)


def _axes(b: Scope, x: Value, axis: Ints | None) -> list[int]:
    """No axes mean all of them."""
    return list(axis or range(b.rank(x)))


def reduce(
    b: Scope,
    x: Value,
    *,
    axis: Ints | None = None,
    keep_dims: bool = False,
    skip_mode: bool = False,
    mode: str,
) -> Value:
    if skip_mode and axis == []:
        return x
    axes = _axes(b, x, axis)
    return _reduced(b, x, axes, mode, keep_dims) if axes else x


for _name, _mode in _MODES.items():
    add(_name, reduce, mode=_mode)


@op("ReduceAny")
def reduce_any(b: Scope, x: Value, *, axis: Ints | None = None, keep_dims: bool = False) -> Value:
    """Not all of them are false."""
    no = b.add("LogicalNot", x, tag="not")
    return b.add("LogicalNot", _reduced(b, no, _axes(b, x, axis), "ReduceAll", keep_dims, "none"))


@op("ReduceStd")
def reduce_std(
    b: Scope, x: Value, *, axis: Ints | None = None, unbiased: bool = True, keep_dims: bool = False
) -> tuple[Value, Value]:
    """Standard deviation and mean."""
    axes = _axes(b, x, axis)
    shape = b.static_shape(x)
    if not all(-len(shape) <= axis < len(shape) for axis in axes):
        raise Malformed(f"axes {axes} do not lie in its {len(shape)} dimensions")
    count = math.prod(shape[axis] for axis in axes)
    mean = _reduced(b, x, axes, "ReduceMean", True, "mean")
    square = b.add("Square", b.add("SubFusion", x, mean, tag="centred"), tag="square")
    total = _reduced(b, square, axes, "ReduceSum", keep_dims, "total")
    variance = b.add("DivFusion", total, b.like(x, "count", max(count - unbiased, 1)), tag="variance")
    deviation = b.add("Sqrt", variance, tag="deviation")
    return deviation, mean if keep_dims else _reduced(b, x, axes, "ReduceMean", False, "flat_mean")


@op("Argmax", "ArgMaxExt")
def argmax(b: Scope, x: Value, *, axis: int | None = -1, keep_dims: bool = False) -> Value:
    return _arg(b, "ArgMaxFusion", x, axis, keep_dims)


@op("Argmin", "ArgMinExt")
def argmin(b: Scope, x: Value, *, axis: int | None = -1, keep_dims: bool = False) -> Value:
    return _arg(b, "ArgMinFusion", x, axis, keep_dims)


def _arg(b: Scope, target: str, x: Value, axis: int | None, keep_dims: bool, tag: str = "") -> Value:
    if axis is None:
        raise Refusal(
            "it searches the flattened input.", attribute="axis", suggestion="Flatten the input and give an axis."
        )
    return b.add(target, x, tag=tag, axis=axis, top_k=1, keep_dims=keep_dims)


@op("ArgMaxWithValue", "MaxDim")
def argmax_with_value(b: Scope, x: Value, *, axis: int = 0, keep_dims: bool = False) -> tuple[Any, ...]:
    return _with_value(b, "ArgMaxFusion", "ReduceMax", x, axis, keep_dims)


@op("ArgMinWithValue", "MinDim")
def argmin_with_value(b: Scope, x: Value, *, axis: int = 0, keep_dims: bool = False) -> tuple[Any, ...]:
    return _with_value(b, "ArgMinFusion", "ReduceMin", x, axis, keep_dims)


def _with_value(b: Scope, target: str, mode: str, x: Value, axis: int, keep_dims: bool) -> tuple[Any, ...]:
    """(index, value), or (value, index) for the newer operators."""
    index = _arg(b, target, x, axis, keep_dims, "index")
    value = _reduced(b, x, [axis], mode, keep_dims, "value")
    return (index, value) if b.op.startswith("Arg") else (value, index)


@op("TopK", "TopkExt")
def top_k(
    b: Scope,
    x: Value,
    *,
    k: int,
    axis: int = -1,
    sorted: bool = True,
    largest: bool = True,
) -> tuple[Any, ...]:
    if not largest:
        raise Refusal("it looks for the smallest values.", attribute="largest")
    count = b.constant("k", [k])
    return tuple(b.add_many("TopKFusion", x, count, outputs=2, axis=axis, sorted=sorted, largest=1))


@op("CumSum", "CumsumExt")
def cumsum(b: Scope, x: Value, *, axis: int, exclusive: bool = False, reverse: bool = False) -> Value:
    return b.add("CumSum", x, b.constant("axis", [axis]), exclusive=exclusive, reverse=reverse)
