"""Random small ONNX graphs with inputs, grown one node at a time.

Every node is run by ONNX Runtime when it is added, so that a graph is valid, its values are finite and of moderate
size, and what follows may depend on the values at hand.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper, numpy_helper

F32, I64 = np.float32, np.int64
_MOST_ELEMENTS = 3000
# Sums of products of larger values lose the digits that are compared; 64-bit integers are narrowed to 32.
_LARGEST = {"f": 1e6, "i": 2.0**30, "u": 2.0**30, "b": 1}
_IR_VERSION = 8


class MisfitError(Exception):
    """The chosen operator does not fit here."""


@dataclass
class Value:
    """A tensor of the graph. Values that are not exact may differ in the last digits from one engine to another."""

    name: str
    array: np.ndarray
    exact: bool = True
    constant: bool = False


@dataclass
class Graph:
    """A graph under construction; ``rng`` takes every decision."""

    rng: random.Random
    opset: int
    values: list[Value] = field(default_factory=list)
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    inputs: dict[str, np.ndarray] = field(default_factory=dict)
    constants: dict[str, np.ndarray] = field(default_factory=dict)
    open: dict[str, list[int]] = field(default_factory=dict)

    def name(self, prefix: str) -> str:
        return f"{prefix}{len(self.values) + len(self.constants)}"

    def fed(self, array: np.ndarray, constant: bool = False) -> Value:
        """A graph input, or an initializer that nodes pick as if it were one."""
        name = self.name("in")
        (self.constants if constant else self.inputs)[name] = array
        self.values.append(Value(name, array, constant=constant))
        return self.values[-1]

    def constant(self, array: Any, dtype: Any = None) -> str:
        """An initializer, not among the values that later nodes pick."""
        name = self.name("c")
        self.constants[name] = np.asarray(array, dtype)
        return name

    def pick(self, kinds: str = "f", ranks: Sequence[int] = range(7), exact: bool = False) -> Value:
        """A value of one of NumPy's kinds; recent ones are likelier, so that graphs grow deep."""
        fitting = [
            v
            for v in self.values
            if v.array.dtype.kind in kinds
            and v.array.ndim in ranks
            and v.exact >= exact
            and v.array.dtype != np.float16
        ]
        if not fitting:
            raise MisfitError
        return fitting[max(self.rng.randrange(len(fitting)), self.rng.randrange(len(fitting)))]

    def array(self, *shape: int, dtype: Any = F32) -> np.ndarray:
        """Small values that floats hold exactly: eighths, integers or booleans."""
        count, dtype = int(np.prod(shape)), np.dtype(dtype)
        if dtype == np.bool_:
            flat = [self.rng.random() < 0.5 for _ in range(count)]
        elif dtype.kind == "f":
            flat = [self.rng.randint(-24, 24) / 8 for _ in range(count)]
        else:
            flat = [self.rng.randint(0 if dtype.kind == "u" else -9, 9) for _ in range(count)]
        return np.array(flat, dtype).reshape(shape)

    def operand(self, shape: Sequence[int], dtype: Any = F32, positive: bool = False) -> str:
        """A constant, or a graph input, of this shape."""
        array = self.array(*shape, dtype=dtype)
        if positive:
            array = np.abs(array) + np.ones((), dtype)
        return self.constant(array) if self.rng.random() < 0.7 else self.fed(array).name

    def has_attribute(self, op: str, attribute: str) -> bool:
        return attribute in onnx.defs.get_schema(op, self.opset).attributes

    def axes(self, op: str, axes: Sequence[int]) -> tuple[list[str], dict[str, Any]]:
        """The axes as an attribute or as an input, as the opset wants them."""
        if self.has_attribute(op, "axes"):
            return [], {"axes": list(axes)}
        return [self.constant(list(axes), I64)], {}

    def axis(self, rank: int) -> int:
        if not rank:
            raise MisfitError
        return self.rng.randrange(-rank, rank)

    def some_axes(self, rank: int) -> list[int]:
        """Distinct axes in any order, some counted from the end."""
        if not rank:
            raise MisfitError
        chosen = self.rng.sample(range(rank), self.rng.randint(1, rank))
        return [axis - rank if self.rng.random() < 0.4 else axis for axis in chosen]

    def add(
        self, op: str, *inputs: str | Value, outputs: int = 1, rounds: bool = False, domain: str = "", **attributes: Any
    ) -> list[Value]:
        """Appends a node; ``rounds`` says that its results are not exact. Skips what ONNX Runtime refuses."""
        names = [i.name if isinstance(i, Value) else i for i in inputs]
        results = [self.name("v") + f"_{i}" for i in range(outputs)]
        # An attribute that is an empty list has no type.
        if any(value == [] for value in attributes.values()):
            raise MisfitError
        node = helper.make_node(op, names, results, domain=domain, **attributes)
        return self.attach(node, rounds)

    def attach(self, node: onnx.NodeProto, rounds: bool = False, outer: Sequence[Value] = ()) -> list[Value]:
        """Appends a node whose body may read ``outer`` values of this graph."""
        known = {v.name: v for v in self.values} | {n: Value(n, a) for n, a in self.constants.items()}
        read = [*filter(None, node.input), *(value.name for value in outer)]
        arrays = run_node(node, {name: known[name].array for name in read}, self.opset)
        if any(not _moderate(array) for array in arrays):
            raise MisfitError
        exact = not rounds and all(known[name].exact for name in read)
        found = [Value(name, array, exact) for name, array in zip(node.output, arrays)]
        self.nodes.append(node)
        self.values += found
        return found

    def grow(self, table: Sequence[Callable[[Graph], Any]], count: int) -> None:
        """Adds nodes made by operators of the table."""
        for _ in range(4 * count):
            if len(self.nodes) >= count:
                return
            mark = len(self.nodes), len(self.values), len(self.constants), len(self.inputs)
            try:
                self.rng.choice(table)(self)
            except MisfitError:
                self._rewind(*mark)

    def _rewind(self, nodes: int, values: int, constants: int, inputs: int) -> None:
        del self.nodes[nodes:], self.values[values:]
        for held, kept in ((self.constants, constants), (self.inputs, inputs)):
            for name in list(held)[kept:]:
                del held[name]

    def outputs(self) -> list[str]:
        """What no node reads, and sometimes a value in between."""
        read = {name for node in self.nodes for name in node.input}
        made = [name for node in self.nodes for name in node.output if name]
        return [name for name in made if name not in read or self.rng.random() < 0.15]

    @cached_property
    def model(self) -> onnx.ModelProto:
        """The graph; the dimensions of some inputs are left open."""
        inputs = []
        for name, array in self.inputs.items():
            shape: list[Any] = list(array.shape)
            if self.rng.random() < 0.35:
                self.open[name] = [i for i in range(array.ndim) if self.rng.random() < 0.5]
                shape = [f"{name}_{i}" if i in self.open[name] else n for i, n in enumerate(shape)]
            inputs.append(helper.make_tensor_value_info(name, _element(array), shape))
        constants = [numpy_helper.from_array(array, name) for name, array in self.constants.items()]
        outputs = [onnx.ValueInfoProto(name=name) for name in self.outputs()]
        graph = helper.make_graph(self.nodes, "random", inputs, outputs, constants)
        domains = {node.domain for node in self.nodes} - {""}
        imports = [helper.make_opsetid("", self.opset), *(helper.make_opsetid(domain, 1) for domain in domains)]
        return helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION)

    def longer_inputs(self) -> dict[str, np.ndarray]:
        """The inputs with their open dimensions, those of ``model``, twice as long."""
        found = dict(self.inputs)
        for name, axes in self.open.items():
            for axis in axes:
                found[name] = np.concatenate([found[name], found[name]], axis)
        return found


def _element(array: np.ndarray) -> int:
    return int(helper.np_dtype_to_tensor_dtype(array.dtype))


def _moderate(array: np.ndarray) -> bool:
    if not isinstance(array, np.ndarray) or array.size > _MOST_ELEMENTS or array.ndim > 6:
        return False
    return array.size == 0 or bool(np.abs(array.astype(np.float64)).max() < _LARGEST[array.dtype.kind])


def run_node(node: onnx.NodeProto, feeds: dict[str, np.ndarray], opset: int) -> list[np.ndarray]:
    inputs = [helper.make_tensor_value_info(n, _element(a), a.shape) for n, a in feeds.items()]
    graph = helper.make_graph([node], "node", inputs, [onnx.ValueInfoProto(name=n) for n in node.output])
    imports = [helper.make_opsetid("", opset), *([helper.make_opsetid(node.domain, 1)] if node.domain else [])]
    return run_onnx(helper.make_model(graph, opset_imports=imports, ir_version=_IR_VERSION), feeds)


def run_onnx(model: onnx.ModelProto, feeds: dict[str, np.ndarray]) -> list[np.ndarray]:
    """ONNX Runtime's answers to the graph as it is written; raises MisfitError where it has none."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
        wanted = {i.name for i in session.get_inputs()}
        answers: list[np.ndarray] = session.run(None, {n: a for n, a in feeds.items() if n in wanted})
    except Exception as error:
        # Its exceptions have no base of their own.
        if isinstance(error, (RuntimeError, ValueError)) or "onnxruntime" in type(error).__module__:
            raise MisfitError from error
        raise
    return answers
