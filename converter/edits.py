"""Changes to a graph that the user asks for: input shapes, types of inputs and outputs, float16 weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from converter.config import did_you_mean
from converter.errors import UsageError
from converter.ir.graph import Graph, Model, Value
from lite_runtime.types import DataType


def set_input_shapes(model: Model, shapes: Mapping[str, Sequence[int]]) -> None:
    """Gives inputs new shapes, in the layout of the source model; -1 leaves a dimension open.

    Shapes of results become unknown, they must be inferred again. Raises UsageError for an unknown input, a wrong
    number of dimensions, or a dimension that is neither positive nor -1.
    """
    inputs = {value.name: value for value in model.main.inputs}
    for name, given in shapes.items():
        shape = tuple(given)
        if name not in inputs:
            known = ", ".join(f"'{n}' {list(v.shape or ())}" for n, v in inputs.items())
            raise UsageError(
                f"{model.source}: inputShape names '{name}', which is not an input{did_you_mean(name, inputs)}: "
                f"the model has {known}"
            )
        value = inputs[name]
        if value.shape is not None and len(shape) != len(value.shape):
            raise UsageError(
                f"{model.source}: inputShape gives '{name}' {len(shape)} dimensions {list(shape)}, "
                f"the model has {len(value.shape)}: {list(value.shape)}"
            )
        if any(size < 1 and size != -1 for size in shape):
            raise UsageError(f"{model.source}: inputShape of '{name}' {list(shape)}: dimensions are positive, or -1")
        value.shape = shape
    for graph in model.graphs:
        for node in graph.nodes:
            for value in node.outputs:
                value.shape = None


def cast_inputs(model: Model, dtype: DataType) -> None:
    """Lets every input take ``dtype``; a Cast gives the graph the type it had."""
    graph = model.main
    for index, old in enumerate(list(graph.inputs)):
        if old.dtype == dtype:
            continue
        _refuse_quantised(model, old, "inputDataType")
        new = Value(old.name, dtype, old.shape)
        graph.inputs[index] = new
        graph.replace(old, _cast(graph, new, old.dtype))
    graph.cleanup()


def cast_outputs(model: Model, dtype: DataType) -> None:
    """Lets every output have ``dtype``, by a Cast that takes over the output's name."""
    graph = model.main
    casts: dict[Value, Value] = {}
    for value in graph.outputs:
        if value.dtype == dtype or value in casts:
            continue
        _refuse_quantised(model, value, "outputDataType")
        cast = _cast(graph, value, dtype)
        if value not in graph.inputs:
            cast.name, value.name = value.name, f"{value.name}_uncast"
        casts[value] = cast
    graph.outputs = [casts.get(value, value) for value in graph.outputs]
    graph.cleanup()


def _cast(graph: Graph, value: Value, dtype: DataType) -> Value:
    name = f"{value.name}_cast"
    to = graph.constant(f"{name}_type", np.array([int(dtype)], np.int32))
    result = graph.add("Cast", [value, to], name, source=value.name).output
    result.dtype, result.shape = dtype, value.shape
    return result


def _refuse_quantised(model: Model, value: Value, flag: str) -> None:
    if value.quant:
        raise UsageError(
            f"{model.source}: '{value.name}' is quantised, so {flag} cannot change its type: use DEFAULT for it"
        )


def store_as_float16(model: Model) -> list[str]:
    """Turns every float32 constant into float16. Returns a note for each that does not fit and stays float32."""
    notes: list[str] = []
    limit = float(np.finfo(np.float16).max)
    for graph in model.graphs:
        for value in graph.values():
            if (
                value.data is None
                or value.variable
                or value.data.dtype != np.float32
                or value.quant
                or graph.is_output(value)
            ):
                continue
            finite = value.data[np.isfinite(value.data)]
            largest = float(np.abs(finite).max(initial=0))
            if largest > limit:
                notes.append(
                    f"constant '{value.name}' stays float32: its value {largest:g} exceeds float16's {limit:g}"
                )
                continue
            value.data = value.data.astype(np.float16)
            value.dtype = DataType.FLOAT16
    return notes
