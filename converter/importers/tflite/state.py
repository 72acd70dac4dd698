"""State variables: what a model remembers from one run to the next.

Each becomes a variable of the graph, written by one Assign node at the end of a run. What an operator reads
after an assignment is the assigned tensor itself, so the order of operators in the file is kept.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from converter.importers.tflite.context import Context, RefusedError, operator
from converter.importers.tflite.reader import Operator, Subgraph, Tensor
from converter.ir.graph import Graph, Value


def _name(options: dict[str, Any]) -> str:
    parts = (options.get("container") or b"", options.get("shared_name") or b"")
    return "/".join(part.decode(errors="replace") for part in parts if part)


def _handles(subgraph: Subgraph) -> dict[int, str]:
    """The variable each resource tensor of a graph stands for."""
    return {op.outputs[0]: _name(op.options) for op in subgraph.operators if op.op == "VAR_HANDLE" and op.outputs}


@dataclass
class State:
    """The variables of a model.

    Attributes:
        initial: the constant each is assigned in the graphs that run once, before the first run.
        variables: those that are read, as values of the graph.
        current: what each holds at this place of the graph, once it was read or assigned.
    """

    initial: dict[str, Tensor] = field(default_factory=dict)
    handles: dict[int, str] = field(default_factory=dict)
    variables: dict[str, Value] = field(default_factory=dict)
    current: dict[str, Value] = field(default_factory=dict)

    @classmethod
    def of(cls, subgraphs: list[Subgraph]) -> State:
        state = cls(handles=_handles(subgraphs[0]))
        for op in subgraphs[0].operators:
            index = op.options.get("init_subgraph_index", 0) if op.op == "CALL_ONCE" else 0
            if 0 < index < len(subgraphs):
                state._initialise(subgraphs[index])
        return state

    def _initialise(self, subgraph: Subgraph) -> None:
        handles = _handles(subgraph)
        for op in subgraph.operators:
            if op.op != "ASSIGN_VARIABLE":
                continue
            handle, tensor = op.inputs
            if handle in handles and subgraph.tensors[tensor].data is not None:
                self.initial[handles[handle]] = subgraph.tensors[tensor]

    def value(self, graph: Graph, name: str) -> Value:
        """The variable itself: what the last run left."""
        if name not in self.variables:
            if name not in self.initial:
                raise RefusedError(f"variable '{name}' has no constant initial value")
            tensor = self.initial[name]
            assert tensor.data is not None
            variable = graph.variable(name, tensor.data)
            variable.quant = tensor.quant
            self.variables[name] = variable
        return self.variables[name]

    def assign(self, graph: Graph) -> None:
        """Adds the Assign nodes at the end of the graph."""
        for name, value in self.current.items():
            variable = self.value(graph, name)
            if value is variable:
                continue
            node = graph.add("Assign", [variable, value], f"{name}_assign")
            node.output.dtype, node.output.shape, node.output.quant = value.dtype, value.shape, value.quant


def check_initialisation(op: Operator, subgraphs: list[Subgraph]) -> None:
    """Raises RefusedError when a graph that runs once does anything but assign constants to variables."""
    index = op.options.get("init_subgraph_index", 0)
    if not 0 < index < len(subgraphs):
        raise RefusedError(f"sub-graph {index} does not exist", "init_subgraph_index")
    others = {o.op for o in subgraphs[index].operators} - {"VAR_HANDLE", "ASSIGN_VARIABLE"}
    if others:
        raise RefusedError(f"the graph that runs once contains {', '.join(sorted(others))}", "init_subgraph_index")


@operator("CALL_ONCE")
def call_once(c: Context, init_subgraph_index: int = 0) -> None:
    check_initialisation(c.operator, c.subgraphs)


@operator("VAR_HANDLE")
def var_handle(c: Context, **_: Any) -> None:
    """The tensor's name was noted beforehand."""


def _variable(c: Context) -> str:
    name = c.state.handles.get(c.operator.inputs[0])
    if name is None:
        raise RefusedError("its first input is not a variable of this graph")
    return name


@operator("READ_VARIABLE")
def read_variable(c: Context) -> None:
    name = _variable(c)
    c.alias(c.state.current.setdefault(name, c.state.value(c.graph, name)))


@operator("ASSIGN_VARIABLE")
def assign_variable(c: Context) -> None:
    c.state.current[_variable(c)] = c.input(1)
