"""How operators change when the tensors they work on have their dimensions permuted.

For each operator: given the permutation of its data inputs, how its results are permuted and what happens
to its attributes and constants; or that it cannot be done. ``layout.py`` decides where it is worth while.

A permutation lists, for each new dimension, the old one it shows: ``new = old.transpose(perm)``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Optional

import numpy as np

from converter.ir.graph import Graph, Node, Value
from converter.passes.reshape_layout import permuted_reshape
from converter.passes.rewrite import copy_type, ints, is_plain, is_static, open_batch, shape_constant

Perm = tuple[int, ...]


@dataclass(frozen=True)
class Flip:
    """A way to run a node on permuted data.

    inputs: indices of the inputs that must come permuted.
    outputs: the permutation of each result; None for one that has no layout and stays as it is.
    apply: changes attributes and constants; the caller sees to inputs and result shapes.
    """

    inputs: tuple[int, ...]
    outputs: tuple[Perm | None, ...]
    apply: Callable[[], None] = lambda: None


Handler = Callable[[Graph, Node, Perm], Optional[Flip]]


def inverse(perm: Perm) -> Perm:
    result = [0] * len(perm)
    for new, old in enumerate(perm):
        result[old] = new
    return tuple(result)


def flip_of(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """How ``node`` runs when its data inputs of rank ``len(perm)`` are permuted, or None."""
    handler = _HANDLERS.get(node.op)
    if handler is None or any(len(v.quant) > 1 for v in (*node.inputs, *node.outputs)):
        return None
    return handler(graph, node, perm)


# ---- building blocks ----


def _without(perm: Perm, axes: Iterable[int]) -> Perm:
    """The permutation that is left when these (old) axes go."""
    gone = set(axes)
    kept = [axis for axis in range(len(perm)) if axis not in gone]
    return tuple(kept.index(axis) for axis in perm if axis not in gone)


def _axes(values: Iterable[int], rank: int) -> list[int] | None:
    """Axes counted from the front; None when one is out of range or named twice."""
    given = list(values)
    found = [axis + rank if axis < 0 else axis for axis in given]
    if any(not 0 <= axis < rank for axis in found) or len(set(found)) != len(found):
        return None
    return found


def _set_ints(graph: Graph, node: Node, index: int, values: Sequence[int]) -> None:
    """Gives a constant integer input new values in its old shape and type."""
    old = node.inputs[index]
    assert old.data is not None
    data = np.array(values, old.data.dtype).reshape(old.data.shape)
    node.set_input(index, graph.constant(old.name, data))


def _rows(perm: Perm, values: Sequence[Any]) -> list[Any]:
    return [values[axis] for axis in perm]


# ---- element-wise ----


def _unary(_: Graph, node: Node, perm: Perm) -> Flip:
    return Flip((0,), (perm,) * len(node.outputs))


def _elementwise(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """Operands are broadcast against each other; constants are permuted in place."""
    rank = len(perm)
    carriers, constants = [], []
    for index, value in enumerate(node.inputs):
        if value.is_const:
            if not is_plain(value) or (value.rank or 0) > rank:
                return None
            constants.append(index)
        elif value.rank == rank:
            carriers.append(index)
        elif value.rank != 0:
            return None

    def apply() -> None:
        for index in constants:
            _permute_constant(graph, node, index, perm)

    return Flip(tuple(carriers), (perm,) * len(node.outputs), apply)


def _permute_constant(graph: Graph, node: Node, index: int, perm: Perm) -> None:
    old = node.inputs[index]
    data = old.data
    assert data is not None
    if data.size == 1:
        return
    full = data.reshape((1,) * (len(perm) - data.ndim) + data.shape)
    node.set_input(index, graph.constant(old.name, np.ascontiguousarray(full.transpose(perm))))


# ---- one axis ----


def _axis_attribute(
    keeps: Callable[[Node], bool] = lambda _: True, inputs: Callable[[Node], int] = lambda _: 1
) -> Handler:
    """Works along attribute ``axis``; the axis goes from the results where ``keeps`` does not hold."""

    def handler(graph: Graph, node: Node, perm: Perm) -> Flip | None:
        axes = _axes([node.attr("axis")], len(perm))
        count = inputs(node)
        if axes is None or any(v.rank != len(perm) or not _permutable(v) for v in node.inputs[:count]):
            return None
        constants = [i for i in range(count) if node.inputs[i].is_const]

        def apply() -> None:
            node.attrs["axis"] = inverse(perm)[axes[0]]
            for index in constants:
                _permute_constant(graph, node, index, perm)

        result = perm if keeps(node) else _without(perm, axes)
        carriers = tuple(i for i in range(count) if i not in constants)
        return Flip(carriers, (result,) * len(node.outputs), apply)

    return handler


def _permutable(value: Value) -> bool:
    return not value.is_const or is_plain(value)


def _all_inputs(node: Node) -> int:
    return len(node.inputs)


def _keeps_dims(node: Node) -> bool:
    return bool(node.attr("keep_dims"))


def _never(_: Node) -> bool:
    return False


def _scale(_: Graph, node: Node, perm: Perm) -> Flip | None:
    """ScaleFusion by vectors along one axis."""
    axes = _axes([node.attr("axis")], len(perm))
    if axes is None or any(v.rank != 1 or not v.is_const for v in node.inputs[1:]):
        return None

    def apply() -> None:
        node.attrs["axis"] = inverse(perm)[axes[0]]

    return Flip((0,), (perm,), apply)


def _softmax(_: Graph, node: Node, perm: Perm) -> Flip | None:
    axes = _axes(node.attr("axis") or [-1], len(perm))
    if axes is None:
        return None

    def apply() -> None:
        node.attrs["axis"] = [inverse(perm)[axis] for axis in axes]

    return Flip((0,), (perm,), apply)


def _reduce(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    listed = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = _axes(listed, len(perm)) if listed else None
    if axes is None or node.attr("reduce_to_end"):
        return None

    def apply() -> None:
        _set_ints(graph, node, 1, [inverse(perm)[axis] for axis in axes])

    return Flip((0,), (perm if node.attr("keep_dims") else _without(perm, axes),), apply)


def _axis_input(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """CumSum: the axis is a constant input."""
    listed = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = _axes(listed, len(perm)) if listed else None
    if axes is None or len(axes) != 1:
        return None
    return Flip((0,), (perm,), lambda: _set_ints(graph, node, 1, [inverse(perm)[axes[0]]]))


def _gather(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """Picks along one axis: with one index the axis goes, with a list of them it stays."""
    listed = ints(node.inputs[2]) if len(node.inputs) > 2 else None
    axes = _axes(listed, len(perm)) if listed else None
    if axes is None or node.inputs[0].is_const or node.inputs[1].rank not in (0, 1):
        return None
    result = perm if node.inputs[1].rank == 1 else _without(perm, axes)
    return Flip((0,), (result,), lambda: _set_ints(graph, node, 2, [inverse(perm)[axes[0]]]))


def _reverse(_: Graph, node: Node, perm: Perm) -> Flip | None:
    axes = _axes(node.attr("axis") or [], len(perm))
    if axes is None:
        return None

    def apply() -> None:
        node.attrs["axis"] = [inverse(perm)[axis] for axis in axes]

    return Flip((0,), (perm,), apply)


# ---- one entry per dimension ----


def _pad(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    listed = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    attribute = node.attr("paddings")
    if listed is None and (attribute is None or len(node.inputs) > 1):
        return None
    if any(
        given is not None and len(given) != size for given, size in ((listed, 2 * len(perm)), (attribute, len(perm)))
    ):
        return None

    def apply() -> None:
        if listed is not None:
            pairs = [listed[2 * axis : 2 * axis + 2] for axis in range(len(perm))]
            _set_ints(graph, node, 1, [p for pair in _rows(perm, pairs) for p in pair])
        if attribute is not None:
            node.attrs["paddings"] = _rows(perm, attribute)

    return Flip((0,), (perm,), apply)


def _int_inputs(*indices: int) -> Handler:
    """Constant integer inputs with one entry per dimension."""

    def handler(graph: Graph, node: Node, perm: Perm) -> Flip | None:
        listed = {i: ints(node.inputs[i]) if i < len(node.inputs) else None for i in indices}
        if any(values is None or len(values) != len(perm) for values in listed.values()):
            return None

        def apply() -> None:
            for index, values in listed.items():
                _set_ints(graph, node, index, _rows(perm, values or []))

        return Flip((0,), (perm,), apply)

    return handler


def _slice(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """SliceFusion with begin and size for all dimensions, in order."""
    axes = node.attr("axes")
    if axes and axes != list(range(len(perm))):
        return None
    return _int_inputs(1, 2)(graph, node, perm)


_MASKS = ("begin_mask", "end_mask", "shrink_axis_mask")


def _strided_slice(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    rank = len(perm)
    listed = [ints(v) for v in node.inputs[1:]]
    # With a fifth input, the fourth holds axes.
    if len(listed) != 3 or any(values is None for values in listed):
        return None
    if node.attr("ellipsis_mask") or node.attr("new_axis_mask"):
        return None
    given = len(listed[0] or [])
    if given > rank or any(len(values or []) != given for values in listed):
        return None
    dropped = [axis for axis in range(given) if node.attr("shrink_axis_mask") >> axis & 1]
    filling = (0, 0, 1)  # for dimensions the source leaves out; the masks make them whole

    def apply() -> None:
        for index, values, fill in zip((1, 2, 3), listed, filling):
            full = [*(values or []), *[fill] * (rank - given)]
            old = node.inputs[index]
            data = np.array(_rows(perm, full), np.int32)
            node.set_input(index, graph.constant(old.name, data))
        for name in _MASKS:
            mask = node.attr(name)
            if name != "shrink_axis_mask":
                mask |= sum(1 << axis for axis in range(given, rank))
            flipped = sum((mask >> axis & 1) << new for new, axis in enumerate(perm))
            if flipped or name in node.attrs:
                node.attrs[name] = flipped

    return Flip((0,), (_without(perm, dropped),), apply)


def _broadcast_to(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    if len(node.inputs) > 1:
        return _int_inputs(1)(graph, node, perm)
    shape = node.attr("shape")
    if shape is None or len(shape) != len(perm):
        return None

    def apply() -> None:
        node.attrs["shape"] = _rows(perm, shape)

    return Flip((0,), (perm,), apply)


# ---- rank changes ----


def _with_new_axes(perm: Perm, axes: list[int]) -> Perm:
    """The permutation of a result with new axes of one element, which stand at the same place in both layouts."""
    rank = len(perm) + len(axes)
    old = [axis for axis in range(rank) if axis not in axes]
    moved = iter(perm)
    return tuple(axis if axis in axes else old[next(moved)] for axis in range(rank))


def _squeeze(_: Graph, node: Node, perm: Perm) -> Flip | None:
    axes = _axes(node.attr("axis") or [], len(perm))
    if not axes:
        return None

    def apply() -> None:
        node.attrs["axis"] = sorted(inverse(perm)[axis] for axis in axes)

    return Flip((0,), (_without(perm, axes),), apply)


def _unsqueeze(_: Graph, node: Node, perm: Perm) -> Flip | None:
    listed = node.attr("axis") or []
    axes = _axes(listed, len(perm) + len(listed))
    return Flip((0,), (_with_new_axes(perm, axes),)) if axes else None


def _expand_dims(_: Graph, node: Node, perm: Perm) -> Flip | None:
    listed = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    axes = _axes(listed, len(perm) + 1) if listed else None
    return Flip((0,), (_with_new_axes(perm, axes),)) if axes is not None and len(axes) == 1 else None


def _stack(_: Graph, node: Node, perm: Perm) -> Flip | None:
    axes = _axes([node.attr("axis")], len(perm) + 1)
    if axes is None or any(v.rank != len(perm) or v.is_const for v in node.inputs):
        return None
    return Flip(tuple(range(len(node.inputs))), (_with_new_axes(perm, axes),))


def _reshape(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    source, target = node.inputs[0].shape, node.output.shape
    if source is None or target is None or (len(node.inputs) > 1 and ints(node.inputs[1]) is None):
        return None
    result = permuted_reshape(source, target, perm)
    if result is None:
        return None

    def apply() -> None:
        flipped = open_batch(_rows(perm, source), _rows(result, target))
        node.set_input(1, shape_constant(graph, node.inputs[1].name, flipped))

    return Flip((0,), (result,), apply) if len(node.inputs) == 2 else None


def _transpose(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """Any other permutation stays one: the same dimensions are exchanged, wherever they stand."""
    listed = ints(node.inputs[1]) if len(node.inputs) > 1 else None
    if listed is None or sorted(listed) != list(range(len(perm))):
        return None
    back = inverse(perm)
    return Flip((0,), (perm,), lambda: _set_ints(graph, node, 1, [back[listed[axis]] for axis in perm]))


def _shape(graph: Graph, node: Node, perm: Perm) -> Flip | None:
    """The dimensions are put back into their old order afterwards."""
    if is_static(node.inputs[0]):
        return None  # folded anyway

    def apply() -> None:
        old = node.output
        order = graph.constant(f"{node.name}_order", np.array(inverse(perm), np.int32))
        axis = graph.constant(f"{node.name}_axis", np.array(0, np.int32))
        name = old.name
        old.name = f"{name}_permuted"
        readers = list(old.uses)
        result = graph.add("Gather", [old, order, axis], f"{node.name}_reorder", outputs=[name], source=node.source)
        copy_type(result.output, old)
        for reader, index in readers:
            reader.set_input(index, result.output)
        graph.outputs = [result.output if v is old else v for v in graph.outputs]

    return Flip((0,), (None,), apply)


_UNARY = [
    "Abs",
    "Activation",
    "Cast",
    "Ceil",
    "Clip",
    "Cos",
    "Elu",
    "Erf",
    "ExpFusion",
    "Floor",
    "IsFinite",
    "LeakyRelu",
    "Log",
    "Log1p",
    "LogicalNot",
    "Neg",
    "OnesLike",
    "Reciprocal",
    "Round",
    "Rsqrt",
    "Sin",
    "Sqrt",
    "Square",
    "ZerosLike",
]
_ELEMENTWISE = [
    "AddFusion",
    "AddN",
    "DivFusion",
    "Eltwise",
    "Equal",
    "FloorDiv",
    "FloorMod",
    "Greater",
    "GreaterEqual",
    "Less",
    "LessEqual",
    "LogicalAnd",
    "LogicalOr",
    "Maximum",
    "Minimum",
    "Mod",
    "MulFusion",
    "NotEqual",
    "PowFusion",
    "RealDiv",
    "Select",
    "SquaredDifference",
    "SubFusion",
]

_HANDLERS: dict[str, Handler] = {
    **dict.fromkeys(_UNARY, _unary),
    **dict.fromkeys(_ELEMENTWISE, _elementwise),
    "ArgMaxFusion": _axis_attribute(_keeps_dims),
    "ArgMinFusion": _axis_attribute(_keeps_dims),
    "BroadcastTo": _broadcast_to,
    "Concat": _axis_attribute(inputs=_all_inputs),
    "CumSum": _axis_input,
    "ExpandDims": _expand_dims,
    "Gather": _gather,
    "LogSoftmax": _axis_attribute(),
    "PadFusion": _pad,
    "ReduceFusion": _reduce,
    "Reshape": _reshape,
    "ReverseV2": _reverse,
    "ScaleFusion": _scale,
    "Shape": _shape,
    "SliceFusion": _slice,
    "Softmax": _softmax,
    "Split": _axis_attribute(),
    "Squeeze": _squeeze,
    "Stack": _stack,
    "StridedSlice": _strided_slice,
    "TileFusion": _int_inputs(1),
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Unstack": _axis_attribute(_never),
}
