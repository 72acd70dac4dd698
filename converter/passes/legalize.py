"""What every .ms file needs so that MindSpore Lite's runtime loads it and computes it right."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any

import numpy as np

from converter.errors import InvalidGraphError
from converter.importers.layout import channels_first_perm, channels_last_perm
from converter.ir.graph import Graph, Model, Node, Value
from converter.passes.rewrite import copy_type, copy_value
from lite_runtime.types import DataType

_INT32 = np.iinfo(np.int32)


# ---- graph inputs ----


def channels_last_inputs(model: Model) -> bool:
    """A 4-D input [n, c, h, w] becomes [n, h, w, c] under the same name; a Transpose follows it."""
    graph = model.main
    modified = False
    for value in graph.inputs:
        if value.rank != 4 or value.shape is None:
            continue
        readers = list(value.uses)
        name = f"{value.name}_nh2nc"
        perm = graph.constant(f"{name}_perm", np.array(channels_first_perm(4), np.int32))
        node = graph.add("Transpose", [value, perm], name, source=value.name)
        result = node.output
        copy_type(result, value)
        value.shape = tuple(value.shape[axis] for axis in channels_last_perm(4))
        for reader, index in readers:
            reader.set_input(index, result)
        if graph.is_output(value):
            graph.outputs = [result if v is value else v for v in graph.outputs]
        modified = True
    model.channels_last = True
    return modified


# ---- 64-bit integers ----

# Attributes that name a data type by number.
_TYPE_ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "ConstantOfShape": ("data_type",),
    "QuantDTypeCast": ("src_t", "dst_t"),
    "Range": ("d_type",),
    "TensorArray": ("data_type",),
    "TensorListFromTensor": ("element_dtype", "shape_type"),
    "TensorListGetItem": ("element_dtype",),
    "TensorListReserve": ("element_dtype", "shape_type"),
    "TensorListSetItem": ("element_dtype",),
    "TensorListStack": ("element_dtype",),
}
# Operators whose further inputs are bounds, where a huge number means "to the end".
_BOUNDS = frozenset({"SliceFusion", "StridedSlice"})


def narrow_integers(model: Model) -> bool:
    """int64 becomes int32 everywhere: MindSpore Lite computes indices and shapes in 32 bits.

    Bounds of slices saturate. Raises InvalidGraphError for any other constant that does not fit.
    """
    modified = False
    narrowed: dict[Value, Value] = {}
    for graph in model.graphs:
        for node in graph.nodes:
            modified |= _narrow_type_numbers(graph, node)
        for value in list(graph.values()):
            if value.dtype != DataType.INT64:
                continue
            modified = True
            if value.data is None:
                value.dtype = DataType.INT32
            elif value not in narrowed:
                narrowed[value] = _narrow_constant(model, graph, value)
        graph.outputs = [narrowed.get(v, v) for v in graph.outputs]
    return modified


def _narrow_constant(model: Model, graph: Graph, value: Value) -> Value:
    data = value.data
    assert data is not None
    if data.size and (data.min() < _INT32.min or data.max() > _INT32.max):
        readers = [node for node, index in value.uses if node.op not in _BOUNDS or index == 0]
        if readers or not value.uses:
            where = f" of {readers[0].op} '{readers[0].source}'" if readers else ""
            raise InvalidGraphError(
                f"{model.source}: the 64-bit constant '{value.name}'{where} holds {data.min()} to {data.max()}, "
                "but a .ms model computes with 32-bit integers: scale or shorten it in the source model."
            )
    new = graph.constant(value.name, np.clip(data, _INT32.min, _INT32.max).astype(np.int32))
    for node, index in list(value.uses):
        node.set_input(index, new)
    return new


def _narrow_type_numbers(graph: Graph, node: Node) -> bool:
    """The int64 in type attributes, and in the target of a Cast."""
    modified = False
    for name in _TYPE_ATTRIBUTES.get(node.op, ()):
        if node.attrs.get(name) == DataType.INT64:
            node.attrs[name] = int(DataType.INT32)
            modified = True
    if node.op == "Cast" and len(node.inputs) > 1:
        target = node.inputs[1].data
        if target is not None and target.size == 1 and int(target.ravel()[0]) == DataType.INT64:
            number = np.full(target.shape, int(DataType.INT32), np.int32)
            node.set_input(1, graph.constant(node.inputs[1].name, number))
            modified = True
    return modified


# ---- graph outputs ----


def distinct_outputs(model: Model) -> bool:
    """Each output of the model is the result of a node of its own: a copy where it was not."""
    graph = model.main
    seen: set[Value] = set()
    modified = False
    for position, value in enumerate(graph.outputs):
        if value.producer is not None and value not in seen:
            seen.add(value)
            continue
        name = f"{value.name}_copy" if value in seen or not value.is_const else value.name
        if value.is_const and name == value.name:
            value.name = f"{name}_value"
        copy = copy_value(graph, value, name)
        graph.outputs = [*graph.outputs[:position], copy, *graph.outputs[position + 1 :]]
        seen.update((value, copy))
        modified = True
    return modified


# ---- constants of matrix products ----


def separate_matmul_constants(graph: Graph) -> bool:
    """One constant for each role it has in matrix products.

    MindSpore Lite packs a product's constant in place; another product that reads it as the other operand,
    or transposed, then computes with the wrong numbers.
    """
    copies: dict[tuple[Value, Hashable], Value] = {}
    first: dict[Value, Hashable] = {}
    modified = False
    for node in graph.nodes:
        for index, value in enumerate(node.inputs[:2]):
            role = _matmul_role(node, index)
            if role is None or not value.is_const or first.setdefault(value, role) == role:
                continue
            copy = copies.get((value, role))
            if copy is None:
                copy = copies[value, role] = _copy_constant(graph, value)
            node.set_input(index, copy)
            modified = True
    return modified


def _matmul_role(node: Node, index: int) -> Hashable:
    if node.op == "MatMulFusion":
        return index, bool(node.attr("transpose_b" if index else "transpose_a"))
    return (1, True) if node.op == "FullConnection" and index == 1 else None


def _copy_constant(graph: Graph, value: Value) -> Value:
    assert value.data is not None
    copy = graph.constant(f"{value.name}_again", value.data)
    copy.dtype, copy.shape = value.dtype, value.shape
    copy.quant, copy.compression = value.quant, value.compression
    return copy


# ---- padding ----


def explicit_padding(graph: Graph) -> bool:
    """Padding as wide as the kernel becomes a PadFusion before the convolution.

    MindSpore Lite reads outside the image where a whole window lies in the padding.
    """
    modified = False
    for node in graph.nodes:
        pads = node.attrs.get("pad_list") or []
        kernel = node.inputs[1].shape if len(node.inputs) > 1 else None
        if node.op != "Conv2DFusion" or node.attr("pad_mode") != "PAD" or len(pads) != 4 or kernel is None:
            continue
        dilation = node.attrs.get("dilation") or [1, 1]
        extents = [(size - 1) * step + 1 for size, step in zip(kernel[1:3], dilation)]
        if max(pads[:2]) >= extents[0] or max(pads[2:]) >= extents[1]:
            _pad_before(graph, node, pads)
            modified = True
    return modified


def _pad_before(graph: Graph, node: Node, pads: list[int]) -> None:
    source = node.inputs[0]
    name = f"{node.name}_padding"
    paddings = np.array([[0, 0], pads[:2], pads[2:], [0, 0]], np.int32)
    constant = graph.constant(f"{name}_sizes", paddings)
    result = graph.add("PadFusion", [source, constant], name, source=node.source, padding_mode="CONSTANT").output
    copy_type(result, source)
    if source.shape is not None:
        result.shape = tuple(d if d < 0 else d + int(p.sum()) for d, p in zip(source.shape, paddings))
    node.set_input(0, result)
    node.attrs["pad_list"] = [0, 0, 0, 0]


# ---- attributes ----


def _window(name: str) -> Callable[[Node], Any]:
    def value(node: Node) -> Any:
        shape = node.inputs[1].shape if len(node.inputs) > 1 else None
        return None if shape is None or len(shape) != 4 else list(shape[1:3])

    return value if name == "kernel_size" else lambda _: [1, 1]


_CONV_DEFAULTS: dict[str, Callable[[Node], Any]] = {
    "kernel_size": _window("kernel_size"),
    "stride": _window("stride"),
    "dilation": _window("dilation"),
    "pad_list": lambda _: [0, 0, 0, 0],
    "group": lambda _: 1,
    "format": lambda _: "NHWC",
}
# Attributes whose absence MindSpore Lite does not take, and what it means.
_REQUIRED: dict[str, dict[str, Callable[[Node], Any]]] = {
    "Conv2DFusion": _CONV_DEFAULTS,
    "Conv2dTransposeFusion": _CONV_DEFAULTS,
}


def complete_attributes(graph: Graph) -> bool:
    modified = False
    for node in graph.nodes:
        for name, make in _REQUIRED.get(node.op, {}).items():
            if node.attrs.get(name) is None:
                value = make(node)
                if value is not None:
                    node.attrs[name] = value
                    modified = True
    return modified
