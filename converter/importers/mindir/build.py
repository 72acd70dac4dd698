"""Builds the converter's graphs from a MindIR program.

The main graph is translated first. Each graph that a call names becomes one sub-graph, translated after
its first call. Problems of single nodes are collected; translation goes on behind them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from converter.errors import Problem, SourceFormatError, UnsupportedError
from converter.importers.custom import alternatives, custom_node
from converter.importers.mindir import ops, signatures
from converter.importers.mindir.control import Callable_, Choice, Closure, as_callable, closures
from converter.importers.mindir.faults import Malformed, Refusal
from converter.importers.mindir.memory import Memory, check_target, writes, written_by_calls
from converter.importers.mindir.program import REFERENCE, Program, without_graph
from converter.importers.mindir.proto import Message
from converter.importers.mindir.registry import TABLE
from converter.importers.mindir.scope import Absent, Constants, Scope
from converter.importers.mindir.values import (
    MONAD,
    Monad,
    ResultType,
    TensorType,
    flat_types,
    is_result_type,
    result_type,
    tensor_type,
)
from converter.ir.graph import Graph, Model, Value
from lite_runtime.types import DataType

__all__ = ["Builder", "ops"]

_MAX_SUBGRAPHS = 4096
_MAX_ELEMENTS = 2**16


class Builder:
    """Translates a program into a Model. Use once: ``Builder(program, path).model()``."""

    def __init__(self, program: Program, source: str, allow_custom: bool = False) -> None:
        self.program = program
        self.allow_custom = allow_custom
        self.source = source
        self.constants = Constants()
        self.problems: list[Problem] = []
        self.written_by_calls = written_by_calls(program)
        self._names: set[str] = set()
        self._subgraphs: dict[str, _SubGraph] = {}
        self._waiting: list[_SubGraph] = []

    def model(self) -> Model:
        """Raises UnsupportedError with all problems, or SourceFormatError."""
        main = GraphBuilder(self, self.program.main)
        main.declare_inputs(())
        main.translate()
        for sub in self._pending():
            sub.builder.translate()
        if self.problems:
            raise UnsupportedError(self.source, self.problems)
        graphs = [main.graph, *(sub.builder.graph for sub in self._subgraphs.values())]
        for graph in graphs:
            _finish(graph, self.source, is_main=graph is main.graph)
        return Model(graphs, self.source)

    def _pending(self) -> Iterator[_SubGraph]:
        while self._waiting:
            yield self._waiting.pop(0)

    def unique(self, name: str) -> str:
        """A node name that no other node of the model has."""
        found, suffix = name, 1
        while found in self._names:
            found = f"{name}_{suffix}"
            suffix += 1
        self._names.add(found)
        return found

    def malformed(self, message: str) -> SourceFormatError:
        return SourceFormatError(f"{self.source}: {message}")

    def subgraph(self, closure: Closure) -> _SubGraph:
        """The sub-graph a closure calls, created at its first call."""
        if closure.graph not in self._subgraphs:
            if closure.graph not in self.program.graphs:
                raise Malformed(f"it calls '{closure.graph}', which is not a graph of the model")
            if len(self._subgraphs) >= _MAX_SUBGRAPHS:
                raise Malformed(f"the model calls more than {_MAX_SUBGRAPHS} graphs")
            sub = _SubGraph(self, self.program.graphs[closure.graph], len(self._subgraphs) + 1, closure.bound)
            self._subgraphs[closure.graph] = sub
            self._waiting.append(sub)
        return self._subgraphs[closure.graph]


class _SubGraph:
    """A graph that is called: its number in the model and how its inputs are passed.

    Where only one node calls it, constants among ``bound`` are not passed but stand in the graph itself.
    """

    def __init__(self, owner: Builder, proto: Message, number: int, bound: tuple[Any, ...]) -> None:
        self.proto = proto
        self.number = number
        self.builder = GraphBuilder(owner, proto)
        self.builder.declare_inputs(bound if owner.program.calls(proto.name) == 1 else ())

    def arguments(self, scope: Scope, operands: tuple[Any, ...]) -> list[Value]:
        """The tensors to pass for these operands: weights and tokens are not passed."""
        passed = self.builder.passed
        if len(operands) != len(passed):
            raise Malformed(f"graph '{self.proto.name}' has {len(passed)} inputs, it is called with {len(operands)}")
        values: list[Value] = []
        for is_passed, operand in zip(passed, operands):
            if is_passed:
                values += _flattened(scope, operand)
        if len(values) != len(self.builder.graph.inputs):
            raise Malformed(
                f"graph '{self.proto.name}' has {len(self.builder.graph.inputs)} tensor inputs, "
                f"it is called with {len(values)}"
            )
        return values

    def result_type(self) -> ResultType:
        """What the graph's outputs declare, for calls that do not say it themselves."""
        declared = {n.output[0]: n for n in self.proto.node if n.output}
        found: list[ResultType] = []
        for output in self.proto.output:
            if output.tensor:
                found.append(tensor_type(output.tensor[0]))
            elif output.name in declared:
                found.append(_declared_type(declared[output.name]))
            else:
                raise Refusal(f"the result of graph '{self.proto.name}' has no known type.")
        return found[0] if len(found) == 1 else tuple(found)


class GraphBuilder:
    """Translates the nodes of one graph, in order. ``names`` says what each name of the graph stands for."""

    def __init__(self, owner: Builder, proto: Message) -> None:
        self.owner = owner
        self.program = owner.program
        self.proto = proto
        self.graph = Graph(proto.name)
        self.names: dict[str, Any] = {}
        self.passed: list[bool] = []
        self._memory = Memory()

    # Inputs and names

    def declare_inputs(self, known: tuple[Any, ...]) -> None:
        """Inputs become graph inputs, but for side-effect tokens, weights and ``known`` constants."""
        is_main = self.proto is self.program.main
        for index, info in enumerate(self.proto.input):
            if info.name in self.names:
                raise self.owner.malformed(f"graph '{self.proto.name}' has two inputs called '{info.name}'")
            if index < len(known) and not _is_tensor(known[index]):
                self.names[info.name] = known[index]
                self.passed.append(False)
                continue
            try:
                operand = self._input(info, is_main)
            except Malformed as fault:
                raise self.owner.malformed(f"input '{without_graph(info.name)}': {fault}") from None
            except Refusal as refusal:
                self._problem(without_graph(info.name), "Input", refusal)
                operand = Absent("an input that is not supported")
            self._define(info.name, _input_type(info), operand)
            self.passed.append(_is_tensor(operand))

    def _input(self, info: Message, is_main: bool) -> Any:
        name = without_graph(info.name)
        if info.tensor:
            weight = None if is_main else self.program.weight_by_key(info.tensor[0].ref_key)
            if weight is not None:
                return self._weight(weight)
            known = tensor_type(info.tensor[0])
            return self.graph.add_input(name, known.dtype, known.shape)
        if info.denotation in ("UMonadType", "IOMonadType"):
            return MONAD
        if info.HasField("attr_info"):
            return self._typed_input(name, result_type(info.attr_info))
        if is_main:
            raise Refusal("it has no type.")
        return self.graph.add_input(name, DataType.UNKNOWN, None)

    def _typed_input(self, name: str, known: ResultType) -> Any:
        if isinstance(known, tuple):
            return tuple(self._typed_input(f"{name}_{i}", item) for i, item in enumerate(known))
        if known is None:
            raise Refusal("it is not a tensor.")
        return self.graph.add_input(name, known.dtype, known.shape)

    def _weight(self, name: str) -> Value:
        return self.owner.constants.of_array(self.program.weight(name), self.program.weight_title(name))

    def _define(self, name: str, known: ResultType, value: Any) -> None:
        self.names[name] = value
        self._memory.define(name, known, value)

    def operand(self, name: str) -> Any:
        """What a name stands for now. Raises Malformed for unknown names, Refusal where it was changed unseen."""
        if name in self.names:
            return self._memory.read(name, self.names[name])
        if self.program.is_constant(name):
            return self._constant(name)
        if self.program.is_weight(name):
            return self._weight(name)
        if name in self.program.graphs:
            return Closure(name)
        raise Malformed(f"it reads '{name}', which nothing in the model defines before it")

    def _constant(self, name: str) -> Any:
        value = self.program.constant(name)
        if isinstance(value, np.ndarray):
            return self.owner.constants.of_array(value, name)
        return value

    # Nodes

    def translate(self) -> None:
        for node in self.proto.node:
            if node.op_type != "Constant":
                self._node(node)
        outputs: list[Value] = []
        for output in self.proto.output:
            scope = Scope(self.graph, self.owner.constants, self.owner.unique("output"), "output", None)
            try:
                outputs += _flattened(scope, self.operand(output.name))
            except Malformed as fault:
                raise self.owner.malformed(f"output '{without_graph(output.name)}': {fault}") from None
            except Refusal as refusal:
                self._problem(without_graph(output.name), "Output", refusal)
        if not outputs and not self.owner.problems:
            raise self.owner.malformed(f"graph '{self.proto.name}' has no outputs")
        self.graph.outputs = outputs

    def _node(self, node: Message) -> None:
        if len(node.output) != 1:
            raise self.owner.malformed(f"node '{node.name}' has {len(node.output)} outputs instead of 1")
        result_name = node.output[0]
        if result_name in self.names:
            raise self.owner.malformed(f"two nodes are called '{result_name}'")
        title = node.domain if "/" in node.domain else without_graph(node.name or result_name)
        primitive = self.program.primitive_of(node)
        op = primitive.op if primitive is not None else "Call"
        known: ResultType = None
        try:
            known = _declared_type(node)
            if op in _SILENT:
                result = self._apply(Scope(self.graph, self.owner.constants, title, op, known), node)
                self._define(result_name, known, result)
                return
            scope = Scope(self.graph, self.owner.constants, self.owner.unique(title), signatures.canonical(op), known)
            result = self._apply(scope, node)
            _annotate(result, known)
        except Malformed as fault:
            raise self.owner.malformed(f"{op} '{title}': {fault}") from None
        except Refusal as refusal:
            result = self._refused(node, title, op, known, refusal)
        self._define(result_name, known, result)
        if op.endswith("View") and node.input:
            self._memory.share(result_name, node.input[0])
        if writes(self.program, node):
            self._memory.lose_views(node.input[0])

    def _apply(self, scope: Scope, node: Message) -> Any:
        primitive = self.program.primitive_of(node)
        if primitive is None:
            return self._call(scope, node)
        if primitive.op == "UpdateState":
            return MONAD
        if writes(self.program, node):
            check_target(self.program, node, scope.result)
        operands = tuple(self.operand(name) for name in node.input)
        if scope.op == "Partial":
            return _partial(operands)
        if scope.op == "Switch":
            return _switch(operands)
        if scope.op not in TABLE:
            raise Refusal("this operator is not supported.", suggestion=alternatives(scope.op, TABLE))
        if scope.op != "MakeTuple":
            operands = tuple(o for o in operands if o is not MONAD)
        inputs, attributes = signatures.split(scope.op, operands, primitive.values(self.program.tensors))
        return TABLE[scope.op](scope, inputs, attributes)

    def _refused(self, node: Message, title: str, op: str, known: ResultType, refusal: Refusal) -> Any:
        """A Custom node in place of one that cannot be translated; or the problem is noted."""
        if self.owner.allow_custom:
            try:
                return self._custom(node, title, op, known)
            except (Refusal, ValueError) as error:
                reason = f"{refusal.reason} It cannot be a Custom node either: {error}."
                refusal = Refusal(reason, attribute=refusal.attribute, suggestion=refusal.suggestion)
        self._problem(title, op, refusal)
        return _stand_in(title, known)

    def _custom(self, node: Message, title: str, op: str, known: ResultType) -> Any:
        """Tensors among the operands become inputs, other values attributes. Raises ValueError or Refusal."""
        primitive = self.program.primitive_of(node)
        types = [t for t in flat_types(known) if t is not None]
        if primitive is None or not types or len(types) < len(list(flat_types(known))):
            raise ValueError("the type of its result is not known")
        operands = tuple(o for o in (self.operand(name) for name in node.input) if o is not MONAD)
        given, named = signatures.split(signatures.canonical(op), operands, primitive.values(self.program.tensors))
        attributes = {**{f"input_{index}": operand for index, operand in enumerate(given)}, **named}
        attributes = {key: value for key, value in attributes.items() if _is_plain(value)}
        scope = Scope(self.graph, self.owner.constants, self.owner.unique(title), op, known)
        inputs = _flattened(scope, tuple(operand for operand in operands if not _is_plain(operand)))
        results = [(f"{scope.name}_{i}", t.dtype, t.shape) for i, t in enumerate(types)]
        values = custom_node(self.graph, scope.name, op, inputs, results, attributes)
        return _shaped(iter(values), known)

    def _problem(self, node: str, op: str, refusal: Refusal) -> None:
        self.owner.problems.append(Problem(node, op, refusal.reason, refusal.attribute, refusal.suggestion))

    # Calls

    def _call(self, scope: Scope, node: Message) -> Any:
        name = node.op_type[len(REFERENCE) :]
        target = as_callable(self.operand(name)).bind(tuple(self.operand(n) for n in node.input))
        known = scope.result
        if known is None:
            known = self.owner.subgraph(next(closures(target))).result_type()
        self._memory.lose(self.owner.written_by_calls, known)
        types = list(flat_types(known))
        if any(t is None for t in types):
            raise Refusal("the type of its result is not known.")
        closure = self._closure(scope, target, "")
        values = scope.add_many("Call", closure, outputs=len(types), is_tail_call=False)
        for value, found in zip(values, types):
            assert found is not None
            value.dtype, value.shape = found.dtype, found.shape
        return _shaped(iter(values), known)

    def _closure(self, scope: Scope, target: Callable_, tag: str) -> Value:
        """The nodes that make a closure, and its value."""
        if isinstance(target, Choice):
            branches = (
                self._closure(scope, target.if_true, f"{tag}_true"),
                self._closure(scope, target.if_false, f"{tag}_false"),
            )
            return scope.add("Switch", scope.tensor(target.condition), *branches, tag=f"switch{tag}")
        sub = self.owner.subgraph(target)
        arguments = sub.arguments(scope, target.bound)
        return scope.add("PartialFusion", *arguments, tag=f"partial{tag}", sub_graph_index=sub.number)


# These never make a node of their own, so they need no unique name.
_SILENT = frozenset({"Load", "UpdateState", "Depend", "MakeTuple", "Partial", "Switch"})


def _partial(operands: tuple[Any, ...]) -> Callable_:
    if not operands:
        raise Malformed("it binds nothing")
    return as_callable(operands[0]).bind(operands[1:])


def _switch(operands: tuple[Any, ...]) -> Any:
    if len(operands) != 3:
        raise Malformed(f"it has {len(operands)} inputs instead of 3")
    condition, if_true, if_false = operands
    if isinstance(condition, (bool, int)):
        return if_true if condition else if_false
    return Choice(condition, as_callable(if_true), as_callable(if_false))


def _is_plain(operand: Any) -> bool:
    """Whether an operand is no tensor but a number, a text, or a sequence of such."""
    if isinstance(operand, tuple):
        return all(_is_plain(item) for item in operand)
    return not isinstance(operand, Value)


def _input_type(info: Message) -> ResultType:
    """The type of a graph's input, for the memory it lies in."""
    if info.tensor:
        return tensor_type(info.tensor[0])
    return result_type(info.attr_info) if info.HasField("attr_info") else None


def _declared_type(node: Message) -> ResultType:
    found = [a for a in node.attribute if is_result_type(a)]
    return result_type(found[0]) if found else None


def _is_tensor(operand: Any) -> bool:
    """Whether an input of a graph is passed when it is called."""
    if isinstance(operand, tuple):
        return True
    return isinstance(operand, Value) and not operand.is_const


def _flattened(scope: Scope, operand: Any) -> list[Value]:
    """The tensors of an operand, in order; tokens are none.

    A few nodes can nest tuples into astronomically many elements, so these are counted.
    """
    values: list[Value] = []
    waiting = [operand]
    for _ in range(_MAX_ELEMENTS):
        if not waiting:
            return values
        item = waiting.pop()
        if isinstance(item, tuple):
            waiting += reversed(item)
        elif isinstance(item, (Closure, Choice)):
            raise Refusal("graphs cannot be passed as values.")
        elif not isinstance(item, Monad):
            values.append(scope.tensor(item))
    raise Malformed(f"a sequence has more than {_MAX_ELEMENTS} elements")


def _annotate(result: Any, known: ResultType) -> None:
    """Fills in what the file says of a result, where the translation has not."""
    if isinstance(result, tuple) and isinstance(known, tuple):
        for item, part in zip(result, known):
            _annotate(item, part)
    elif isinstance(result, Value) and isinstance(known, TensorType) and result.producer is not None:
        if result.dtype == DataType.UNKNOWN:
            result.dtype = known.dtype
        if result.shape is None:
            result.shape = known.shape


def _stand_in(title: str, known: ResultType) -> Any:
    """Lets translation go on behind a node that cannot be translated, to find all such nodes."""
    if isinstance(known, tuple):
        return tuple(_stand_in(f"{title}_{i}", part) for i, part in enumerate(known))
    if known is None:
        return Value(title)
    return Value(title, known.dtype, known.shape)


def _shaped(values: Iterator[Value], known: ResultType) -> Any:
    """Flat results in the structure of their type."""
    if isinstance(known, tuple):
        return tuple(_shaped(values, part) for part in known)
    return next(values)


def _finish(graph: Graph, source: str, *, is_main: bool) -> None:
    """Names results after their nodes, and marks calls that end a sub-graph as tail calls."""
    for value in graph.outputs:
        if is_main and value.producer is not None and len(value.producer.outputs) == 1:
            value.name = value.producer.source
    for node in graph.nodes:
        if node.op == "Call" and not is_main and node.outputs == graph.outputs:
            node.attrs["is_tail_call"] = True
    try:
        graph.cleanup()
    except ValueError as error:
        raise SourceFormatError(f"{source}: {error}") from None
