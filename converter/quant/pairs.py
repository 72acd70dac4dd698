"""Models that are quantised already, by pairs of QuantDTypeCast and int8 weights: back to floats with known ranges.

Importers of quantisation-aware models (ONNX QuantizeLinear and DequantizeLinear, MindSpore's FakeQuant) keep the
parameters in this form, and compute in floats. FULL_QUANT gives them integers to compute with, by the same parameters;
``rules`` are those that do so for what was int8 alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from converter.ir.graph import Graph, Model, Node, QuantParam, Value
from converter.passes.rewrite import replace_value
from converter.quant.calibration import Statistics
from converter.quant.full_placement import KEEPING, KINDS, PRODUCT
from converter.quant.recipe import FULL, NONE, Rule, Settings
from converter.quant.weight import channel_axis
from lite_runtime.types import DataType

_LOW, _HIGH = -128, 127


@dataclass
class Known:
    """By the names of values, which optimisation keeps: parameters of activations, and of constants that were int8."""

    activations: dict[str, QuantParam] = field(default_factory=dict)
    weights: dict[str, list[QuantParam]] = field(default_factory=dict)

    def statistics(self, graph: Graph) -> dict[Value, Statistics]:
        """Ranges as if calibration had seen them, also of what only moves values of a known range."""
        values = [v for v in graph.values() if v.data is None and v.name in self.activations]
        found = {value: _statistics(self.activations[value.name]) for value in values}
        for node in graph.nodes:
            if KINDS.get(node.op) == KEEPING and node.inputs[0] in found:
                for value in node.outputs:
                    found.setdefault(value, found[node.inputs[0]])
        return found


def has_pairs(model: Model) -> bool:
    return any(_is_cast(node, DataType.FLOAT32, DataType.INT8) for node in model.main.nodes)


def unwrap(model: Model) -> Known:
    """Takes the pairs out of the main graph, in place, and makes int8 weights floats."""
    known = Known()
    graph = model.main
    for node in list(graph.nodes):
        if not node.dead and _is_cast(node, DataType.FLOAT32, DataType.INT8):
            _take_out(graph, node, known)
    graph.cleanup()
    for node in graph.nodes:
        if node.quant_type == "QUANT_WEIGHT":
            _to_floats(graph, node, known)
    return known


def _is_cast(node: Node, source: DataType, target: DataType) -> bool:
    return node.op == "QuantDTypeCast" and (node.attr("src_t"), node.attr("dst_t")) == (int(source), int(target))


def _take_out(graph: Graph, node: Node, known: Known) -> None:
    value, (x, *rest), quant = node.output, node.inputs, node.output.quant
    back = [reader for reader, _ in value.uses]
    if rest or len(quant) != 1 or not back or graph.is_output(value) or x.data is not None:
        return
    if any(not _is_cast(r, DataType.INT8, DataType.FLOAT32) for r in back):
        return
    # A result of the model keeps its name, which x then takes over.
    results = [r.output for r in back if graph.is_output(r.output)]
    if len(results) > 1 or (results and (x.producer is None or graph.is_output(x))):
        return
    # The first of several pairs holds; a second one, with other parameters, would be one more rounding.
    if known.activations.setdefault(x.name, quant[0]) != quant[0]:
        return
    for reader in back:
        replace_value(graph, reader.output, x)
    known.activations[x.name] = quant[0]
    _spread(x, quant[0], known)


def _spread(value: Value, param: QuantParam, known: Known) -> None:
    """The same for what only moves the value's elements, which optimisation may put in its place."""
    node = value.producer
    while node is not None and KINDS.get(node.op) == KEEPING and node.op != "Resize":
        known.activations.setdefault(node.inputs[0].name, param)
        node = node.inputs[0].producer
    moved = [value]
    while moved:
        for reader, _ in moved.pop().uses:
            if reader.op == "Transpose":
                known.activations.setdefault(reader.output.name, param)
                moved.append(reader.output)


def _to_floats(graph: Graph, node: Node, known: Known) -> None:
    for index, value in enumerate(node.inputs):
        plain = value.compression == "NONE" and value.data is not None and value.data.dtype == np.int8
        if not value.is_const or not plain or not value.quant:
            continue
        assert value.data is not None
        axis = channel_axis(node, index) if len(value.quant) > 1 else None
        shape = [len(value.quant) if i == axis else 1 for i in range(value.data.ndim)] if axis is not None else []
        scale = np.array([p.scale * p.var_corr for p in value.quant]).reshape(shape)
        zero, mean = np.array([(p.zero_point, p.mean_corr) for p in value.quant]).T
        floats = (value.data - zero.reshape(shape)) * scale + mean.reshape(shape)
        node.set_input(index, graph.constant(value.name, floats.astype(np.float32)))
        known.weights[value.name] = value.quant
    if not any(v.quant for v in node.inputs):
        node.quant_type = "QUANT_NONE"


def rules(model: Model, known: Known) -> list[Rule]:
    """FULL_QUANT for what ``unwrap`` took the pairs from; products whose weights were floats stay so."""
    floats = (n for n in model.main.nodes if KINDS.get(n.op) == PRODUCT and n.inputs[1].is_const)
    leave = (n.name for n in floats if not were_int8(n, known))
    return [
        Rule(re.compile(""), "*", Settings(FULL)),
        *(Rule(re.compile(rf"\A{re.escape(name)}\Z"), "*", Settings(NONE)) for name in leave),
    ]


def _statistics(param: QuantParam) -> Statistics:
    low, high = ((q - param.zero_point) * param.scale for q in (_LOW, _HIGH))
    return Statistics([low], [high])


def were_int8(node: Node, known: Known) -> bool:
    """Whether weights of the node were int8."""
    return any(v.is_const and v.name in known.weights for v in node.inputs)


def merged(seen: Mapping[Value, Statistics], known: Mapping[Value, Statistics]) -> dict[Value, Statistics]:
    """What was seen, with the range that is known: the means of calibration serve the correction of biases."""
    result = dict(seen)
    for value, statistics in known.items():
        if value in seen:
            statistics.channel_mean = seen[value].channel_mean
        result[value] = statistics
    return result
