"""What operators mean, asked from the runtime: support, shapes and values.

The converter has no second implementation of any operator; this is its only door to ``lite_runtime``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from converter.errors import ConvertError, InvalidGraphError, Problem, UnsupportedError
from converter.exporter.model import assemble
from converter.ir.graph import Graph, Model, Shape, Value
from converter.schema import schema
from lite_runtime import _native
from lite_runtime.errors import LiteRuntimeError, UnsupportedModelError
from lite_runtime.types import DataType

# Constants above this many bytes stay out of shape inference; what decides shapes (axes, sizes) is smaller.
_OPEN_BYTES = 4096
# Unknown input dimensions are tried with each of these. A result's dimension that differs is unknown too.
# The large ones come first because a small image may be impossible; of the others a failure means nothing.
_PROBES = (224, 96, 7, 1)
_NODE_IN_MESSAGE = re.compile(r"(\w+) '(.*?)'[:,]? *(.*)", re.DOTALL)


def supported(op: str) -> bool:
    """Whether the runtime offers the primitive."""
    number = schema().primitives.get(op)
    return number is not None and _native.op_supported(number)


def unsupported_problems(model: Model) -> list[Problem]:
    """One problem for each node whose operator the runtime does not offer."""
    reason = "the runtime has no such operator."
    return [Problem(n.source, n.op, reason) for g in model.graphs for n in g.nodes if not supported(n.op)]


def infer_shapes(model: Model) -> None:
    """Fills dtype and shape of every value as far as they are known before the model runs.

    Raises UnsupportedError listing all nodes whose operator the runtime lacks, or InvalidGraphError.
    """
    problems = unsupported_problems(model)
    if problems:
        raise UnsupportedError(model.source, problems)
    _infer_graph(model)
    for graph in model.graphs[1:]:
        if all(node.op != "PartialFusion" for node in graph.nodes):
            _infer_graph(Model([graph], model.source, model.fmk))


def evaluate(graph: Graph, feeds: Sequence[np.ndarray] = (), source: str = "") -> list[np.ndarray]:
    """The values of the graph's outputs for these inputs, computed by the runtime.

    ``graph`` must be in execution order and without sub-graphs. Inputs take the shapes of ``feeds``.
    Raises UnsupportedError or InvalidGraphError.
    """
    for value, feed in zip(graph.inputs, feeds):
        value.shape, value.dtype = tuple(feed.shape), DataType.of(feed.dtype)
    model = Model([graph], source)
    problems = unsupported_problems(model)
    if problems:
        raise UnsupportedError(source, problems)
    data, _ = assemble(model, {})
    try:
        session = _native.Session(_native.Model.from_buffer(data))
        for index, feed in enumerate(feeds):
            session.set_input(index, feed)
        session.run()
        return [session.output_value(index) for index in range(session.output_count)]
    except LiteRuntimeError as error:
        raise translated(source, error) from error


def _infer_graph(model: Model) -> None:
    """Infers the main graph; unknown input dimensions are probed with several sizes."""
    graph = model.main
    if not graph.nodes or any(v.shape is None for v in graph.inputs):
        return
    if all(v.shape is not None and min(v.shape, default=0) >= 0 for v in graph.inputs):
        _fill(graph, [_inferred(model, 0)])
        return
    found: list[dict[Value, tuple[DataType, Shape]]] = []
    for probe in _PROBES:
        try:
            found.append(_inferred(model, probe))
        except InvalidGraphError:
            continue
    # One size alone cannot tell which dimensions depend on it.
    if len(found) > 1:
        _fill(graph, found)


def _inferred(model: Model, probe: int) -> dict[Value, tuple[DataType, Shape]]:
    """dtype and shape of each value when every unknown input dimension is ``probe``."""
    inputs = {v: tuple(probe if d < 0 else d for d in v.shape or ()) for v in model.main.inputs}
    opened = {
        v: v.shape or ()
        for v in model.main.values()
        if v.data is not None and v.is_const and v.data.nbytes > _OPEN_BYTES
    }
    data, index = assemble(model, {**inputs, **opened})
    try:
        tensors = _native.Session(_native.Model.from_buffer(data), threads=1, infer_only=True).tensors()
    except LiteRuntimeError as error:
        raise translated(model.source, error) from error
    return {v: (tensors[index[v]].dtype, tensors[index[v]].shape) for v in model.main.values()}


def _fill(graph: Graph, found: list[dict[Value, tuple[DataType, Shape]]]) -> None:
    for node in graph.nodes:
        for value in node.outputs:
            dtypes, shapes = zip(*(types[value] for types in found))
            if dtypes[0] != DataType.UNKNOWN:
                value.dtype = dtypes[0]
            shape = _common_shape(shapes)
            if shape is not None:
                value.shape = shape


def _common_shape(shapes: Sequence[Shape]) -> Shape:
    """The dimensions all agree on, -1 elsewhere; None when even the ranks differ or one is unknown."""
    first = shapes[0]
    if first is None or any(s is None or len(s) != len(first) for s in shapes):
        return None
    return tuple(d[0] if len(set(d)) == 1 else -1 for d in zip(*(s for s in shapes if s is not None)))


def translated(source: str, error: LiteRuntimeError) -> ConvertError:
    """The runtime's failure as a failure of the conversion."""
    message = str(error).removeprefix("model: ")  # what the runtime calls a model without a file
    if not isinstance(error, UnsupportedModelError):
        return InvalidGraphError(f"{source}: {message}" if source else message)
    match = _NODE_IN_MESSAGE.search(message)
    op, node, reason = match.groups() if match else ("", "", message)
    return UnsupportedError(source, [Problem(node, op, reason or message)])
