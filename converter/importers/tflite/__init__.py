"""Imports TFLite models (``--fmk=TFLITE``).

TFLite is channels-last like .ms, so operators map one to one. One function or table row per operator in
``elementwise``, ``shape`` and ``nn``; its keywords are the operator's options.
"""

from __future__ import annotations

from converter.errors import InvalidGraphError, Problem, UnsupportedError
from converter.importers.custom import alternatives
from converter.importers.tflite import elementwise, nn, shape, state  # noqa: F401  (they register the operators)
from converter.importers.tflite.context import OPERATORS, Context, RefusedError
from converter.importers.tflite.reader import Subgraph, read
from converter.importers.tflite.state import State
from converter.ir.graph import Graph, Model, Value

_FMK_TFLITE = 4


def load(path: str, *, allow_custom: bool = False) -> Model:
    """The model of a .tflite file. With ``allow_custom`` operators that cannot be converted become Custom nodes.

    Raises SourceFileError, SourceFormatError, InvalidGraphError, and UnsupportedError listing every operator
    that cannot be converted.
    """
    subgraphs = read(path)
    if not subgraphs:
        raise InvalidGraphError(f"{path}: the model has no graph")
    graph, problems = _convert(subgraphs, path, allow_custom)
    if problems:
        raise UnsupportedError(path, problems)
    return Model([graph], source=path, fmk=_FMK_TFLITE, channels_last=True)


def _convert(subgraphs: list[Subgraph], path: str, allow_custom: bool) -> tuple[Graph, list[Problem]]:
    subgraph = subgraphs[0]
    graph = Graph("main")
    variables = State.of(subgraphs)
    values: dict[int, Value] = {}
    for i in subgraph.inputs:
        tensor = subgraph.tensors[i]
        values[i] = graph.add_input(tensor.name or f"input_{i}", tensor.dtype, tensor.shape)
        values[i].quant = tensor.quant
    for i, tensor in enumerate(subgraph.tensors):
        if tensor.data is not None and i not in values and not tensor.is_raw:
            values[i] = graph.constant(tensor.name or f"constant_{i}", tensor.data)
            values[i].quant = tensor.quant

    problems: list[Problem] = []
    for number, op in enumerate(subgraph.operators):
        context = Context(graph, subgraphs, values, op, f"{op.op.lower()}_{number}", variables)
        try:
            _map(context)
        except RefusedError as refused:
            if not (allow_custom and context.emit_custom()):
                problems.append(context.problem(refused))
        except (TypeError, ValueError, LookupError, ArithmeticError) as error:
            problems.append(Problem(context.name, op.op, f"its operands do not fit the operator ({error})."))
        for i in op.outputs:  # so that every later operator is still looked at
            values.setdefault(i, Value(subgraph.tensors[i].name))
    if problems:
        return graph, problems
    missing = [i for i in subgraph.outputs if i not in values]
    if missing:
        raise InvalidGraphError(f"{path}: output '{subgraph.tensors[missing[0]].name}' is written by no operator")
    graph.outputs = [values[i] for i in subgraph.outputs]
    variables.assign(graph)
    return graph, problems


def _map(context: Context) -> None:
    op = context.operator
    missing = [i for i in op.inputs if i >= 0 and not context.knows(i)]
    if missing:
        raise RefusedError(f"tensor {missing[0]} is read before it is written")
    if op.op not in OPERATORS:
        raise RefusedError("this operator is not supported.", suggestion=alternatives(op.op, OPERATORS))
    OPERATORS[op.op](context, **op.options)
