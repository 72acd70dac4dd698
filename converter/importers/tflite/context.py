"""What an operator's mapping works with: its tensors, its options and the graph it adds nodes to."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from converter.errors import Problem
from converter.importers.custom import custom_node
from converter.importers.tflite.reader import Operator, Subgraph, Tensor
from converter.ir.graph import Graph, Node, Value
from lite_runtime.types import DataType

if TYPE_CHECKING:
    from converter.importers.tflite.state import State


class RefusedError(Exception):
    """The operator, or the way it is used, has no exact counterpart."""

    def __init__(self, reason: str, attribute: str = "", suggestion: str = "") -> None:
        super().__init__(reason)
        self.reason = reason
        self.attribute = attribute
        self.suggestion = suggestion


# Fused activations that .ms operators take themselves, and that which becomes a node. LiteRT computes no others.
_FUSED = {0: "NO_ACTIVATION", 1: "RELU", 3: "RELU6"}
_SEPARATE: dict[int, tuple[str, dict[str, Any]]] = {2: ("Clip", {"min": -1.0, "max": 1.0})}


# Operators whose result has the scale and zero point of their input.
_MOVING = frozenset({"Reshape", "ExpandDims"})


def _quant_type(node: Node) -> str:
    """Whether the node computes on integers, or on floats with constants that are stored as integers."""
    integers = [v for v in node.inputs if v.quant]
    if not integers:
        return "QUANT_NONE"
    stored = all(v.is_const for v in integers) and not any(v.quant for v in node.outputs)
    return "QUANT_WEIGHT" if stored else "QUANT_ALL"


class Context:
    """One operator being mapped. ``name`` is unique in the graph."""

    def __init__(
        self,
        graph: Graph,
        subgraphs: list[Subgraph],
        values: dict[int, Value],
        operator: Operator,
        name: str,
        state: State,
    ) -> None:
        self.graph = graph
        self.subgraphs = subgraphs
        self.state = state
        self.operator = operator
        self.name = name
        self._tensors = subgraphs[0].tensors
        self._values = values
        self._steps = 0

    def knows(self, tensor: int) -> bool:
        """Whether the tensor with this index has a value by now."""
        return tensor in self._values

    def has(self, i: int) -> bool:
        return i < len(self.operator.inputs) and self.operator.inputs[i] >= 0

    def input(self, i: int) -> Value:
        if not self.has(i):
            raise RefusedError(f"input {i} is missing")
        return self._values[self.operator.inputs[i]]

    def inputs(self) -> list[Value]:
        return [self._values[i] for i in self.operator.inputs if i >= 0]

    def shape(self, i: int) -> tuple[int, ...]:
        """Shape of input i as the file states it."""
        return self._tensors[self.operator.inputs[i]].shape

    def output_shape(self, i: int = 0) -> tuple[int, ...]:
        return self._tensors[self.operator.outputs[i]].shape

    def output_dtype(self, i: int = 0) -> DataType:
        return self._tensors[self.operator.outputs[i]].dtype

    def array(self, i: int) -> np.ndarray:
        """Value of a constant input."""
        data = self.input(i).data
        if data is None:
            raise RefusedError(f"input {i} must be a constant")
        return data

    def const(self, name: str, data: Any, dtype: Any = np.int32) -> Value:
        return self.graph.constant(f"{self.name}_{name}", np.asarray(data, dtype))

    def add(self, op: str, inputs: list[Value], like: Value | Tensor | None = None, **attrs: Any) -> Value:
        """An intermediate node with one output; a quantised one has the scale and zero point of ``like``."""
        quantized = next((v for v in inputs if v.quant and not v.is_const), None)
        if quantized is not None and op in _MOVING:
            like = quantized
        if quantized is not None and like is None:
            raise RefusedError("this form of it is not offered for quantised tensors")
        self._steps += 1
        name = f"{self.name}_{op.lower()}_{self._steps}"
        node = self.graph.add(op, inputs, name, source=self.name, **attrs)
        if quantized is not None and like is not None:
            node.output.dtype, node.output.quant = like.dtype, like.quant
            node.quant_type = _quant_type(node)
        return node.output

    def emit(self, op: str, inputs: list[Value], **attrs: Any) -> None:
        """The node whose outputs are the operator's outputs."""
        names = [self._tensors[i].name or f"{self.name}_{k}" for k, i in enumerate(self.operator.outputs)]
        node = self.graph.add(op, inputs, self.name, outputs=names, **attrs)
        for value, index in zip(node.outputs, self.operator.outputs):
            tensor = self._tensors[index]
            # The shape is the engine's to infer: what the file says may be wrong.
            value.dtype, value.quant = tensor.dtype, tensor.quant
            self._values[index] = value
        node.quant_type = _quant_type(node)

    def emit_activated(self, op: str, inputs: list[Value], activation: int, **attrs: Any) -> None:
        """``emit`` followed by a fused activation (a number of TFLite's ActivationFunctionType)."""
        if activation in _FUSED:
            attrs["activation_type"] = _FUSED[activation]
            self.emit(op, inputs, **attrs)
        elif activation in _SEPARATE:
            separate, separate_attrs = _SEPARATE[activation]
            output = self._tensors[self.operator.outputs[0]]
            self.emit(separate, [self.add(op, inputs, output, **attrs)], **separate_attrs)
        else:
            raise RefusedError(f"fused activation {activation} is not offered", "fused_activation_function")

    def emit_custom(self) -> bool:
        """A Custom node with the operator's own inputs and options; False when it cannot be one."""
        op = self.operator
        results = [
            (self._tensors[i].name or f"{self.name}_{k}", self._tensors[i].dtype, self._tensors[i].shape)
            for k, i in enumerate(op.outputs)
        ]
        options = {**op.options, "custom_options": op.custom} if op.custom else op.options
        if any(i not in self._values for i in op.inputs) or any(r[1] == DataType.UNKNOWN for r in results):
            return False
        values = custom_node(self.graph, self.name, op.op, self.inputs(), results, options)
        self._values.update(zip(op.outputs, values))
        return True

    def real(self, i: int) -> np.ndarray:
        """What the numbers of a constant input stand for."""
        data, quant = self.array(i), self.input(i).quant
        if not quant:
            return data
        if len(quant) > 1:
            raise RefusedError(f"input {i} is quantised per channel")
        return ((data.astype(np.float64) - quant[0].zero_point) * quant[0].scale).astype(np.float32)

    def alias(self, value: Value) -> None:
        """The operator's only output is ``value`` itself."""
        self._values[self.operator.outputs[0]] = value

    def problem(self, refused: RefusedError) -> Problem:
        return Problem(self.name, self.operator.op, refused.reason, refused.attribute, refused.suggestion)


Mapping = Callable[..., None]
OPERATORS: dict[str, Mapping] = {}


def operator(*names: str) -> Callable[[Mapping], Mapping]:
    """Registers the mapping of TFLite operators; it gets a Context and the options as keywords."""

    def register(mapping: Mapping) -> Mapping:
        for name in names:
            OPERATORS[name] = mapping
        return mapping

    return register
