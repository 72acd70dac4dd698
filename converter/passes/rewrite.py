"""Small moves every pass needs. They keep the names a user knows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from converter.ir.graph import Graph, Node, Value, attribute_fields

# Operators that give the same elements in the same order.
VIEWS = frozenset({"Reshape", "Squeeze", "Unsqueeze", "ExpandDims", "Flatten"})
CONTROL_OPS = frozenset({"PartialFusion", "Switch", "SwitchLayer", "Call"})
# The same inputs need not give the same outputs, or running has an effect.
IMPURE_OPS = frozenset(
    {
        *CONTROL_OPS,
        "Assert",
        "Assign",
        "AssignAdd",
        "Custom",
        "Dropout",
        "RandomNormal",
        "RandomStandardNormal",
        "UniformReal",
    }
)


def is_plain(value: Value) -> bool:
    """A constant whose ``data`` are simply its numbers: not quantised, not compressed."""
    return value.is_const and not value.quant and value.compression == "NONE"


def is_static(value: Value) -> bool:
    """Every dimension is known."""
    return value.shape is not None and min(value.shape, default=0) >= 0


def ints(value: Value) -> list[int] | None:
    """The elements of an integer constant, or None for anything else."""
    if value.data is None or value.data.dtype.kind not in "iu" or not is_plain(value):
        return None
    return [int(i) for i in value.data.ravel()]


def copy_type(target: Value, source: Value) -> None:
    """Data type, shape and quantisation."""
    target.dtype, target.shape, target.quant = source.dtype, source.shape, source.quant


def replace_value(graph: Graph, old: Value, new: Value) -> bool:
    """Lets everything that reads ``old`` read ``new``.

    Where ``old`` is a graph output, ``new`` takes over its name. Returns False, changing nothing, when it
    cannot: a graph input or another output has a name of its own to keep.
    """
    if graph.is_output(old):
        if graph.is_output(new) or (new.producer is None and not new.is_const):
            return False
        new.name = old.name
    graph.replace(old, new)
    return True


def replace_node(
    graph: Graph, node: Node, op: str, inputs: Sequence[Value], quant_type: str | None = None, **attrs: Any
) -> Node:
    """Puts another operator in a node's place: same name, same result names, types and shapes."""
    new = graph.add(op, inputs, node.name, outputs=[v.name for v in node.outputs], source=node.source, **attrs)
    new.quant_type = node.quant_type if quant_type is None else quant_type
    for old, result in zip(node.outputs, new.outputs):
        copy_type(result, old)
        graph.replace(old, result)
    return new


def has_activation(node: Node) -> bool:
    """Whether an activation is fused into the node."""
    return bool(node.attrs.get("activation_type", "NO_ACTIVATION") != "NO_ACTIVATION")


def only_use(graph: Graph, value: Value) -> Node | None:
    """The one node that reads a value which is no graph output; None otherwise."""
    if len(value.uses) != 1 or graph.is_output(value):
        return None
    return value.uses[0][0]


def explicit_attrs(node: Node) -> dict[str, Any]:
    """The attributes that differ from the schema's defaults."""
    fields = attribute_fields(node.op)
    return {name: value for name, value in node.attrs.items() if value != fields[name].default}


def scalar_of(value: Value) -> float | None:
    """The number in a one-element constant, or None."""
    if value.data is None or value.data.size != 1 or not is_plain(value):
        return None
    return float(value.data.ravel()[0])


def open_batch(source: Sequence[int] | None, target: Sequence[int]) -> list[int]:
    """A Reshape's target with the first dimension left open where it is the input's: the batch may then change."""
    dims = list(target)
    if source and dims and source[0] == dims[0] and -1 not in dims and 0 not in dims:
        dims[0] = -1
    return dims


def shape_constant(graph: Graph, name: str, dims: Sequence[int]) -> Value:
    return graph.constant(name, np.array(dims, np.int32).reshape(len(dims)))


def copy_value(graph: Graph, value: Value, name: str) -> Value:
    """The same tensor under another name: a Cast to its own type, which every runtime takes as a copy."""
    dtype = graph.constant(f"{name}_type", np.array(int(value.dtype), np.int32))
    source = value.producer.source if value.producer is not None else name
    result = graph.add("Cast", [value, dtype], name, source=source).output
    copy_type(result, value)
    return result


def only_units_move(shape: Sequence[int], perm: Sequence[int]) -> bool:
    """Whether a permutation leaves the elements in place: dimensions of more than one element keep their order.

    No for empty tensors: the 0 of a new shape would mean to copy a dimension.
    """
    if 0 in shape:
        return False
    kept = [axis for axis in perm if axis < len(shape) and shape[axis] != 1]
    return kept == sorted(kept)
