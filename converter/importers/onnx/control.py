"""If, Loop and Scan as .ms sub-graphs.

A branch becomes a sub-graph whose inputs are the values it takes from outside; PartialFusion binds them,
Switch chooses, Call runs. A loop becomes three sub-graphs that hand over to each other by tail calls::

    head(state):  condition holds ? step(state) : done(state)
    step(state):  head(the state after one iteration)
    done(state):  the results
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from onnx import GraphProto

from converter.importers.onnx.builder import INT32_MAX, Builder, MaybeValue
from converter.importers.onnx.registry import onnx_op
from converter.importers.onnx.scope import Scope
from converter.ir.graph import Graph, Shape, Value
from lite_runtime.types import DataType

if TYPE_CHECKING:
    from converter.importers.onnx.importer import Importer

# A loop of known length is laid out flat when that gives at most this many nodes.
_FLAT_NODES = 2048
_MAX_REFINEMENTS = 4


@onnx_op("If")
def if_(
    b: Builder, condition: Value, *, then_branch: GraphProto, else_branch: GraphProto, importer: Importer, scope: Scope
) -> list[Value]:
    if condition.data is not None:
        chosen = then_branch if condition.data.any() else else_branch
        return importer.inline(chosen, Scope(scope.graph, f"{b.name}/", scope.opsets, scope))
    closures, results = [], []
    for which, branch in (("then", then_branch), ("else", else_branch)):
        inner = _sub_scope(importer, scope, f"{b.name}/{which}")
        inner.graph.outputs = importer.inline(branch, inner)
        results.append(inner.graph.outputs)
        closures.append(_partial(b, importer, inner, []))
    called = _call(b, b.op("Switch", condition, *closures, dtype=DataType.FLOAT32), len(b.wanted), tail=False)
    for result, first, second in zip(called, *results):
        result.dtype, result.shape = first.dtype, _common(first.shape, second.shape)
    return called


@dataclass
class Iteration:
    """What one iteration gives: whether to go on (None: yes), the state after it, and elements to collect."""

    proceed: MaybeValue
    state: list[Value]
    collected: list[Value]


# (builder in the step's graph, its scope, number of the iteration as int32 scalar, state) -> results
Step = Callable[[Builder, Scope, Value, list[Value]], Iteration]


@onnx_op("Loop")
def loop(
    b: Builder, trips: MaybeValue, condition: MaybeValue, *state: Value,
    body: GraphProto, importer: Importer, scope: Scope,
) -> list[Value]:  # fmt: skip
    """At most ``trips`` iterations (absent: no limit) while the condition holds."""

    def step(inner_b: Builder, inner: Scope, number: Value, values: list[Value]) -> Iteration:
        names = [info.name for info in body.input]
        inner.define(names[0], inner_b.cast(number, DataType.INT64))
        inner.define(names[1], inner_b.const(np.array(True)))
        for name, value in zip(names[2:], values):
            inner.define(name, value)
        results = importer.inline(body, inner)
        proceed = results[0]
        if proceed.data is not None and proceed.data.all():
            return Iteration(None, results[1 : 1 + len(values)], results[1 + len(values) :])
        return Iteration(proceed, results[1 : 1 + len(values)], results[1 + len(values) :])

    if len(body.input) != 2 + len(state) or len(body.output) < 1 + len(state):
        raise b.refuse("its body does not fit its inputs. The model is invalid: check the exporter.", "body")
    if condition is not None and condition.data is not None and condition.data.all():
        condition = None
    if trips is not None and trips.data is not None and trips.data.ravel()[0] >= INT32_MAX:
        trips = None
    count = int(trips.data.ravel()[0]) if trips is not None and trips.data is not None else None
    collected = len(body.output) - 1 - len(state)
    if count is not None and condition is None and collected and count * len(body.node) <= _FLAT_NODES and count > 0:
        flat = laid_out(b, scope, count, list(state), step)
        if flat is not None:
            return flat
    limit = None if trips is None else b.int32(b.reshape(trips, []) if trips.shape != () else trips)
    return run_loop(b, importer, scope, limit, condition, list(state), collected, step)


@onnx_op("Scan", since=9)
def scan(
    b: Builder, *inputs: Value, body: GraphProto, num_scan_inputs: int,
    scan_input_axes: list[int] | None = None, scan_input_directions: list[int] | None = None,
    scan_output_axes: list[int] | None = None, scan_output_directions: list[int] | None = None,
    importer: Importer, scope: Scope,
) -> list[Value]:  # fmt: skip
    """State and elements of sequences in, state and elements of sequences out."""
    states = len(inputs) - num_scan_inputs
    sequences = list(inputs[states:])
    axes = [b.axis(a, b.rank(x)) for a, x in zip(scan_input_axes or [0] * num_scan_inputs, sequences)]
    backwards = list(scan_input_directions or [0] * num_scan_inputs)
    first = sequences[0]
    length = first.shape[axes[0]] if first.shape is not None else -1
    count = (
        b.const(np.array(length, np.int32))
        if length >= 0
        else b.gather(b.op("Shape", first), np.array(axes[0], np.int32))
    )
    names = [info.name for info in body.input]

    def step(inner_b: Builder, inner: Scope, number: Value, values: list[Value]) -> Iteration:
        for name, value in zip(names, values):
            inner.define(name, value)
        for name, sequence, axis, backward in zip(names[states:], sequences, axes, backwards):
            at = number
            if backward:
                at = inner_b.op("SubFusion", inner_b.op("SubFusion", inner.capture(count), 1), number)
            element = inner_b.gather(inner.capture(sequence), at, axis)
            if sequence.shape is not None:
                element.shape = sequence.shape[:axis] + sequence.shape[axis + 1 :]
            inner.define(name, element)
        results = importer.inline(body, inner)
        return Iteration(None, results[:states], results[states:])

    collected = len(body.output) - states
    results = None
    if length > 0 and length * len(body.node) <= _FLAT_NODES:
        results = laid_out(b, scope, length, list(inputs[:states]), step)
    if results is None:
        results = run_loop(b, importer, scope, count, None, list(inputs[:states]), collected, step)
    for i in range(collected):
        reverse = (scan_output_directions or [0] * collected)[i]
        axis = (scan_output_axes or [0] * collected)[i]
        results[states + i] = _arranged(b, results[states + i], bool(reverse), axis)
    return results


def _arranged(b: Builder, x: Value, reverse: bool, axis: int) -> Value:
    """Collected elements, last one first if wanted, along another axis than the first."""
    if reverse:
        shape = x.shape
        x = b.op("ReverseV2", x, axis=[0])
        x.shape = shape
    if axis == 0:
        return x
    rank = b.rank(x)
    order = list(range(1, rank))
    order.insert(b.axis(axis, rank), 0)
    return b.transpose(x, order)


def laid_out(b: Builder, scope: Scope, count: int, state: list[Value], step: Step) -> list[Value] | None:
    """All iterations one after the other; None when one may end the loop."""
    collected: list[list[Value]] = []
    for i in range(count):
        inner = Scope(scope.graph, f"{b.name}/{i}/", scope.opsets, scope)
        inner_b = Builder(scope.graph, f"{b.name}/{i}", b.op_type, b.opset, b.wanted, b.memo)
        iteration = step(inner_b, inner, inner_b.const(np.array(i, np.int32)), state)
        if iteration.proceed is not None:
            return None
        state = iteration.state
        collected.append(iteration.collected)
    stacked = [_stack(b, list(elements)) for elements in zip(*collected)]
    return [*state, *stacked]


def _stack(b: Builder, elements: list[Value]) -> Value:
    result = b.concat([b.unsqueeze(e, [0]) for e in elements], 0)
    if elements[0].shape is not None:
        result.shape = (len(elements), *elements[0].shape)
    return result


def run_loop(
    b: Builder, importer: Importer, scope: Scope, limit: MaybeValue, condition: MaybeValue,
    state: list[Value], collected: int, step: Step,
) -> list[Value]:  # fmt: skip
    """The loop as sub-graphs; its results are the final state and the collected elements, stacked."""
    shapes = [v.shape for v in state]
    for _ in range(_MAX_REFINEMENTS):
        graphs, problems = len(importer.model.graphs), len(importer.problems)
        body = _Body(b, importer, scope, limit, condition is not None, state, shapes, collected, step)
        found = [v.shape for v in body.iteration.state]
        agreed = [_common(s, f) for s, f in zip(shapes, found)]
        if agreed == shapes:
            return body.finish(b, condition)
        del importer.model.graphs[graphs:], importer.problems[problems:]
        shapes = agreed
    raise b.refuse("the shapes of its state change from one iteration to the next.")


def _common(first: Shape, second: Shape) -> Shape:
    if first is None or second is None or len(first) != len(second):
        return None
    return tuple(a if a == c else -1 for a, c in zip(first, second))


class _Body:
    """The step's sub-graph, and what the other two need to know of it.

    All three have the same inputs: number of the iteration, condition (if there is one), state, collected
    elements, and what the step takes from outside.
    """

    def __init__(
        self, b: Builder, importer: Importer, scope: Scope, limit: MaybeValue, conditional: bool,
        state: list[Value], shapes: list[Shape], collected: int, step: Step,
    ) -> None:  # fmt: skip
        self.importer, self.scope, self.limit, self.state = importer, scope, limit, state
        self.head, self.inner = (_sub_scope(importer, scope, f"{b.name}/{part}") for part in ("head", "step"))
        graph = self.inner.graph
        self.b = Builder(graph, graph.name, b.op_type, b.opset, [True], b.memo)
        self.number = graph.add_input(f"{graph.name}/i", DataType.INT32, ())
        condition = graph.add_input(f"{graph.name}/condition", DataType.BOOL, ())
        values = [graph.add_input(f"{graph.name}/state_{i}", v.dtype, s) for i, (v, s) in enumerate(zip(state, shapes))]
        stacks = [graph.add_input(f"{graph.name}/collected_{i}", DataType.UNKNOWN, None) for i in range(collected)]
        self.iteration = step(self.b, self.inner, self.number, values)
        self.conditional = conditional or self.iteration.proceed is not None
        if collected and limit is None:
            raise b.refuse("it collects elements without a limit on their number.")
        if limit is None and not self.conditional:
            raise b.refuse("it never ends. The model is invalid: check the exporter.")
        for stack, element in zip(stacks, self.iteration.collected):
            dims = self.b.need_dims(element, "collecting elements")
            stack.dtype, stack.shape = element.dtype, (-1, *dims)
        self.stacks, self.condition = stacks, condition
        self.limit_inner = None if limit is None else self.inner.capture(limit)

    def finish(self, b: Builder, condition: MaybeValue) -> list[Value]:
        step_b, it = self.b, self.iteration
        place = step_b.reshape(self.number, [1, 1])
        stacks = [
            step_b.op("ScatterNdUpdate", stack, place, step_b.unsqueeze(element, [0]))
            for stack, element in zip(self.stacks, it.collected)
        ]
        after = [step_b.op("AddFusion", self.number, 1), self._proceed(it.proceed), *it.state, *stacks]
        inner_inputs = list(self.inner.graph.inputs)
        outside = inner_inputs[3 - 1 + len(it.state) + len(stacks) :]
        results = len(it.state) + len(stacks)
        head_index = self.importer.model.graphs.index(self.head.graph)
        back = step_b.op("PartialFusion", *after, *outside, sub_graph_index=head_index, dtype=DataType.FLOAT32)
        self.inner.graph.outputs = _call(step_b, back, results, tail=True, like=[*it.state, *self.stacks])
        self._make_head(b)
        start = self._initial_stacks(b)
        first = condition if condition is not None else b.const(np.array(True))
        captured = [outer for outer, _ in sorted(self.inner.captures.items(), key=lambda kv: inner_inputs.index(kv[1]))]
        number = b.const(np.array(0, np.int32))
        enter = b.op(
            "PartialFusion", number, first, *self.state, *start, *captured, sub_graph_index=head_index,
            dtype=DataType.FLOAT32,
        )  # fmt: skip
        return _call(b, enter, results, tail=False, like=[*it.state, *self.stacks])

    def _proceed(self, proceed: MaybeValue) -> Value:
        return proceed if proceed is not None else self.b.const(np.array(True))

    def _make_head(self, b: Builder) -> None:
        """Same inputs as the step; chooses between the step and the end."""
        graph = self.head.graph
        for value in self.inner.graph.inputs:
            graph.add_input(value.name.replace(self.inner.graph.name, graph.name), value.dtype, value.shape)
        inputs = dict(zip(self.inner.graph.inputs, graph.inputs))
        head_b = Builder(graph, graph.name, b.op_type, b.opset, [True], b.memo)
        number, condition = graph.inputs[0], graph.inputs[1]
        if self.limit_inner is not None:
            limit = inputs.get(self.limit_inner, self.limit_inner)
            within = head_b.op("Less", number, limit)
            condition = head_b.op("LogicalAnd", condition, within) if self.conditional else within
        done = _sub_scope(self.importer, self.scope, f"{b.name}/done")
        kept = graph.inputs[2 : 2 + len(self.state) + len(self.stacks)]
        self._make_done(b, done.graph, [number, *kept])
        graphs = self.importer.model.graphs
        go_on = head_b.op(
            "PartialFusion", *graph.inputs, sub_graph_index=graphs.index(self.inner.graph), dtype=DataType.FLOAT32
        )
        stop = head_b.op(
            "PartialFusion", number, *kept, sub_graph_index=graphs.index(done.graph), dtype=DataType.FLOAT32
        )
        chosen = head_b.op("Switch", condition, go_on, stop, dtype=DataType.FLOAT32)
        graph.outputs = _call(head_b, chosen, len(kept), tail=True, like=kept)

    def _make_done(self, b: Builder, graph: Graph, given: Sequence[Value]) -> None:
        """The state as it is; of the collected elements those that were."""
        done_b = Builder(graph, graph.name, b.op_type, b.opset, [True], b.memo)
        for i, value in enumerate(given):
            graph.add_input(f"{graph.name}/{i}", value.dtype, value.shape)
        number, *values = graph.inputs
        count = done_b.reshape(number, [1])
        outputs = []
        for i, value in enumerate(values):
            if i < len(self.state):
                outputs.append(done_b.op("Cast", value, np.array(int(value.dtype), np.int32)))
                outputs[-1].shape = value.shape
                continue
            rank = len(value.shape or ())
            end = done_b.concat([count, [INT32_MAX] * (rank - 1)]) if rank > 1 else count
            begin = [0] * rank
            outputs.append(done_b.op("StridedSlice", value, begin, end, [1] * rank, end_mask=(1 << rank) - 2))
        graph.outputs = outputs

    def _initial_stacks(self, b: Builder) -> list[Value]:
        assert self.limit is not None or not self.stacks
        made = []
        for stack in self.stacks:
            assert self.limit is not None and stack.shape is not None
            dims = list(stack.shape[1:])
            count = b.reshape(self.limit, [1])
            shape = b.concat([count, dims]) if dims else count
            made.append(b.op("Fill", b.const(np.zeros((), stack.dtype.numpy)), shape))
        return made


def _sub_scope(importer: Importer, scope: Scope, name: str) -> Scope:
    """A scope with a new sub-graph of the model."""
    graph = Graph(name)
    importer.model.graphs.append(graph)
    return Scope(graph, f"{name}/", scope.opsets, scope)


def _partial(b: Builder, importer: Importer, inner: Scope, first: Sequence[Value]) -> Value:
    """The sub-graph bound to ``first`` and the values it takes from outside."""
    index = importer.model.graphs.index(inner.graph)
    return b.op("PartialFusion", *first, *inner.captures, sub_graph_index=index, dtype=DataType.FLOAT32)


def _call(b: Builder, closure: Value, count: int, *, tail: bool, like: Sequence[Value] = ()) -> list[Value]:
    results = b.ops("Call", [closure], count, is_tail_call=tail)
    for result, value in zip(results, like):
        result.dtype, result.shape = value.dtype, value.shape
    return results
