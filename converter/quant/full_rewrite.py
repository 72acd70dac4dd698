"""Turns the placed nodes of a graph into int8: constants, parameters of activations, and casts at the borders."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from converter.ir.graph import Graph, Node, QuantParam, Value
from converter.quant.full_placement import PRODUCT, Placement, operands
from converter.quant.full_ranges import Range, asymmetric, quantized
from converter.quant.full_weights import Constants
from lite_runtime.types import DataType

_FLOAT, _INT8 = DataType.FLOAT32, DataType.INT8
# The constants of a product whose input has this scale.
Weights = Callable[[Node, float], Constants]


class Rewriter:
    def __init__(self, graph: Graph, placed: Placement, ranges: Mapping[Value, Range], weights: Weights) -> None:
        self._graph = graph
        self._placed = placed
        self._params = {value: found.param for value, found in ranges.items()}
        self._weights = weights
        self._int8: dict[Value, Value] = {}  # of float values, and of int8 ones themselves
        self._floats: dict[Value, Value] = {}  # of int8 results

    def run(self) -> None:
        outputs = list(self._graph.outputs)
        results = {v for node in self._placed.int8 if node not in self._placed.gives_floats for v in node.outputs}
        for node in list(self._graph.nodes):
            kind = self._placed.int8.get(node)
            for index, value in enumerate(node.inputs):
                if kind is not None and any(value is v for v in operands(node)):
                    node.set_input(index, self._in_int8(value, value in results))
                elif value in results:
                    node.set_input(index, self._in_float(value))
            if kind is None:
                continue
            node.quant_type = "QUANT_DYNAMIC" if node in self._placed.gives_floats else "QUANT_ALL"
            if kind == PRODUCT and node.inputs[1].is_const:
                self._constants(node)
            if node not in self._placed.gives_floats:
                for value in node.outputs:
                    value.dtype, value.quant = _INT8, [self._params[value]]
        self._graph.outputs = [self._as_output(v) if v in results else v for v in outputs]
        self._graph.cleanup()

    def _in_int8(self, value: Value, is_result: bool) -> Value:
        if is_result:
            return value
        if value not in self._int8:
            self._int8[value] = self._constant(value) if value.data is not None else self._quantize(value)
        return self._int8[value]

    def _constant(self, value: Value) -> Value:
        assert value.data is not None
        param = asymmetric(float(value.data.min(initial=0)), float(value.data.max(initial=0)))
        stored = Value(value.name, _INT8, value.shape, quantized(value.data, param))
        stored.quant = [param]
        return stored

    def _quantize(self, value: Value) -> Value:
        return self._cast(value, f"{value.name}_int8", _FLOAT, _INT8, [self._params[value]])

    def _in_float(self, value: Value) -> Value:
        if value not in self._floats:
            self._floats[value] = self._cast(value, f"{value.name}_float", _INT8, _FLOAT, [])
        return self._floats[value]

    def _as_output(self, value: Value) -> Value:
        """The float form of an int8 result, which takes over its name."""
        real = self._in_float(value)
        if real.name != value.name:
            real.name, value.name = value.name, f"{value.name}_int8"
        return real

    def _cast(self, value: Value, name: str, source: DataType, target: DataType, quant: list[QuantParam]) -> Value:
        origin = value.producer.source if value.producer is not None else value.name
        cast = self._graph.add("QuantDTypeCast", [value], name, source=origin, src_t=int(source), dst_t=int(target))
        cast.output.dtype, cast.output.shape, cast.output.quant = target, value.shape, quant
        return cast.output

    def _constants(self, node: Node) -> None:
        scale = node.inputs[0].quant[0].scale
        old, found = node.inputs[1], self._weights(node, scale)
        weight = Value(old.name, _INT8, old.shape, found.q)
        weight.quant = [QuantParam(float(s)) for s in found.scales]
        node.set_input(1, weight)
        if found.bias is None:
            return
        name = node.inputs[2].name if len(node.inputs) > 2 else f"{node.name}_bias"
        count = max(len(found.bias), 1)
        is_float = node in self._placed.gives_floats
        data = found.bias.astype(np.float32) if is_float else found.steps(scale)
        node.drop_inputs(2)
        node.add_input(self._graph.constant(name, data.reshape(count)))
        if node.op == "FullConnection":
            node.attrs["has_bias"] = True
