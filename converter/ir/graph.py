"""The converter's graph: typed values and operator nodes with the semantics of .ms operators.

An importer builds a Model whose nodes are .ms primitives (``schema/ops.fbs``) with exactly their
semantics: convolution and pooling take NHWC, axes and permutations refer to the tensor as it stands.
An importer of an NCHW format therefore wraps such nodes in Transpose nodes; passes move and cancel them.
At every stage the graph can be exported, run and compared.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Optional

import numpy as np

from converter.schema import Field, schema
from lite_runtime.types import DataType

# Dimensions; -1 where a dimension is only known at run time. None: not even the rank is known.
Shape = Optional[tuple[int, ...]]


@dataclass(frozen=True)
class QuantParam:
    """real = (q - zero_point) * scale * var_corr + mean_corr, for q of ``bits`` bits."""

    scale: float
    zero_point: int = 0
    bits: int = 8
    narrow_range: bool = True
    min: float = 0.0
    max: float = 0.0
    var_corr: float = 1.0
    mean_corr: float = 0.0


class Value:
    """A tensor: a graph input, a constant, or a result of a node.

    Attributes:
        name: unique within the model after export; taken from the source file.
        dtype: element type.
        shape: see ``Shape``.
        data: the value of a constant, else None. May be a read-only memory map; never modify in place.
        variable: ``data`` is not fixed but what a tensor holds that keeps its value from run to run: nodes
            read what the last run left there, an Assign node (variable, new value) writes it.
        quant: quantisation parameters, one or one per channel; empty for plain tensors.
        compression: how a constant is stored (WeightQuantCompressType); ``data`` then holds the stored
            bytes, ``dtype`` and ``shape`` are those of the stored integers or decoded floats.
        producer: the node this is a result of, or None.
        uses: the (node, input index) pairs that read it. Graph outputs do not count as uses.
    """

    __slots__ = ("compression", "data", "dtype", "name", "producer", "quant", "shape", "uses", "variable")

    def __init__(
        self,
        name: str,
        dtype: DataType = DataType.UNKNOWN,
        shape: Shape = None,
        data: np.ndarray | None = None,
    ) -> None:
        self.name = name
        self.dtype = dtype
        self.shape = shape
        self.data = data
        self.variable = False
        self.quant: list[QuantParam] = []
        self.compression = "NONE"
        self.producer: Node | None = None
        self.uses: list[tuple[Node, int]] = []

    @property
    def is_const(self) -> bool:
        return self.data is not None and not self.variable

    @property
    def rank(self) -> int | None:
        return None if self.shape is None else len(self.shape)

    def __repr__(self) -> str:
        kind = "const" if self.is_const else "value"
        return f"<{kind} {self.name}: {self.dtype.name}{list(self.shape) if self.shape is not None else '?'}>"


class Node:
    """One operator. ``op`` and ``attrs`` are a primitive's name and fields from ``schema/ops.fbs``.

    Enumerated attributes hold the enumerator's name ("SAME"), vectors are lists, Vec2D a list of lists.
    Absent attributes have the schema's default, see ``attr``. ``source`` names the node of the source
    file it stems from (kept through rewrites, for error messages and reports).
    """

    __slots__ = ("_inputs", "attrs", "dead", "name", "op", "outputs", "quant_type", "source")

    def __init__(self, op: str, name: str, attrs: dict[str, Any], source: str) -> None:
        fields = attribute_fields(op)
        for key in attrs:
            if key not in fields:
                raise KeyError(f"{op} has no attribute '{key}' (it has: {', '.join(fields) or 'none'})")
        self.op = op
        self.name = name
        self.attrs = attrs
        self.source = source
        self.outputs: list[Value] = []
        self.quant_type = "QUANT_NONE"
        self.dead = False
        self._inputs: list[Value] = []

    @property
    def inputs(self) -> tuple[Value, ...]:
        return tuple(self._inputs)

    @property
    def output(self) -> Value:
        """The only output."""
        (value,) = self.outputs
        return value

    def attr(self, name: str) -> Any:
        """The attribute's value, or the schema's default when absent."""
        if name in self.attrs:
            return self.attrs[name]
        return attribute_fields(self.op)[name].default

    def set_input(self, index: int, value: Value) -> None:
        self._inputs[index].uses.remove((self, index))
        self._inputs[index] = value
        value.uses.append((self, index))

    def add_input(self, value: Value) -> None:
        self._inputs.append(value)
        value.uses.append((self, len(self._inputs) - 1))

    def drop_inputs(self, start: int = 0) -> None:
        """Detaches the inputs from ``start`` on."""
        for index in range(start, len(self._inputs)):
            self._inputs[index].uses.remove((self, index))
        del self._inputs[start:]

    def __repr__(self) -> str:
        return f"<{self.op} {self.name}({', '.join(v.name for v in self._inputs)})>"


def attribute_fields(op: str) -> dict[str, Field]:
    """The attributes of a primitive; raises KeyError for an unknown one."""
    known = schema()
    if op not in known.primitives:
        raise KeyError(f"'{op}' is not a primitive of the .ms format")
    return known.tables[op].fields


class Graph:
    """A graph or sub-graph. ``nodes`` are in execution order after ``cleanup``."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.inputs: list[Value] = []
        self.outputs: list[Value] = []
        self.nodes: list[Node] = []

    def add_input(self, name: str, dtype: DataType, shape: Shape) -> Value:
        value = Value(name, dtype, shape)
        self.inputs.append(value)
        return value

    def constant(self, name: str, data: np.ndarray) -> Value:
        """A new constant value (constants belong to no list; they live as long as they are used)."""
        return Value(name, DataType.of(data.dtype), tuple(data.shape), data)

    def add(
        self,
        op: str,
        inputs: Sequence[Value],
        name: str,
        *,
        outputs: int | Sequence[str] = 1,
        source: str | None = None,
        **attrs: Any,
    ) -> Node:
        """Appends a node. Its outputs are named after it unless names are given; their dtype and shape
        are unknown until shape inference fills them in (see ``converter.engine.infer_shapes``)."""
        node = Node(op, name, attrs, name if source is None else source)
        for value in inputs:
            node.add_input(value)
        if isinstance(outputs, int):
            outputs = [name] if outputs == 1 else [f"{name}_{i}" for i in range(outputs)]
        for output_name in outputs:
            value = Value(output_name)
            value.producer = node
            node.outputs.append(value)
        self.nodes.append(node)
        return node

    def variable(self, name: str, initial: np.ndarray) -> Value:
        """A new variable, which holds ``initial`` when a model is loaded."""
        value = self.constant(name, initial)
        value.variable = True
        return value

    def is_output(self, value: Value) -> bool:
        return any(value is output for output in self.outputs)

    def replace(self, old: Value, new: Value) -> None:
        """Lets every reader of ``old``, and the graph's outputs, read ``new``; drops what dies."""
        for node, index in list(old.uses):
            node.set_input(index, new)
        self.outputs = [new if output is old else output for output in self.outputs]
        if old.producer is not None:
            self._release(old.producer)

    def _release(self, node: Node) -> None:
        stack = [node]
        while stack:
            node = stack.pop()
            if node.dead or node.op == "Assign" or any(v.uses or self.is_output(v) for v in node.outputs):
                continue
            node.dead = True
            producers = [v.producer for v in node.inputs if v.producer is not None]
            node.drop_inputs()
            stack.extend(producers)

    def cleanup(self) -> None:
        """Drops nodes whose results nobody uses and puts the rest into execution order (stable): after
        what they read, and a variable's Assign after everything that reads what it held before.

        Raises ValueError when the nodes form a cycle.
        """
        for node in reversed(self.nodes):
            self._release(node)
        position = {node: i for i, node in enumerate(self.nodes) if not node.dead}
        done: dict[Node, bool] = {}  # False while its producers are being visited
        order: list[Node] = []
        for start in position:
            stack = [start]
            while stack:
                node = stack[-1]
                if done.get(node):
                    stack.pop()
                    continue
                waiting = [p for p in _before(node, position) if not done.get(p)]
                if not waiting:
                    done[node] = True
                    order.append(node)
                    stack.pop()
                    continue
                if node in done:
                    raise ValueError(f"graph '{self.name}' has a cycle through node '{node.name}'")
                done[node] = False
                stack.extend(reversed(waiting))
        self.nodes = order

    def values(self) -> Iterator[Value]:
        """Every value in use, once: inputs, constants and results, in order of first appearance."""
        seen: dict[int, None] = {}
        for value in _chain(self.inputs, *((*n.inputs, *n.outputs) for n in self.nodes), self.outputs):
            if id(value) not in seen:
                seen[id(value)] = None
                yield value


def _before(node: Node, graph: Container[Node]) -> Iterator[Node]:
    """The nodes of ``graph`` that must run before this one."""
    yield from (v.producer for v in node.inputs if v.producer is not None)
    if node.op == "Assign":
        yield from (reader for reader, _ in node.inputs[0].uses if reader.op != "Assign" and reader in graph)


def _chain(*groups: Iterable[Value]) -> Iterator[Value]:
    for group in groups:
        yield from group


@dataclass
class Model:
    """A main graph (``graphs[0]``) and the sub-graphs its PartialFusion nodes name by index.

    ``source`` is the file it was read from, ``fmk`` the format's FmkType number. ``channels_last`` says
    that 4-D inputs are NHWC, as in TFLite and .ms files; otherwise they are NCHW. ``dynamic_weights`` are the names of
    int8 weights by which the source multiplies what it quantises in each run (see ``converter.quant.dynamic``).
    """

    graphs: list[Graph]
    source: str = ""
    fmk: int = 3
    notes: list[str] = field(default_factory=list)
    channels_last: bool = False
    dynamic_weights: set[str] = field(default_factory=set)

    @property
    def main(self) -> Graph:
        return self.graphs[0]
